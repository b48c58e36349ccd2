//! `_typeFilter`: FHIR searches that narrow an export (K-56 to K-63), and those that withhold resources.

use serde::{Deserialize, Serialize};

/// Stands for every type in a search that withholds.
pub const EVERY_TYPE: &str = "*";

/// One search: what it finds matches every one of its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeFilter {
    /// The type it is about, or [`EVERY_TYPE`].
    pub resource_type: String,
    /// All of them hold.
    pub parameters: Vec<Parameter>,
}

/// A search parameter and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// `category`.
    pub code: String,
    /// What is asked.
    pub ask: Ask,
}

/// What the values of a parameter must be like. Of several values one is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// `:missing`: whether there is none.
    Missing(bool),
    /// Tokens.
    Token(Vec<Token>),
    /// `:not`: no value is one of these; having none is enough.
    NotToken(Vec<Token>),
    /// `:text`: the text beside a code begins like one of these.
    Text(Vec<String>),
    /// Text.
    String(TextMatch, Vec<String>),
    /// Dates, in FHIR's notation.
    Date(Vec<Compared>),
    /// Numbers, digits as given.
    Number(Vec<Compared>),
    /// Numbers with a unit.
    Quantity(Vec<QuantityAsk>),
    /// References.
    Reference(Vec<Target>),
    /// `:identifier` of a reference.
    Identifier(Vec<Token>),
    /// URIs, whole.
    Uri(Vec<String>),
    /// Of each composite value, what its parts are like.
    Composite(Vec<Vec<Ask>>),
}

/// How much of a text must be alike. Case and accents count only for `Exact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextMatch {
    /// Its beginning.
    Starts,
    /// `:contains`: some part.
    Contains,
    /// `:exact`: all of it, letter by letter.
    Exact,
}

/// The prefixes of ordered parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// Within the range of what is asked.
    Eq,
    /// Not so.
    Ne,
    /// Reaches above it.
    Gt,
    /// Reaches below it.
    Lt,
    /// Within or above.
    Ge,
    /// Within or below.
    Le,
    /// Begins after it.
    Sa,
    /// Ends before it.
    Eb,
}

/// A value with its prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// How it compares.
    pub prefix: Prefix,
    /// With what.
    pub value: String,
}

/// `ge5.4|http://unitsofmeasure.org|mg`, `5.4||mg`, `5.4`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantityAsk {
    /// How it compares.
    pub prefix: Prefix,
    /// The number, digits as given.
    pub value: String,
    /// System of the unit; `None`: any.
    pub system: Option<String>,
    /// The unit's code; without a system also its text. `None`: any.
    pub unit: Option<String>,
}

/// What a reference points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A resource of this server: `Patient/17`, or `17` of any type.
    Local {
        /// Its type, if it is given.
        resource_type: Option<String>,
        /// Its id.
        id: String,
    },
    /// Something elsewhere, by its whole URL.
    Url(String),
}

/// A token value: `code`, `system|code`, `|code`, `system|`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What the system must be: `None` any, `Some("")` none at all.
    pub system: Option<String>,
    /// What the code must be: `None` any.
    pub code: Option<String>,
}
