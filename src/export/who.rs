//! Whose records an export is about: everybody's, those of patients, those of a group's members.

use std::collections::BTreeSet;

use super::ExportError;
use super::cohort::criteria;
use super::ids::{self, FoundKeys};
use super::plan::text_of;
use super::prepare::Prepared;
use crate::bulk::{Cohort, ExportRequest, Level, Roster};
use crate::mapping::tree::Mapping;
use crate::plan::filter;
use crate::plan::members::{Asked, Membership, membership};
use crate::plan::patients::{Compartment, compartment};
use crate::plan::select::{Filter, quote_ident};
use crate::row::PgKind;
use crate::source::Session;

/// Patients whose keys make a statement that is not for planning it twice.
const MANY: usize = 1_000;

/// What is known beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known<'a> {
    /// Whether the export could run is asked; it has no snapshot yet.
    Before {
        /// The listed members of its Group.
        roster: Option<&'a Roster>,
    },
    /// It runs.
    Now {
        /// The listed members of its Group.
        roster: Option<&'a Roster>,
        /// The snapshot's time.
        at: i64,
        /// Those who joined after `_since` come whole (K-37).
        newcomers: bool,
    },
}

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
    /// Who is a member at this time, as text.
    at: Option<String>,
    /// Members who joined after `_since`, and come whole.
    new: Option<FoundKeys>,
    /// Listed members who are not there any more.
    pub(super) gone: usize,
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
    known: Known<'_>,
) -> Result<Who<'a>, ExportError> {
    let (roster, at, whole) = match known {
        Known::Before { roster } => (roster, None, false),
        Known::Now { roster, at, newcomers } => (roster, Some(text_of(at)), newcomers),
    };
    let since = request.since.filter(|_| whole);
    let mut who = Who {
        prepared,
        compartments: request.level != Level::System || !request.patients.is_empty(),
        named: request.types_given,
        patients: None,
        group: None,
        new: since.map(|_| FoundKeys::default()),
        at,
        gone: 0,
    };
    match (&request.level, &request.cohort) {
        (Level::Group(_), Some(cohort)) => {
            // A list that is lost is not an empty one.
            if cohort.roster.is_some() != roster.is_some() {
                return Err(ExportError::UnknownGroup);
            }
            if request.patients.is_empty() && matches!(known, Known::Now { .. }) {
                who.members(session, request, cohort, roster).await?;
            }
        }
        (Level::Group(id), None) => {
            let (members, group) = group(session, prepared, id).await?;
            let asked = Asked { group: &group, at: who.at.as_deref() };
            if let Some(statement) = since.and_then(|since| members.newcomers(asked, &text_of(since))) {
                let keys =
                    session.query_text(&statement).await?.into_iter().filter_map(|row| row.into_iter().next()?);
                who.new = Some(FoundKeys::of_keys([(members.mapping.to_owned(), keys.collect())].into()));
            }
            who.group = Some((members, group));
        }
        (Level::System | Level::Patient, _) => {}
    }
    if !request.patients.is_empty() {
        who.patients(session, request, roster).await?;
    }
    Ok(who)
}

impl Who<'_> {
    /// Restricts to the members of a Group that a client has made.
    async fn members(
        &mut self,
        session: &Session,
        request: &ExportRequest,
        cohort: &Cohort,
        roster: Option<&Roster>,
    ) -> Result<(), ExportError> {
        let mut listed = None;
        if let Some(roster) = roster {
            let ids: Vec<&str> = roster.iter().map(|(id, _)| id).collect();
            let (found, missing) = ids::find(session, self.prepared, "Patient", &ids).await?;
            self.gone = missing.len();
            self.newcomers(request, &ids, &found, roster);
            listed = Some(found);
        }
        let everybody = listed.is_none() && cohort.filters.is_empty();
        let members = criteria(session, self.prepared, request, &cohort.filters, listed).await?;
        // A Group that says nothing of its members has none.
        self.patients = Some(members.filter(|_| !everybody).unwrap_or_default());
        Ok(())
    }

    /// Restricts to the patients that are named.
    async fn patients(
        &mut self,
        session: &Session,
        request: &ExportRequest,
        roster: Option<&Roster>,
    ) -> Result<(), ExportError> {
        let ids: Vec<&str> = request.patients.iter().map(String::as_str).collect();
        let (found, missing) = ids::find(session, self.prepared, "Patient", &ids).await?;
        let mut inside = vec![true; ids.len()];
        let mut leave = |at: usize| {
            if let Some(inside) = inside.get_mut(at) {
                *inside = false;
            }
        };
        missing.into_iter().for_each(&mut leave);
        // Who is no member of the group is as good as unknown: nobody learns of patients outside.
        if let Some((members, group)) = &self.group {
            let asked = Asked { group, at: self.at.as_deref() };
            let statement = members.among(asked, found.of(Some(members.mapping)).to_vec());
            let rows = session.query_text(&statement).await?;
            let of_group: BTreeSet<String> =
                rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            found.each(|mapping, key, at| {
                if mapping != members.mapping || !of_group.contains(key) {
                    leave(at);
                }
            });
        }
        if let Some(roster) = roster {
            ids.iter().enumerate().filter(|(_, id)| !roster.contains(id)).for_each(|(at, _)| leave(at));
        }
        if let Some(cohort) = request.cohort.as_ref().filter(|cohort| !cohort.filters.is_empty()) {
            let listed = found.only(|at| inside.get(at) == Some(&true));
            let members = criteria(session, self.prepared, request, &cohort.filters, Some(listed)).await?;
            found.each(|mapping, key, at| {
                if !members.as_ref().is_some_and(|members| members.of(Some(mapping)).iter().any(|one| one == key))
                    && let Some(inside) = inside.get_mut(at)
                {
                    *inside = false;
                }
            });
        }
        let unknown: Vec<String> =
            ids.iter().zip(&inside).filter(|(_, inside)| !**inside).map(|(id, _)| (*id).to_owned()).collect();
        if !unknown.is_empty() {
            return Err(ExportError::UnknownPatients(unknown));
        }
        if let Some(roster) = roster {
            self.newcomers(request, &ids, &found, roster);
        }
        self.patients = Some(found);
        Ok(())
    }

    /// Remembers which of the listed members have joined after `_since`.
    fn newcomers(&mut self, request: &ExportRequest, ids: &[&str], found: &FoundKeys, roster: &Roster) {
        if let (Some(new), Some(since)) = (&mut self.new, request.since) {
            let joined = |at: usize| ids.get(at).and_then(|id| roster.joined(id));
            *new = found.only(|at| joined(at).is_some_and(|joined| joined > since));
        }
    }
}

/// The group with this id: who is in it, and its key.
async fn group<'a>(
    session: &Session,
    prepared: &'a Prepared,
    id: &str,
) -> Result<(Membership<'a>, String), ExportError> {
    let (found, _) = ids::find(session, prepared, "Group", &[id]).await.map_err(|error| match error {
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
                members.narrow(filter, &column, self.asked(group));
            }
        }
        if let Some(patients) = &self.patients {
            filter::keys(filter, &column, patients.of(target.as_deref()));
        } else if self.group.is_none() {
            // A row without a patient is in nobody's compartment.
            filter.conditions.push(format!("q.{} is not null", quote_ident(&column.0)));
        }
        Ok(Narrowed::Yes)
    }

    /// A condition for the rows of those who joined after `_since` (K-37); none where there are none, or nobody knows.
    pub(super) fn joined_since(&self, mapping: &Mapping, filter: &mut Filter) -> Option<String> {
        let new = self.new.as_ref()?;
        let (column, target) = self.owner(mapping)?;
        let new = new.of(target.as_deref());
        (!new.is_empty()).then(|| filter::one_of(filter, &column, new))
    }

    /// The column that says whose the rows of a mapping are, and the Patient mapping whose key it holds.
    fn owner(&self, mapping: &Mapping) -> Option<((String, PgKind), Option<String>)> {
        match compartment(&self.prepared.pack, mapping, &self.prepared.catalog) {
            Compartment::Self_ { column } => Some((column, Some(mapping.name.clone()))),
            Compartment::Column { column, mapping } => Some((column, mapping)),
            Compartment::Outside | Compartment::Unknown => None,
        }
    }

    fn asked<'s>(&'s self, group: &'s str) -> Asked<'s> {
        Asked { group, at: self.at.as_deref() }
    }

    /// True when so many are named that a statement with all their keys takes seconds to plan.
    pub(super) fn is_large(&self) -> bool {
        self.patients.as_ref().is_some_and(|patients| patients.len() > MANY)
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
