//! The shipped pack against real data.

mod compare;
mod differences;
mod levels;
mod requests;
pub(crate) mod store;
mod synthea;
mod valid;
