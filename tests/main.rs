//! One binary for all integration tests; the list below is the table of contents.

#![expect(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "helpers fail as tests do, and are for all of them"
)]

mod cli;
mod docs;
mod engine;
mod layers;
mod mappings;
mod packs;
mod reference;
mod rust_text;
mod support;
mod tidy;
