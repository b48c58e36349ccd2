//! What the data engineer writes, read into a checked and located tree. Knows FHIR, no database.

pub mod catalogue;
pub mod check;
mod codes;
pub mod compartment;
pub mod diagnostic;
pub mod fragment;
pub mod header;
pub mod pack;
pub mod patch;
pub mod print;
pub mod project;
pub mod render;
mod shape;
pub mod source;
mod sql;
pub mod syntax;
pub mod tree;
pub mod uuid5;
pub mod yaml;

pub use diagnostic::nearest;
