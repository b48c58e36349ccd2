//! The shipped pack against real data.

mod compare;
mod differences;
mod requests;
mod store;
mod synthea;
