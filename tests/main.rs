//! One binary for all integration tests; the list below is the table of contents.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "helpers are public to all tests")]

mod bulk_data;
mod cli;
mod conformance;
mod docker;
mod docs;
mod engine;
mod layers;
mod mappings;
mod packs;
mod parameters;
mod reference;
mod rust_text;
mod smart;
mod support;
mod tidy;
