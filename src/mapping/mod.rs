//! What the data engineer writes, read into a checked and located tree. Knows FHIR, no database.

pub mod diagnostic;
pub mod fragment;
pub mod pack;
pub mod source;
pub mod syntax;
pub mod tree;
pub mod yaml;
