//! Mapping + catalog + request → what to run. No I/O.

pub mod analysis;
pub mod bind;
pub mod catalog;
mod codes;
mod columns;
pub mod compile;
pub mod context;
mod emit;
pub mod filter;
pub mod grants;
mod leaves;
pub mod ledger;
pub mod listing;
pub mod lock;
mod lower;
pub mod members;
mod objects;
pub mod patients;
pub mod program;
pub mod proof;
pub mod push;
pub mod reduce;
mod reference;
mod scope;
pub mod search;
pub mod select;
pub mod split;
mod texts;
mod times;
pub mod updated;
mod writer;

pub use writer::{Accepted, accepted, accepts_json_field};
