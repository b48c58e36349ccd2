//! `columns.lock`: the columns of every row source of a pack, so that checks and tests need no database.
//!
//! A section per row source, a line per column, its fields apart by a tab. Sections are in order of name and columns
//! in that of the statement, so that the diff of a changed query is the diff of its columns:
//!
//! ```text
//! [patient] 5d41402abc4b2a76
//! id      uuid    synthea.patients.id
//! birthdate       date    synthea.patients.birthdate
//! age     integer
//! ```
//!
//! What stands behind a section's name belongs to the statement the columns were asked for; when the statement
//! changes, the lock is stale (M309).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::bind::{describe_statement, row_sources};
use super::catalog::{Catalog, Column, RowSource};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::{SourceId, Span};
use crate::mapping::tree::{Pack, Rows};
use crate::row::PgKind;

/// The file's name, in the directory of the pack.
pub const FILE_NAME: &str = "columns.lock";

const HEADING: &str = "\
# The columns of this pack's queries, as PostgreSQL describes them. Keep it under version control; it is written by
#     smelt validate --database URL
";

/// What `columns.lock` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The columns.
    pub catalog: Catalog,
    /// Digest of the statement that each row source's columns were asked for.
    pub statements: BTreeMap<String, String>,
}

/// The text of `columns.lock` for the row sources of `pack` that `catalog` knows.
pub fn render(pack: &Pack, catalog: &Catalog) -> String {
    let sources: BTreeMap<String, &Rows> =
        row_sources(pack).into_iter().map(|named| (named.name, named.rows)).collect();
    let mut text = HEADING.to_owned();
    for (name, rows) in &catalog.rows {
        let Some(source) = sources.get(name) else { continue };
        let _ = writeln!(text, "\n[{}] {}", escaped(name), digest(pack, source));
        for Column { name, kind, origin } in &rows.columns {
            let kind = kind.to_string();
            let _ = write!(text, "{}\t{}", escaped(name), escaped(&kind));
            if let Some(origin) = origin {
                let _ = write!(text, "\t{}", escaped(origin));
            }
            text.push('\n');
        }
    }
    text
}

/// Reads `columns.lock`. A line that does not read, such as the mark of a merge conflict, is an M309 in `out`.
pub fn parse(source: SourceId, text: &str, out: &mut Vec<Diagnostic>) -> Lock {
    let mut lock = Lock::default();
    let mut section: Option<&mut RowSource> = None;
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let line = raw.trim_end_matches(['\n', '\r']);
        let span = Span::new(source, start, start + line.len());
        start += raw.len();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, digest)) = line.strip_prefix('[').and_then(|rest| rest.rsplit_once("] ")) {
            let name = unescaped(name).into_owned();
            lock.statements.insert(name.clone(), digest.to_owned());
            section = Some(lock.catalog.rows.entry(name).or_default());
            continue;
        }
        match (column(line), &mut section) {
            (Some(column), Some(rows)) => rows.columns.push(column),
            _ => out.push(
                Diagnostic::error("M309", span, "columns.lock cannot be read here")
                    .label("a column is `name`, `type` and `schema.table.column`, with tabs between them")
                    .help("write the file anew with `smelt validate --database URL`"),
            ),
        }
    }
    lock
}

/// An M309 for each row source of `pack` that the lock does not know, or knows by another statement.
pub fn stale(pack: &Pack, lock: &Lock) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for named in row_sources(pack) {
        let message = match lock.statements.get(&named.name) {
            Some(known) if *known == digest(pack, named.rows) => continue,
            Some(_) => "columns.lock is older than this query",
            None => "columns.lock does not know this query",
        };
        found.push(
            Diagnostic::warning("M309", named.rows.span, message)
                .label(format!("`{}` in columns.lock", named.name))
                .help("bring it up to date with `smelt validate --database URL`"),
        );
    }
    found
}

/// The start of a SHA-256 over the statement and the schemas that its names are looked up in.
fn digest(pack: &Pack, rows: &Rows) -> String {
    let hash = Sha256::new().chain_update(pack.project.schema.join(",")).chain_update("\n");
    let hash = hash.chain_update(describe_statement(rows)).finalize();
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn column(line: &str) -> Option<Column> {
    let mut fields = line.split('\t');
    let (name, kind, origin) = (fields.next()?, fields.next()?, fields.next());
    (fields.next().is_none() && !kind.is_empty()).then(|| Column {
        name: unescaped(name).into_owned(),
        kind: PgKind::from_sql_name(&unescaped(kind)),
        origin: origin.map(|origin| unescaped(origin).into_owned()),
    })
}

/// Names may hold anything in PostgreSQL; here they keep to their field and line.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '\t', '\n', '\r']) && !text.starts_with(['[', '#']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    if text.starts_with(['[', '#']) {
        out.push('\\');
    }
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
