//! Names → columns: row sources of a pack, and the half of the diagnostics that needs to know their columns.

use super::catalog::{Catalog, Column, RowSource};
use super::select::quote_ident;
use super::updated;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::tree::{Deleted, Header, List, Mapping, Members, Name, Pack, Patient, Rows, RowsKind, Split};
use crate::row::PgKind;

/// One row source of a pack under the name the [`Catalog`] and `columns.lock` know it by.
#[derive(Debug, Clone)]
pub struct NamedRows<'a> {
    /// `patient`, `patient/contacts`, `patient#deleted`, `group#members`.
    pub name: String,
    /// The statement or table.
    pub rows: &'a Rows,
    /// The mapping it belongs to.
    pub mapping: &'a Mapping,
}

/// Every row source of a pack, in order of the mappings.
pub fn row_sources(pack: &Pack) -> Vec<NamedRows<'_>> {
    let mut all = Vec::new();
    for mapping in &pack.mappings {
        let header = &mapping.header;
        all.push(NamedRows { name: mapping.name.clone(), rows: &header.rows, mapping });
        lists_of(mapping, &mapping.name, &header.lists, &mut all);
        if let Some(Deleted::Rows { rows, .. }) = &header.deleted {
            all.push(NamedRows { name: format!("{}#deleted", mapping.name), rows, mapping });
        }
        if let Some(members) = &header.members {
            all.push(NamedRows { name: format!("{}#members", mapping.name), rows: &members.rows, mapping });
        }
    }
    all
}

fn lists_of<'a>(mapping: &'a Mapping, parent: &str, lists: &'a [List], all: &mut Vec<NamedRows<'a>>) {
    for list in lists {
        let name = format!("{parent}/{}", list.name.text);
        lists_of(mapping, &name, &list.lists, all);
        all.push(NamedRows { name, rows: &list.rows, mapping });
    }
}

/// The statement whose columns are those of the row source; what is PREPAREd to learn them.
pub fn describe_statement(rows: &Rows) -> String {
    match &rows.kind {
        RowsKind::Sql(sql) => sql.text.clone(),
        RowsKind::Table { schema, name } => format!("select * from {}", table(schema.as_deref(), name)),
    }
}

/// The row source as an item of a FROM clause.
pub(super) fn from_item(rows: &Rows, alias: &str) -> String {
    match &rows.kind {
        // The line break keeps a closing `-- comment` from swallowing the parenthesis.
        RowsKind::Sql(sql) => format!("(\n{}\n) {alias}", sql.text),
        RowsKind::Table { schema, name } => format!("{} {alias}", table(schema.as_deref(), name)),
    }
}

/// A table's quoted name.
pub fn table(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{}", quote_ident(schema), quote_ident(name)),
        None => quote_ident(name),
    }
}

/// What messages call a row source.
pub(super) fn described(rows: &Rows, sources: &crate::mapping::source::Sources, mapping: &Mapping) -> String {
    match &rows.kind {
        RowsKind::Table { schema: Some(schema), name } => format!("table {schema}.{name}"),
        RowsKind::Table { schema: None, name } => format!("table {name}"),
        RowsKind::Sql(sql) if sql.source == mapping.source => "the query of this mapping".to_owned(),
        RowsKind::Sql(sql) => sources.get(sql.source).path.clone(),
    }
}

/// Looks a column up, or says M301 with the nearest name.
pub(super) fn find<'a>(
    rows: &'a RowSource,
    described: &str,
    name: &str,
    span: Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(usize, &'a Column)> {
    let found = rows.column(name);
    if found.is_none() {
        diagnostics.push(unknown_column(rows, described, name, span));
    }
    found
}

fn unknown_column(rows: &RowSource, described: &str, name: &str, span: Span) -> Diagnostic {
    let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
    let mut diagnostic = Diagnostic::error("M301", span, format!("no column `{name}` in {described}"))
        .label("unknown column")
        .note(format!("columns: {}", listed(&names, 11)));
    if let Some(near) = crate::mapping::nearest(name, names.iter().copied()) {
        // The span covers `$name`, `../name` or `name`; the edit replaces the name alone, which stands last.
        let length = name.len() as u32;
        let at = Span { start: span.end.saturating_sub(length).max(span.start), ..span };
        diagnostic = diagnostic.edit("a column with a similar name exists", at, near);
    }
    diagnostic
}

/// `a, b, c, … 10 more`.
pub(super) fn listed(names: &[&str], most: usize) -> String {
    if names.len() <= most + 1 {
        return names.join(", ");
    }
    format!("{}, … {} more", names[..most].join(", "), names.len() - most)
}

/// Checks every column the headers name, and that a query gives each name once (M307).
pub(super) fn check_headers(
    pack: &Pack,
    sources: &crate::mapping::source::Sources,
    catalog: &Catalog,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for NamedRows { name, rows, mapping } in row_sources(pack) {
        let Some(found) = catalog.rows.get(&name) else { continue };
        for (at, column) in found.columns.iter().enumerate() {
            let unnamed = column.name.is_empty() || column.name == "?column?";
            if unnamed || found.columns[..at].iter().any(|earlier| earlier.name == column.name) {
                let described = described(rows, sources, mapping);
                let what = if unnamed {
                    format!("column {} of {described} has no name", at + 1)
                } else {
                    format!("{described} returns column `{}` twice", column.name)
                };
                diagnostics.push(
                    Diagnostic::error("M307", rows.span, what).help("give it a name of its own with `as` in the SQL"),
                );
            }
        }
    }
    for mapping in &pack.mappings {
        let header = &mapping.header;
        if let Some(rows) = catalog.rows.get(&mapping.name) {
            let described = described(&header.rows, sources, mapping);
            for name in own_names(header) {
                find(rows, &described, &name.text, name.span, diagnostics);
            }
            check_updated(mapping, rows, &described, diagnostics);
        }
        check_lists(mapping, &mapping.name, &header.lists, sources, catalog, diagnostics);
        if let Some(Deleted::Rows { rows, key, at }) = &header.deleted
            && let Some(found) = catalog.rows.get(&format!("{}#deleted", mapping.name))
        {
            let described = described(rows, sources, mapping);
            for name in key.iter().chain([at]) {
                find(found, &described, &name.text, name.span, diagnostics);
            }
        }
        if let Some(members) = &header.members
            && let Some(found) = catalog.rows.get(&format!("{}#members", mapping.name))
        {
            let described = described(&members.rows, sources, mapping);
            let others = members.group.iter().chain(members.times()).chain(&members.inactive);
            for name in members.parent.iter().chain([&members.patient]).chain(others) {
                find(found, &described, &name.text, name.span, diagnostics);
            }
            check_members(members, found, diagnostics);
        }
    }
}

/// Checks that `updated` names times, all of one type.
fn check_updated(mapping: &Mapping, rows: &RowSource, described: &str, diagnostics: &mut Vec<Diagnostic>) {
    for name in &mapping.header.updated {
        if !updated::hidden(mapping, &name.text) {
            find(rows, described, &name.text, name.span, diagnostics);
        }
    }
    let stamps = updated::stamps(mapping, rows);
    for stamp in &stamps {
        let span = stamp.name.span;
        if !matches!(stamp.kind, PgKind::Date | PgKind::Timestamp | PgKind::TimestampTz) {
            let error = Diagnostic::error("M204", span, format!("{} does not tell when a row was changed", stamp.kind));
            diagnostics.push(error.help("`updated` takes dates, timestamps, and `xid`, whose commit is looked up"));
        } else if let Some(first) = stamps.first().filter(|first| first.kind != stamp.kind) {
            let message = format!("{} cannot be compared with {}", stamp.kind, first.kind);
            let error = Diagnostic::error("M204", span, message).also(first.name.span, "the first of them");
            diagnostics.push(error.help("cast them to one type in SQL"));
        }
    }
}

/// Checks what can be read from the columns that say who is in a Group.
fn check_members(members: &Members, rows: &RowSource, diagnostics: &mut Vec<Diagnostic>) {
    let mut check = |name: &Name, fits: &dyn Fn(&PgKind) -> bool, wanted: &str| {
        if let Some((_, column)) = rows.column(&name.text)
            && !fits(&column.kind)
        {
            let error = Diagnostic::error("M204", name.span, format!("{} is not {wanted}", column.kind));
            diagnostics.push(error.help("cast it in SQL"));
        }
    };
    for name in members.times() {
        check(name, &|kind| matches!(kind, PgKind::Date | PgKind::Timestamp | PgKind::TimestampTz), "a time");
    }
    if let Some(name) = &members.inactive {
        check(name, &|kind| *kind == PgKind::Bool, "true or false");
    }
}

/// Names of the header that are columns of the mapping's own rows.
fn own_names(header: &Header) -> impl Iterator<Item = &Name> {
    let patient = match &header.patient {
        Patient::Column(name) => Some(name),
        Patient::Derived | Patient::None(_) => None,
    };
    let deleted = match &header.deleted {
        Some(Deleted::Column(name)) => Some(name),
        _ => None,
    };
    let split = match &header.split {
        Split::Column(name) => Some(name),
        Split::FirstKey | Split::None => None,
    };
    let search = header.search.iter().filter_map(|(_, column)| column.as_ref());
    header.key.iter().chain(deleted).chain(patient).chain(split).chain(search)
}

fn check_lists(
    mapping: &Mapping,
    parent: &str,
    lists: &[List],
    sources: &crate::mapping::source::Sources,
    catalog: &Catalog,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for list in lists {
        let name = format!("{parent}/{}", list.name.text);
        if let Some(found) = catalog.rows.get(&name) {
            let described = described(&list.rows, sources, mapping);
            for column in list.parent.iter().chain(&list.order).chain(&list.key) {
                find(found, &described, &column.text, column.span, diagnostics);
            }
        }
        check_lists(mapping, &name, &list.lists, sources, catalog, diagnostics);
    }
}
