//! The shipped pack against real data.

mod along;
mod compare;
mod differences;
mod elements;
mod engine;
mod filters;
mod levels;
mod organize;
mod requests;
mod search_oracle;
pub(crate) mod store;
mod synthea;
mod valid;
