//! One binary for all integration tests; the list below is the table of contents.

mod cli;
mod docs;
mod engine;
mod layers;
mod mappings;
mod rust_text;
mod support;
mod tidy;
