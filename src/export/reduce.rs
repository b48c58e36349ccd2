//! Programs of mappings whose resources do not have all their elements (K-46).

use std::sync::Arc;

use super::ExportError;
use super::prepare::Prepared;
use crate::bulk::ExportRequest;
use crate::mapping::tree::Mapping;
use crate::plan::program::Compiled;
use crate::plan::reduce::{compiled, reduced};
use crate::plan::search::Wanted;

/// The program of a mapping, without the elements that a request does not want (K-46).
pub(super) fn reduce(
    prepared: &Prepared,
    mapping: &Mapping,
    whole: &Arc<Compiled>,
    request: &ExportRequest,
    wanted: Option<&Wanted>,
) -> Result<Arc<Compiled>, ExportError> {
    let pruned = pruned(prepared, mapping, request, wanted)?;
    pruned.map_or_else(|| Ok(Arc::clone(whole)), |pruned| compile(prepared, &pruned))
}

/// A mapping without those elements; none where all are wanted.
pub(super) fn pruned(
    prepared: &Prepared,
    mapping: &Mapping,
    request: &ExportRequest,
    wanted: Option<&Wanted>,
) -> Result<Option<Mapping>, ExportError> {
    let Some(elements) = request.elements.of(&mapping.resource_type) else { return Ok(None) };
    let searched = wanted.into_iter().flat_map(Wanted::members).collect();
    Ok(Some(reduced(&prepared.pack, mapping, &elements, &searched)?))
}

/// The program of a pruned mapping.
pub(super) fn compile(prepared: &Prepared, mapping: &Mapping) -> Result<Arc<Compiled>, ExportError> {
    let Prepared { pack, sources, catalog, .. } = prepared;
    Ok(Arc::new(compiled(pack, mapping, sources, catalog)?))
}
