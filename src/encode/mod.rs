//! Row batches and a program become bytes. No I/O, no runtime: the caller feeds batches and drains the output.

mod number;
mod syntax;
mod text;
mod time;

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
}
