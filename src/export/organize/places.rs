//! Where the resources of a mapping go: into the block of a patient, or into those that refer to them.

use std::sync::Arc;

use super::super::ExportError;
use super::super::prepare::Prepared;
use crate::bulk::ExportRequest;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::mapping::compartment::{Owner, owner};
use crate::mapping::tree::Mapping;
use crate::plan::compile::owned;
use crate::plan::program::Compiled;

/// How the resources of a mapping find their blocks. The program writes each behind an id and a tab.
#[derive(Debug, Clone)]
pub(in super::super) enum Place {
    /// Into the block of the patient with this id.
    Block(Arc<Compiled>),
    /// Into every block that refers to them; the id is their own.
    Context(Arc<Compiled>),
}

impl Place {
    /// What writes the resources.
    pub(in super::super) fn program(&self) -> &Arc<Compiled> {
        let (Self::Block(program) | Self::Context(program)) = self;
        program
    }
}

/// Finds the place of a mapping's resources; `made` is the mapping without elements that are not wanted.
///
/// # Errors
///
/// [`ExportError::NotOrganizable`] when nobody can tell whose they are.
pub(in super::super) fn place(prepared: &Prepared, mapping: &Mapping, made: &Mapping) -> Result<Place, ExportError> {
    let Prepared { pack, sources, catalog, .. } = prepared;
    let refused = |why| ExportError::NotOrganizable { mapping: mapping.name.clone(), why };
    match owner(pack, mapping) {
        Owner::Id(id) => owned(pack, made, sources, catalog, &id)
            .map(|program| Place::Block(Arc::new(program)))
            .ok_or_else(|| refused("its column for the patient is of another type than the key of the patients")),
        Owner::Outside => owned(pack, made, sources, catalog, &mapping.id)
            .map(|program| Place::Context(Arc::new(program)))
            .ok_or_else(|| refused("its id cannot be made")),
        Owner::Unknown(why) => Err(refused(why)),
    }
}

/// The same, for an export: what is not asked for by name is left out and told.
///
/// # Errors
///
/// As [`place`], for a type that is asked for by name.
pub(in super::super) fn placed(
    prepared: &Prepared,
    mapping: &Mapping,
    made: &Mapping,
    request: &ExportRequest,
    notices: &mut Vec<OperationOutcome>,
) -> Result<Option<Place>, ExportError> {
    match place(prepared, mapping, made) {
        Err(ExportError::NotOrganizable { why, .. }) if !request.types_given => {
            let text = format!(
                "{} of mapping {} was not exported: it cannot be put into blocks of patients, since {why}",
                mapping.resource_type, mapping.name
            );
            notices.push(OperationOutcome::new(Issue::new(Severity::Warning, IssueType::NotSupported).details(text)));
            Ok(None)
        }
        place => place.map(Some),
    }
}
