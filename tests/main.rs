//! One binary for all integration tests; the list below is the table of contents.

mod engine;
mod support;
