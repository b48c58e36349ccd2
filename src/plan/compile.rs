//! A checked pack and a catalog → programs, or everything that is wrong.

use super::bind::{self, check_headers};
use super::catalog::Catalog;
use super::filter::{self, Changed};
use super::lower::Lower;
use super::program::{Compiled, Op};
use super::select::{Filter, quote_ident};
use crate::mapping::diagnostic::{Diagnostic, Severity};
use crate::mapping::source::Sources;
use crate::mapping::tree::{ColumnRef, Deleted, Mapping, Pack, Part, Text};

/// Every mapping whose columns the catalog knows, compiled; and every mistake the columns show. Mappings with an
/// error are left out.
pub fn compile(pack: &Pack, sources: &Sources, catalog: &Catalog) -> (Vec<Compiled>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    check_headers(pack, sources, catalog, &mut diagnostics);
    let mut compiled = Vec::new();
    for mapping in &pack.mappings {
        if let Some((done, found)) = compile_mapping(pack, mapping, sources, catalog) {
            if found.iter().all(|diagnostic| diagnostic.severity != Severity::Error) {
                compiled.push(done);
            }
            diagnostics.extend(found);
        }
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.primary.span, diagnostic.code));
    diagnostics.dedup_by_key(|diagnostic| (diagnostic.primary.span, diagnostic.code));
    (compiled, diagnostics)
}

/// One mapping, compiled, and every mistake that its columns show; `None` when they are not known.
pub(super) fn compile_mapping(
    pack: &Pack,
    mapping: &Mapping,
    sources: &Sources,
    catalog: &Catalog,
) -> Option<(Compiled, Vec<Diagnostic>)> {
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let id = lower.text(&mapping.id);
    let present = lower.text_presence(&mapping.id);
    lower.reject_unless(present, "R405", &format!("{}.id", mapping.resource_type));
    lower.assume(present);
    lower.resource(&mapping.root);
    Some(lower.finish(id))
}

/// What writes, for every row of `mapping`, a line of two JSON strings with a tab between: its id, and its key as text
/// that PostgreSQL reads back. `None` when the key has several columns, or no such text.
pub fn identities(pack: &Pack, mapping: &Mapping, sources: &Sources, catalog: &Catalog) -> Option<Compiled> {
    let [key] = mapping.header.key.as_slice() else { return None };
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let path = format!("{}.id", mapping.resource_type);
    let id = lower.text(&mapping.id);
    let present = lower.text_presence(&mapping.id);
    lower.reject_unless(present, "R405", &path);
    let column = ColumnRef { up: 0, name: key.text.clone(), json: Vec::new(), span: key.span };
    let key = lower.text(&Text { parts: vec![Part::Column(column)], refers: None, html: false, span: key.span });
    for (code, text, after) in [("R405", id, b"\t"), ("R204", key, b"\n")] {
        let site = lower.emit.site(code, &path, None);
        let _ = lower.emit.op(0, Op::Text { text, site });
        lower.emit.literal(after);
    }
    let (compiled, wrong) = lower.finish(id);
    wrong.iter().all(|diagnostic| diagnostic.severity != Severity::Error).then_some(compiled)
}

/// What writes every resource of `mapping` behind a JSON string and a tab: the text `owner` over the row, which is left
/// out where one of its columns is empty. `None` when `owner` cannot be written as the reference it is.
pub fn owned(pack: &Pack, mapping: &Mapping, sources: &Sources, catalog: &Catalog, owner: &Text) -> Option<Compiled> {
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let path = format!("{}.id", mapping.resource_type);
    let id = lower.text(&mapping.id);
    let present = lower.text_presence(&mapping.id);
    lower.reject_unless(present, "R405", &path);
    lower.assume(present);
    let known = lower.text_presence(owner);
    let nobody = lower.emit.jump_unless(0, known);
    let text = lower.text(owner);
    let site = lower.emit.site("R204", &path, None);
    let _ = lower.emit.op(0, Op::Text { text, site });
    lower.emit.land(0, nobody);
    lower.emit.literal(b"\t");
    lower.resource(&mapping.root);
    let (compiled, wrong) = lower.finish(id);
    wrong.iter().all(|diagnostic| diagnostic.severity != Severity::Error).then_some(compiled)
}

/// The same, behind the text of one of its columns.
pub fn with_column(
    pack: &Pack,
    mapping: &Mapping,
    sources: &Sources,
    catalog: &Catalog,
    column: &str,
) -> Option<Compiled> {
    let span = mapping.id.span;
    let column = ColumnRef { up: 0, name: column.to_owned(), json: Vec::new(), span };
    let text = Text { parts: vec![Part::Column(column)], refers: None, html: false, span };
    owned(pack, mapping, sources, catalog, &text)
}

/// What writes, for every row of `mapping`, its id as a line of JSON.
pub fn ids(pack: &Pack, mapping: &Mapping, sources: &Sources, catalog: &Catalog) -> Option<Compiled> {
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let path = format!("{}.id", mapping.resource_type);
    let id = lower.text(&mapping.id);
    let text = lower.text(&mapping.id);
    let present = lower.text_presence(&mapping.id);
    lower.reject_unless(present, "R405", &path);
    let site = lower.emit.site("R405", &path, None);
    let _ = lower.emit.op(0, Op::Text { text, site });
    lower.emit.literal(b"\n");
    let (compiled, wrong) = lower.finish(id);
    wrong.iter().all(|diagnostic| diagnostic.severity != Severity::Error).then_some(compiled)
}

/// What a deletion is in a `deleted` file (M-10): this, a JSON string of type and id, and [`DELETION_END`].
pub const DELETION: &[u8] =
    br#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"#;
/// See [`DELETION`].
pub const DELETION_END: &[u8] = b"}}]}\n";

/// What writes the deletions of one mapping: one Bundle line per tombstone (M-10).
#[derive(Debug, Clone)]
pub struct Tombstones {
    /// The writer and its stream; its rows go by the alias `q` and have the mapping's key columns.
    pub compiled: Compiled,
    /// The tombstones within the bounds that were asked for.
    pub filter: Filter,
}

/// The deletions of `mapping` within `changed`; `None` when it does not say where they are.
///
/// A tombstone whose row is there again is none (M-12).
pub fn tombstones(
    pack: &Pack,
    mapping: &Mapping,
    sources: &Sources,
    catalog: &Catalog,
    changed: &Changed,
) -> Option<Tombstones> {
    let zone = pack.project.zone();
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let filter = match mapping.header.deleted.as_ref()? {
        Deleted::Column(_) => filter::deleted(mapping, catalog.rows.get(&mapping.name)?, changed, zone)?,
        Deleted::Rows { rows, key, at } => {
            let found = catalog.rows.get(&format!("{}#deleted", mapping.name))?;
            let renamed: Vec<String> = key
                .iter()
                .zip(&mapping.header.key)
                .map(|(theirs, own)| format!("d.{} as {}", quote_ident(&theirs.text), quote_ident(&own.text)))
                .collect();
            let same: Vec<String> = key
                .iter()
                .zip(&mapping.header.key)
                .map(|(theirs, own)| format!("r.{} = d.{}", quote_ident(&own.text), quote_ident(&theirs.text)))
                .collect();
            let at_column = format!("d.{}", quote_ident(&at.text));
            lower.streams[0].from = format!(
                "(select {}, {at_column} as deleted_at from {} where not exists (select from {} where {})) q",
                renamed.join(", "),
                bind::from_item(rows, "d"),
                bind::from_item(&mapping.header.rows, "r"),
                same.join(" and "),
            );
            let kind = found.column(&at.text).map(|(_, column)| column.kind.clone())?;
            let mut filter = Filter::default();
            filter::within(&mut filter, "q.deleted_at", &kind, changed, zone, true);
            filter
        }
    };
    let mut url = mapping.id.clone();
    url.parts.insert(0, Part::Literal(format!("{}/", mapping.resource_type)));
    let id = lower.text(&mapping.id);
    let text = lower.text(&url);
    let present = lower.text_presence(&mapping.id);
    let path = format!("{}.id", mapping.resource_type);
    lower.reject_unless(present, "R405", &path);
    lower.emit.literal(DELETION);
    let site = lower.emit.site("R405", &path, None);
    let _ = lower.emit.op(0, Op::Text { text, site });
    lower.emit.literal(DELETION_END);
    let (mut compiled, _) = lower.finish(id);
    compiled.split = None;
    Some(Tombstones { compiled, filter })
}
