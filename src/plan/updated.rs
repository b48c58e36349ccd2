//! When a row was last changed, in terms of its columns (`updated` of a header).

use super::catalog::{Catalog, RowSource};
use super::select::{ReadForm, Statement, quote_ident};
use crate::mapping::tree::{Mapping, NEWEST, Name, Pack, RowsKind};
use crate::row::PgKind;

/// The hidden column of every table that names the transaction which wrote the row.
pub const XMIN: &str = "xmin";

/// One column of `updated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp<'a> {
    pub(super) name: &'a Name,
    /// Type of the time.
    pub(super) kind: PgKind,
    /// The column names a transaction, and the time is that of its commit.
    pub(super) commit: bool,
}

impl Stamp<'_> {
    /// The time, of the rows that go by `alias`.
    pub(super) fn sql(&self, alias: &str) -> String {
        let column = format!("{alias}.{}", quote_ident(&self.name.text));
        if self.commit { format!("pg_catalog.pg_xact_commit_timestamp({column})") } else { column }
    }
}

/// What tells the last change of this mapping's rows; columns that are not there are left out.
pub(super) fn stamps<'a>(mapping: &'a Mapping, rows: &RowSource) -> Vec<Stamp<'a>> {
    let stamp = |name: &'a Name| {
        let kind = match rows.column(&name.text) {
            Some((_, column)) => column.kind.clone(),
            None if hidden(mapping, &name.text) => PgKind::Other("xid".to_owned()),
            None => return None,
        };
        let commit = kind == PgKind::Other("xid".to_owned());
        Some(Stamp { name, kind: if commit { PgKind::TimestampTz } else { kind }, commit })
    };
    mapping.header.updated.iter().filter_map(stamp).collect()
}

/// The columns of `updated` that are there, and which of them name transactions.
pub fn columns<'a>(mapping: &'a Mapping, rows: &RowSource) -> Vec<(&'a str, bool)> {
    stamps(mapping, rows).into_iter().map(|stamp| (stamp.name.text.as_str(), stamp.commit)).collect()
}

/// True for `xmin` of a table, which no catalog lists.
pub(super) fn hidden(mapping: &Mapping, name: &str) -> bool {
    name == XMIN && matches!(mapping.header.rows.kind, RowsKind::Table { .. })
}

/// A column of the driving rows that is no column of theirs but made of `updated`: its SQL, its type, what it reads.
pub(super) fn computed(
    mapping: &Mapping,
    rows: &RowSource,
    alias: &str,
    name: &str,
) -> Option<(String, PgKind, ReadForm)> {
    let stamps = stamps(mapping, rows);
    let wanted: Vec<&Stamp<'_>> =
        stamps.iter().filter(|stamp| name == NEWEST || stamp.commit && stamp.name.text == name).collect();
    let kind = wanted.first()?.kind.clone();
    let read = wanted.iter().filter(|stamp| !stamp.commit).map(|stamp| stamp.name.text.clone()).collect();
    let sql: Vec<String> = wanted.iter().map(|stamp| stamp.sql(alias)).collect();
    let sql = if let [one] = sql.as_slice() { one.clone() } else { format!("greatest({})", sql.join(", ")) };
    Some((sql, kind, ReadForm::Newest(read)))
}

/// Where a pack names transactions instead of times; a mapping and a name each.
pub fn commits<'a>(pack: &'a Pack, catalog: &Catalog) -> Vec<(&'a Mapping, &'a Name)> {
    let mut found = Vec::new();
    for mapping in &pack.mappings {
        let Some(rows) = catalog.rows.get(&mapping.name) else { continue };
        found.extend(stamps(mapping, rows).into_iter().filter(|one| one.commit).map(|one| (mapping, one.name)));
    }
    found
}

/// Whether the server keeps the times of commits: one `text`, `on` or `off`.
pub fn commits_are_dated() -> Statement {
    let text = "select pg_catalog.current_setting('track_commit_timestamp')".to_owned();
    Statement { text, params: Vec::new() }
}

/// Whether commits after this instant may have no time any more: one `boolean`.
///
/// Times of commits are dropped with the transactions that vacuum has frozen, oldest ids first, and there are none
/// from before the server began to keep them. Ids are not given in the order of commits, hence the day.
pub fn commits_may_be_undated(since: &str) -> Statement {
    let text = "select coalesce(min(pg_catalog.pg_xact_commit_timestamp((((o - 3 + n) % 4294967293 + 3)::text)::xid)) \
                + interval '1 day' > $1::text::timestamptz, true) from (select oldest_commit_ts_xid::text::bigint as o \
                from pg_catalog.pg_control_checkpoint()) c, generate_series(0, 999) n where o >= 3";
    Statement { text: text.to_owned(), params: vec![super::select::Param::Text(since.to_owned())] }
}
