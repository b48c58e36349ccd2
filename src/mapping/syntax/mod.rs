//! The small languages inside scalars and keys: column expressions, conditions, codings, references, templates.
//!
//! Each reader takes a [`Piece`] of YAML text, knows neither FHIR nor the rest of the pack, and reports with exact
//! places. Names stay names; what they mean is decided by `mapping::check`.

pub mod coding;
pub mod column;
pub mod condition;
mod cursor;
pub mod piece;
pub mod reference;
pub mod template;

pub use piece::Piece;

use super::diagnostic::Diagnostic;

/// What a reader of one construct gives: the construct, or the one mistake that stopped it.
pub type Parsed<T> = Result<T, Box<Diagnostic>>;

/// Whether `text` is a name of a mapping, list, code map or fragment: a letter, then letters, digits, `-`, `_`.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}
