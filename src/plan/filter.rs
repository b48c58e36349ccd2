//! What a request asks for, as predicates over the driving rows.

use super::catalog::RowSource;
use super::select::{Filter, Param, quote_ident, quote_literal};
use crate::mapping::tree::{Deleted, Mapping};
use crate::row::PgKind;

/// Bounds on the last change, both exclusive, as `timestamptz` text in UTC (K-35, K-39).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Changed strictly after this.
    pub since: Option<String>,
    /// Changed strictly before this.
    pub until: Option<String>,
}

impl Changed {
    /// True when nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}

/// The rows of `mapping` that are wanted: not deleted, changed within bounds. A mapping without `updated` is
/// exported whole (K-36); the caller says so in an outcome.
pub fn wanted(mapping: &Mapping, rows: &RowSource, changed: &Changed, zone: &str) -> Filter {
    let mut filter = Filter::default();
    if let Some(Deleted::Column(name)) = &mapping.header.deleted
        && let Some((_, column)) = rows.column(&name.text)
    {
        filter.conditions.push(if column.kind == PgKind::Bool {
            format!("q.{} is not true", quote_ident(&name.text))
        } else {
            format!("q.{} is null", quote_ident(&name.text))
        });
    }
    if let Some(name) = &mapping.header.updated
        && let Some((_, column)) = rows.column(&name.text)
    {
        within(&mut filter, &format!("q.{}", quote_ident(&name.text)), &column.kind, changed, zone);
    }
    filter
}

/// The rows of `mapping` that became tombstones within bounds; `None` when the mapping has no soft-delete column.
pub fn deleted(mapping: &Mapping, rows: &RowSource, changed: &Changed, zone: &str) -> Option<Filter> {
    let Some(Deleted::Column(name)) = &mapping.header.deleted else { return None };
    let (_, column) = rows.column(&name.text)?;
    let mut filter = Filter::default();
    let raw = format!("q.{}", quote_ident(&name.text));
    if column.kind == PgKind::Bool {
        filter.conditions.push(raw);
        if let Some(updated) = &mapping.header.updated
            && let Some((_, column)) = rows.column(&updated.text)
        {
            within(&mut filter, &format!("q.{}", quote_ident(&updated.text)), &column.kind, changed, zone);
        }
    } else {
        filter.conditions.push(format!("{raw} is not null"));
        within(&mut filter, &raw, &column.kind, changed, zone);
    }
    Some(filter)
}

/// Adds the bounds on a time column. A `date` cannot be compared to an instant exactly: the whole day of a bound is
/// included, since a repeated row does less harm than a lost one.
pub fn within(filter: &mut Filter, column: &str, kind: &PgKind, changed: &Changed, zone: &str) {
    let zone = quote_literal(zone);
    let (after, before, value) = match kind {
        PgKind::Date => (">=", "<=", format!("({{}}::text::timestamptz at time zone {zone})::date")),
        PgKind::Timestamp => (">", "<", format!("({{}}::text::timestamptz at time zone {zone})")),
        _ => (">", "<", "{}::text::timestamptz".to_owned()),
    };
    if let Some(since) = &changed.since {
        filter.push(&format!("{column} {after} {value}"), Param::Text(since.clone()));
    }
    if let Some(until) = &changed.until {
        filter.push(&format!("{column} {before} {value}"), Param::Text(until.clone()));
    }
}

/// Adds "one of `columns` holds one of these keys"; an empty list matches nothing.
pub fn keys(filter: &mut Filter, columns: &[(String, PgKind)], keys: &[String]) {
    let number = filter.params.len() + 1;
    let any: Vec<String> = columns
        .iter()
        .map(|(column, kind)| format!("q.{} = any(${number}::text[]::{}[])", quote_ident(column), cast_name(kind)))
        .collect();
    filter.params.push(Param::TextArray(keys.to_vec()));
    filter.conditions.push(if any.is_empty() { "false".to_owned() } else { format!("({})", any.join(" or ")) });
}

/// The type a text parameter is cast to for a comparison with a column of this kind.
pub fn cast_name(kind: &PgKind) -> String {
    match kind {
        PgKind::Char => "text".to_owned(),
        other => other.to_string(),
    }
}
