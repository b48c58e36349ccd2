//! The only writer of SQL: statements around a pack's row sources.
//!
//! Identifiers pass through [`quote_ident`]; values are text parameters that the statement itself casts.

use std::fmt::Write as _;

/// A statement with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// SQL with `$1`, `$2`, …
    pub text: String,
    /// All of type `text` or `text[]`.
    pub params: Vec<Param>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// `text`.
    Text(String),
    /// `text[]`.
    TextArray(Vec<String>),
}

/// A double-quoted identifier.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Shape of one stream's statement: what is selected and how it is ordered.
/// [`statement`] adds the filters and the split of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlan {
    /// FROM clause; the rows that make the resources go by the alias `q`, a list's by `l`.
    pub from: String,
    /// Select list, in column order of the stream.
    pub columns: Vec<String>,
    /// What holds for every row, such as a key that is not NULL.
    pub conditions: Vec<String>,
    /// Ordering expressions; empty for a flat export.
    pub order: Vec<String>,
    /// How rows of a list relate to the rows that make the resources; `None` for stream 0.
    pub parent: Option<ParentLink>,
}

/// A list's tie to the driving rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLink {
    /// The list's expressions for the parent's key.
    pub columns: Vec<String>,
    /// The parent's key, in terms of alias `q`.
    pub key: Vec<String>,
    /// The driving rows' FROM clause.
    pub from: String,
    /// Only rows whose parent exists may come, whatever the filters: lists nest below this one.
    pub always: bool,
}

/// Which of the driving rows are wanted in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Conditions over alias `q`; `$n` stands for the n-th parameter.
    pub conditions: Vec<String>,
    /// Their parameters.
    pub params: Vec<Param>,
}

impl Filter {
    /// Adds a condition; `{}` in it becomes the parameter's placeholder.
    pub fn push(&mut self, condition: &str, param: Param) {
        self.params.push(param);
        self.conditions.push(condition.replace("{}", &format!("${}", self.params.len())));
    }
}

/// The statement that reads `stream` for the driving rows that pass `filter`.
pub fn statement(stream: &StreamPlan, filter: &Filter) -> Statement {
    let mut text = format!("select {}\nfrom {}", stream.columns.join(", "), stream.from);
    let mut conditions = stream.conditions.clone();
    match &stream.parent {
        None => conditions.extend(filter.conditions.iter().cloned()),
        Some(link) if link.always || !filter.conditions.is_empty() => {
            let mut inner = format!("select {} from {}", link.key.join(", "), link.from);
            if !filter.conditions.is_empty() {
                let _ = write!(inner, " where {}", filter.conditions.join(" and "));
            }
            conditions.push(format!("({}) in ({inner})", link.columns.join(", ")));
        }
        Some(_) => {}
    }
    if !conditions.is_empty() {
        let _ = write!(text, "\nwhere {}", conditions.join("\n  and "));
    }
    if !stream.order.is_empty() {
        let _ = write!(text, "\norder by {}", stream.order.join(", "));
    }
    let used = stream.parent.as_ref().is_none_or(|_| text.contains('$'));
    Statement { text, params: if used { filter.params.clone() } else { Vec::new() } }
}
