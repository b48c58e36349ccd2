//! The only writer of SQL: statements around a pack's row sources.
//!
//! Identifiers pass through [`quote_ident`]; values are text parameters that the statement itself casts.

use std::fmt::Write as _;
use std::sync::Arc;

use super::split::{Range, SplitColumn};
use crate::row::PgKind;

/// A statement with its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// `text[]`; shared, because it may hold the keys of a million patients.
    TextArray(Arc<Vec<String>>),
}

/// A double-quoted identifier.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted text literal. Only names that stand in a mapping file (steps into a json document) are rendered this
/// way; values of a request are parameters.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // Without a backslash the literal reads the same whatever `standard_conforming_strings` says.
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Shape of one stream's statement: what is selected and how it is ordered.
/// [`statement`] adds the filters and the split of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlan {
    /// The row source it reads: `patient`, `patient/contacts`.
    pub name: String,
    /// The row source it reads, by its name in the [`Catalog`](super::catalog::Catalog).
    pub rows: String,
    /// FROM clause; the rows that make the resources go by the alias `q`, a list's by `l`.
    pub from: String,
    /// Select list, in column order of the stream.
    pub columns: Vec<String>,
    /// What each of `columns` is in terms of the row sources: for rows that do not come from a database.
    pub reads: Vec<Read>,
    /// What holds for every row, such as a key that is not NULL.
    pub conditions: Vec<String>,
    /// Ordering expressions; empty for a flat export.
    pub order: Vec<String>,
    /// How rows of a list relate to the rows that make the resources; `None` for stream 0.
    pub parent: Option<ParentLink>,
    /// The expression that holds the split column here, if this stream has it.
    pub split: Option<String>,
}

/// What a column of a stream is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A column of a row source.
    Column {
        /// The row source, by its name in the [`Catalog`](super::catalog::Catalog): the stream's own, or one that
        /// encloses it.
        rows: String,
        /// The column.
        column: String,
        /// Its type.
        kind: PgKind,
        /// What is done with it.
        form: ReadForm,
    },
    /// `true`, of a resource that reads no column.
    Nothing,
}

/// How a column of a row source becomes a column of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadForm {
    /// As it is.
    Plain,
    /// As part of a key: integers as `bigint`, texts as `text`, all else as it is.
    Key,
    /// The text at this path of a json document (`#>>`).
    JsonText(Vec<String>),
    /// The json at this path of a json document, as `jsonb` (`#>`).
    Json(Vec<String>),
    /// The newest of these columns, of which some may be NULL; `column` of the read is not one.
    Newest(Vec<String>),
    /// Of each item of the json array at one path the text at another, as `text[]`; NULL when no array is there.
    JsonItems {
        /// Where the array is; empty: the document itself.
        array: Vec<String>,
        /// Where the text is in each item.
        field: Vec<String>,
    },
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
    /// Adds a parameter, and gives what stands for it in conditions.
    pub fn param(&mut self, param: Param) -> String {
        self.params.push(param);
        format!("${}", self.params.len())
    }
}

/// The statement that reads `stream` for the driving rows that pass `filter` and lie in `range` of the split column.
pub fn statement(stream: &StreamPlan, filter: &Filter, range: &Range, split: Option<&SplitColumn>) -> Statement {
    let mut conditions = stream.conditions.clone();
    let mut driving = filter.conditions.clone();
    let mut params = filter.params.clone();
    let split = split.filter(|_| !range.is_whole());
    // A list that holds the split column itself is cut by it; else it follows the driving rows it belongs to.
    let follows = stream.split.is_none() || stream.parent.is_none();
    if let Some(split) = split.filter(|_| follows) {
        let expression = stream.split.clone().unwrap_or_else(|| format!("q.{}", quote_ident(&split.name)));
        let (condition, values) = range.condition(&expression, &split.kind, params.len() + 1);
        driving.push(condition);
        params.extend(values.into_iter().map(Param::Text));
    }
    match &stream.parent {
        None => conditions.append(&mut driving),
        Some(link) if link.always || !driving.is_empty() => {
            let mut inner = format!("select {} from {}", link.key.join(", "), link.from);
            if !driving.is_empty() {
                let _ = write!(inner, " where {}", driving.join(" and "));
            }
            conditions.push(format!("({}) in ({inner})", link.columns.join(", ")));
        }
        Some(_) => params.clear(),
    }
    if let (Some(split), Some(expression), false) = (split, &stream.split, follows) {
        let (condition, values) = range.condition(expression, &split.kind, params.len() + 1);
        conditions.push(condition);
        params.extend(values.into_iter().map(Param::Text));
    }
    let mut text = format!("select {}\nfrom {}", stream.columns.join(", "), stream.from);
    if !conditions.is_empty() {
        let _ = write!(text, "\nwhere {}", conditions.join("\n  and "));
    }
    if !stream.order.is_empty() {
        let _ = write!(text, "\norder by {}", stream.order.join(", "));
    }
    Statement { text, params }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote_ident("hosp"), r#""hosp""#);
        assert_eq!(quote_ident(r#"a"; drop table b; --"#), r#""a""; drop table b; --""#);
    }
}
