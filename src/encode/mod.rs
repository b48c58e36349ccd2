//! Row batches and a program become bytes. No I/O, no runtime: the caller feeds batches and drains the output.
//!
//! [`Encoder`] runs the ops of a [`Program`](crate::plan::program::Program) (`ndjson`) over the
//! current row of each scope (`scope`) and writes values (`leaf`, and below it `text`, `number`, `time`) into an
//! [`Output`].

mod array;
mod code;
mod compare;
#[cfg(test)]
mod fixture;
mod hash;
mod leaf;
mod lookup;
mod ndjson;
mod number;
mod output;
mod points;
mod render;
mod report;
mod scope;
mod search;
mod string;
mod syntax;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod verify;
mod watch;

pub use compare::fields as field_order;
pub use ndjson::{Encoder, Limits, Step};
pub use output::{Output, Settled, Spill};
pub use points::{LONGEST_REFERENCE, Targets, beginning, id_of, references, references_read, target_of, targets};
pub use report::{Rejection, Report, SiteCounts};
pub use search::Search;
pub use watch::{Seen, Watched, WatchedRow};

/// A value that cannot be written in the form FHIR wants. It carries nothing: values are patient data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Invalid;

/// A program that cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// No such time zone.
    #[error("failed to find time zone `{name}`")]
    Zone {
        /// Its name.
        name: String,
        /// What the zone database says.
        source: jiff::Error,
    },
    /// A template does not parse.
    #[error("failed to parse a template: {reason}")]
    Template {
        /// What the template engine says.
        reason: String,
    },
    /// The program refers to something that it does not have: a mistake of the compiler.
    #[error("failed to verify the program: {0}")]
    Program(&'static str),
}
