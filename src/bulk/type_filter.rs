//! `_typeFilter`: FHIR searches that narrow an export (K-56 to K-62), and those that withhold resources.

use serde::{Deserialize, Serialize};

/// Stands for every type in a search that withholds.
pub const EVERY_TYPE: &str = "*";

/// One search: what it finds matches every one of its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFilter {
    /// The type it is about, or [`EVERY_TYPE`].
    pub resource_type: String,
    /// All of them hold.
    pub parameters: Vec<TokenParameter>,
}

/// A token parameter: one of its values is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenParameter {
    /// `category`.
    pub code: String,
    /// Any of them.
    pub any: Vec<Token>,
}

/// A token value: `code`, `system|code`, `|code`, `system|`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What the system must be: `None` any, `Some("")` none at all.
    pub system: Option<String>,
    /// What the code must be: `None` any.
    pub code: Option<String>,
}
