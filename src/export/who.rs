//! Whose records an export is about: everybody's, those of patients, those of a group's members.

use std::collections::BTreeSet;

use super::ExportError;
use super::ids::{self, FoundKeys};
use super::prepare::Prepared;
use crate::bulk::{ExportRequest, Level};
use crate::mapping::tree::Mapping;
use crate::plan::filter;
use crate::plan::members::{Membership, membership};
use crate::plan::patients::{Compartment, compartment};
use crate::plan::select::{Filter, quote_ident};
use crate::source::Session;

/// Whose records are wanted.
pub(super) struct Who<'a> {
    prepared: &'a Prepared,
    /// Only what belongs to patients.
    compartments: bool,
    /// Its types are named, so that none of them may be missing.
    named: bool,
    /// Only these patients.
    patients: Option<FoundKeys>,
    /// Only members of this group.
    group: Option<(Membership<'a>, String)>,
}

/// What a restriction does to a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrowed {
    /// Its filter is as narrow as it must be.
    Yes,
    /// Nothing of it belongs to a patient.
    Outside,
    /// Nobody can say whose its rows are, and nobody asked for them by name.
    Unknown,
}

/// Finds out whose records a request wants.
///
/// # Errors
///
/// [`ExportError::UnknownPatients`], [`ExportError::UnknownGroup`]: a restriction that matches nothing by mistake looks
/// like an empty record (K-19, K-50).
pub(super) async fn who<'a>(
    session: &Session,
    prepared: &'a Prepared,
    request: &ExportRequest,
) -> Result<Who<'a>, ExportError> {
    let group = match &request.level {
        Level::Group(id) => Some(group(session, prepared, id).await?),
        Level::System | Level::Patient => None,
    };
    let mut found = None;
    if !request.patients.is_empty() {
        let (keys, mut unknown) = ids::find(session, prepared, "Patient", &request.patients).await?;
        if let Some((members, group)) = &group {
            let asked = keys.of(Some(members.mapping)).to_vec();
            let rows = session.query_text(&members.among(group, asked)).await?;
            let inside: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            let inside: BTreeSet<&str> = inside.iter().filter_map(|key| keys.id(members.mapping, key)).collect();
            // Who is no member of the group is as good as unknown: nobody learns of patients outside.
            unknown = request.patients.iter().filter(|id| !inside.contains(id.as_str())).cloned().collect();
        }
        if !unknown.is_empty() {
            return Err(ExportError::UnknownPatients(unknown));
        }
        found = Some(keys);
    }
    let compartments = request.level != Level::System || found.is_some();
    Ok(Who { prepared, compartments, named: request.types_given, patients: found, group })
}

/// The group with this id: who is in it, and its key.
async fn group<'a>(
    session: &Session,
    prepared: &'a Prepared,
    id: &str,
) -> Result<(Membership<'a>, String), ExportError> {
    let (found, _) = ids::find(session, prepared, "Group", &[id.to_owned()]).await.map_err(|error| match error {
        ExportError::PatientsNotApplicable { mapping, why } => ExportError::NoMembers { mapping, why },
        error => error,
    })?;
    for mapping in prepared.pack.mappings.iter().filter(|mapping| mapping.resource_type == "Group") {
        if let Some(key) = found.of(Some(&mapping.name)).first() {
            let members = membership(&prepared.pack, mapping, &prepared.catalog)
                .map_err(|why| ExportError::NoMembers { mapping: mapping.name.clone(), why })?;
            return Ok((members, key.clone()));
        }
    }
    Err(ExportError::UnknownGroup)
}

impl Who<'_> {
    /// Narrows the rows of one mapping.
    ///
    /// # Errors
    ///
    /// [`ExportError::PatientsNotApplicable`] when its type is asked for by name and nobody can say whose its rows are.
    pub(super) fn narrow(&self, mapping: &Mapping, filter: &mut Filter) -> Result<Narrowed, ExportError> {
        if !self.compartments {
            return Ok(Narrowed::Yes);
        }
        let (column, target) = match compartment(&self.prepared.pack, mapping, &self.prepared.catalog) {
            Compartment::Self_ { column } => (column, Some(mapping.name.clone())),
            Compartment::Column { column, mapping } => (column, mapping),
            Compartment::Outside => return Ok(Narrowed::Outside),
            Compartment::Unknown if self.named => return Err(no_patient(mapping)),
            Compartment::Unknown => return Ok(Narrowed::Unknown),
        };
        if let Some((members, group)) = &self.group {
            if target.as_deref().is_some_and(|target| target != members.mapping) {
                // Keys of another Patient mapping may be equal and mean somebody else.
                filter.conditions.push("false".to_owned());
            } else {
                members.narrow(filter, &column, group);
            }
        }
        if let Some(patients) = &self.patients {
            filter::keys(filter, std::slice::from_ref(&column), patients.of(target.as_deref()));
        } else if self.group.is_none() {
            // A row without a patient is in nobody's compartment.
            filter.conditions.push(format!("q.{} is not null", quote_ident(&column.0)));
        }
        Ok(Narrowed::Yes)
    }

    /// True when only what belongs to patients is wanted.
    pub(super) fn is_of_patients(&self) -> bool {
        self.compartments
    }

    /// True when a tombstone's owner matters, because only some people are wanted: a tombstone of its own does not say
    /// whose it was.
    pub(super) fn is_restricted(&self) -> bool {
        self.patients.is_some() || self.group.is_some()
    }
}

/// The error of a mapping whose rows could be anybody's.
pub(super) fn no_patient(mapping: &Mapping) -> ExportError {
    ExportError::PatientsNotApplicable {
        mapping: mapping.name.clone(),
        why: "no column of it holds the key of a patient; name one with `patient:`",
    }
}
