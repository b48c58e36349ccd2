//! The shipped pack against real data.

mod compare;
mod differences;
mod engine;
mod filters;
mod levels;
mod organize;
mod requests;
mod search_oracle;
pub(crate) mod store;
mod synthea;
mod valid;
