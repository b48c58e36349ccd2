//! Mapping + catalog + request → what to run. No I/O.

pub mod catalog;
pub mod program;
pub mod select;
