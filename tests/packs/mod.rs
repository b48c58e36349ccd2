//! The shipped pack against real data.

mod compare;
mod differences;
mod levels;
mod requests;
mod store;
mod synthea;
