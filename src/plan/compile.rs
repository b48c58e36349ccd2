//! A checked pack and a catalog → programs, or everything that is wrong.

use super::bind::check_headers;
use super::catalog::Catalog;
use super::lower::Lower;
use super::program::Compiled;
use crate::mapping::diagnostic::{Diagnostic, Severity};
use crate::mapping::source::Sources;
use crate::mapping::tree::{Mapping, Pack};

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

fn compile_mapping(
    pack: &Pack,
    mapping: &Mapping,
    sources: &Sources,
    catalog: &Catalog,
) -> Option<(Compiled, Vec<Diagnostic>)> {
    let mut lower = Lower::new(pack, mapping, sources, catalog)?;
    let id = lower.text(&mapping.id);
    let present = lower.text_presence(&mapping.id);
    lower.reject_unless(present, "R405", &format!("{}.id", mapping.resource_type));
    lower.resource(&mapping.root);
    Some(lower.finish(id))
}
