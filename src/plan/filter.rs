//! What a request asks for, as predicates over the driving rows.

use std::sync::Arc;

use super::bind::from_item;
use super::catalog::RowSource;
use super::select::{Filter, Param, quote_ident, quote_literal};
use super::updated::{Stamp, stamps};
use crate::mapping::tree::{Deleted, Mapping};
use crate::row::PgKind;

/// Bounds on the last change, both exclusive, as `timestamptz` text in UTC (K-35, K-39).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Changed strictly after this.
    pub since: Option<String>,
    /// Changed strictly before this.
    pub until: Option<String>,
    /// A commit whose time is not known may lie after `since`.
    pub undated_commits: bool,
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
    let mut filter = present(mapping, rows);
    updated_within(&mut filter, mapping, rows, changed, zone);
    filter
}

/// The same, and those rows whatever their age that `also` gives a condition for (K-37).
pub fn wanted_or(
    mapping: &Mapping,
    rows: &RowSource,
    changed: &Changed,
    zone: &str,
    also: impl FnOnce(&mut Filter) -> Option<String>,
) -> Filter {
    let mut filter = present(mapping, rows);
    let before = filter.conditions.len();
    updated_within(&mut filter, mapping, rows, &Changed { until: None, ..changed.clone() }, zone);
    let changed_since = filter.conditions.split_off(before);
    if !changed_since.is_empty() {
        let changed_since = changed_since.join(" and ");
        let condition = match also(&mut filter) {
            Some(also) => format!("(({changed_since}) or {also})"),
            None => changed_since,
        };
        filter.conditions.push(condition);
    }
    updated_within(&mut filter, mapping, rows, &Changed { since: None, ..changed.clone() }, zone);
    filter
}

/// The rows of `mapping` that are not deleted.
fn present(mapping: &Mapping, rows: &RowSource) -> Filter {
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
    filter
}

/// Adds the bounds on the last change of a mapping's rows. What has no time may have changed at any (K-36).
fn updated_within(filter: &mut Filter, mapping: &Mapping, rows: &RowSource, changed: &Changed, zone: &str) {
    let stamps = stamps(mapping, rows);
    if let [stamp] = stamps.as_slice() {
        let undated = !stamp.commit || changed.undated_commits;
        return within(filter, &stamp.sql("q"), &stamp.kind, changed, zone, undated);
    }
    let (Some(first), Some(since)) = (stamps.first(), &changed.since) else {
        return before(filter, &stamps, changed, zone);
    };
    // A condition on several tables uses no index; one on each does.
    let (after, value) = lower(&first.kind, zone, &filter.param(Param::Text(since.clone())));
    let absent = |stamp: &Stamp<'_>| format!("{} is null", stamp.sql("r"));
    let mut any: Vec<String> = stamps.iter().map(|stamp| format!("{} {after} {value}", stamp.sql("r"))).collect();
    if changed.undated_commits || stamps.iter().all(|stamp| !stamp.commit) {
        any.push(stamps.iter().map(absent).collect::<Vec<_>>().join(" and "));
    }
    let key = |alias: &str| {
        let key = mapping.header.key.iter().map(|name| format!("{alias}.{}", quote_ident(&name.text)));
        key.collect::<Vec<_>>().join(", ")
    };
    let from = from_item(&mapping.header.rows, "r");
    let selects: Vec<String> = any.iter().map(|one| format!("select {} from {from} where {one}", key("r"))).collect();
    filter.conditions.push(format!("({}) in ({})", key("q"), selects.join(" union all ")));
    before(filter, &stamps, changed, zone);
}

/// Adds that every one of `stamps` lies before the upper bound.
fn before(filter: &mut Filter, stamps: &[Stamp<'_>], changed: &Changed, zone: &str) {
    let until = Changed { since: None, ..changed.clone() };
    for stamp in stamps {
        within(filter, &stamp.sql("q"), &stamp.kind, &until, zone, true);
    }
}

/// The rows of `mapping` that became tombstones within bounds; `None` when the mapping has no soft-delete column.
pub fn deleted(mapping: &Mapping, rows: &RowSource, changed: &Changed, zone: &str) -> Option<Filter> {
    let Some(Deleted::Column(name)) = &mapping.header.deleted else { return None };
    let (_, column) = rows.column(&name.text)?;
    let mut filter = Filter::default();
    let raw = format!("q.{}", quote_ident(&name.text));
    if column.kind == PgKind::Bool {
        filter.conditions.push(raw);
        updated_within(&mut filter, mapping, rows, changed, zone);
    } else {
        filter.conditions.push(format!("{raw} is not null"));
        within(&mut filter, &raw, &column.kind, changed, zone, false);
    }
    Some(filter)
}

/// Adds the bounds on a time column; `undated`: also what has no time there.
pub fn within(filter: &mut Filter, column: &str, kind: &PgKind, changed: &Changed, zone: &str, undated: bool) {
    if let Some(since) = &changed.since {
        let (after, value) = lower(kind, zone, &filter.param(Param::Text(since.clone())));
        let bound = format!("{column} {after} {value}");
        filter.conditions.push(if undated { format!("({bound} or {column} is null)") } else { bound });
    }
    if let Some(until) = &changed.until {
        let (before, value) = upper(kind, zone, &filter.param(Param::Text(until.clone())));
        filter.conditions.push(format!("({column} {before} {value} or {column} is null)"));
    }
}

/// What a time of this kind is compared with, in terms of the parameter `at`, so that nothing after an instant is left out. A `date` includes the day
/// of the bound. The hour before clocks are put back comes twice: whatever was stamped in the second comes with the
/// first, since a repeated row does less harm than a lost one.
fn lower(kind: &PgKind, zone: &str, at: &str) -> (&'static str, String) {
    let zone = quote_literal(zone);
    match kind {
        PgKind::Date => (">=", format!("({at}::text::timestamptz at time zone {zone})::date")),
        PgKind::Timestamp => (
            ">",
            format!(
                "least({at}::text::timestamptz at time zone {zone}, \
                 ({at}::text::timestamptz + interval '1 hour') at time zone {zone} - interval '1 hour')"
            ),
        ),
        _ => (">", format!("{at}::text::timestamptz")),
    }
}

/// The same for what is before an instant.
fn upper(kind: &PgKind, zone: &str, at: &str) -> (&'static str, String) {
    let zone = quote_literal(zone);
    match kind {
        PgKind::Date => ("<=", format!("({at}::text::timestamptz at time zone {zone})::date")),
        PgKind::Timestamp => (
            "<",
            format!(
                "greatest({at}::text::timestamptz at time zone {zone}, \
                 ({at}::text::timestamptz - interval '1 hour') at time zone {zone} + interval '1 hour')"
            ),
        ),
        _ => ("<", format!("{at}::text::timestamptz")),
    }
}

/// Adds that the column holds one of these keys; an empty list matches nothing.
pub fn keys(filter: &mut Filter, column: &(String, PgKind), keys: Arc<Vec<String>>) {
    let condition = one_of(filter, column, keys);
    filter.conditions.push(condition);
}

/// "The column holds one of these keys". An array, and no join with its items: PostgreSQL looks them up in a hash
/// table, or in the column's index while they are few.
pub fn one_of(filter: &mut Filter, (column, kind): &(String, PgKind), keys: Arc<Vec<String>>) -> String {
    let keys = filter.param(Param::TextArray(keys));
    format!("q.{} = any({keys}::text[]::{}[])", quote_ident(column), cast_name(kind))
}

/// The type a text parameter is cast to for a comparison with a column of this kind.
pub fn cast_name(kind: &PgKind) -> String {
    match kind {
        PgKind::Char => "text".to_owned(),
        other => other.to_string(),
    }
}
