//! What an export is asked for.
//!
//! Whatever cannot be understood is refused, and a restriction that was given but is empty never widens the export.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::associated::Associated;
use super::cohort::Cohort;
use super::elements::{Elements, WrongElement};
use super::files::Files;
use super::instant;
use super::type_filter::TypeFilter;

/// What an export is about (K-01).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Everything: `[base]/$export`.
    #[default]
    System,
    /// The compartments of patients: `[base]/Patient/$export`.
    Patient,
    /// The compartments of a group's members: `[base]/Group/[id]/$export`.
    Group(String),
}

/// Kick-off parameters as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `_type`: every occurrence; each may be a comma list.
    pub types: Vec<String>,
    /// `_since`
    pub since: Option<String>,
    /// `_until`
    pub until: Option<String>,
    /// `patient`: every occurrence, `Patient/ID` or `ID`; each may be a comma list.
    pub patients: Vec<String>,
    /// `includeAssociatedData`: every occurrence; each may be a comma list.
    pub associated: Vec<String>,
    /// `_elements`: every occurrence; each may be a comma list.
    pub elements: Vec<String>,
    /// `organizeOutputBy`
    pub organize_by: Option<String>,
}

/// A request that has been checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// What it is about.
    pub level: Level,
    /// Resource types to export, ordered, each once; never empty.
    pub types: Vec<String>,
    /// True when `types` was asked for, false when it is everything that is mapped.
    pub types_given: bool,
    /// Only what changed strictly after it: microseconds since 1970-01-01T00:00:00Z.
    pub since: Option<i64>,
    /// Only what changed strictly before it: microseconds since 1970-01-01T00:00:00Z.
    pub until: Option<i64>,
    /// Only the compartments of these patients, by id, ordered, each once; empty means all patients of the level.
    pub patients: Vec<String>,
    /// Only resources that match: several of one type are alternatives, types without one stay whole (K-56, K-57).
    pub filters: Vec<TypeFilter>,
    /// Without resources that one of these finds: rules for the client that asks, not a wish of its own. They
    /// stand in the request so that they last as long as it does.
    #[serde(default)]
    pub withheld: Vec<TypeFilter>,
    /// The Group of the level is this one, which a client has made.
    #[serde(default)]
    pub cohort: Option<Cohort>,
    /// Sizes of files.
    #[serde(default)]
    pub files: Files,
    /// What comes beside it (K-52).
    #[serde(default)]
    pub associated: Associated,
    /// Only these root elements of resources, and what is mandatory (K-46).
    #[serde(default)]
    pub elements: Elements,
    /// Files hold a block for each patient, not one type each (K-66).
    #[serde(default)]
    pub by_patient: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// Types that no mapping makes (K-42).
    #[error("`_type` names {}, which no mapping makes", quoted(names))]
    UnknownTypes {
        /// As given, cut where they are long; never empty.
        names: Vec<String>,
        /// What would be possible.
        mapped: Vec<String>,
    },
    /// The pack has no mapping at all, so nothing can be exported.
    #[error("the pack has no mapping")]
    NothingMapped,
    /// A list was given without an item.
    #[error("`{parameter}` is given but empty")]
    Empty {
        /// `_type`, `patient` or `_elements`.
        parameter: &'static str,
    },
    /// Neither an instant nor a date.
    #[error("`{parameter}` is not an instant")]
    NotAnInstant {
        /// `_since` or `_until`.
        parameter: &'static str,
    },
    /// No instant lies between the two.
    #[error("`_until` is not after `_since`")]
    UntilNotAfterSince,
    /// Nothing that can come along (K-53).
    #[error("`includeAssociatedData` names {}, which is not supported", quoted(names))]
    UnknownAssociated {
        /// As given, cut where they are long; never empty.
        names: Vec<String>,
        /// What would be possible.
        supported: Vec<&'static str>,
    },
    /// Not a type that files can be organized by (K-66).
    #[error("`organizeOutputBy` names a type that output is not organized by")]
    NotOrganizable,
    /// Provenance comes after all else, and blocks are written then.
    #[error("Provenance by `includeAssociatedData` does not come in output that is organized by patient")]
    ProvenanceByPatient,
    /// Not the form of a patient reference. The text is not repeated: it may identify a person (K-51).
    #[error("`patient` number {number} is not a reference to a Patient{}", others(*more))]
    NotAPatient {
        /// Position in the list, from 1.
        number: usize,
        /// How many more there are.
        more: usize,
    },
    /// Items of `_elements` that name no root element (K-46).
    #[error("`_elements` names {}, {}", quoted(names), why.text())]
    Elements {
        /// What is wrong with them.
        why: WrongElement,
        /// As given, cut where they are long; never empty.
        names: Vec<String>,
    },
}

/// How many of a client's own words an error repeats.
const REPEATED: usize = 20;

/// Names of a client, for an error: few, and none of them long.
pub(super) fn clip(name: &str) -> String {
    const LONGEST: usize = 60;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn quoted(names: &[String]) -> String {
    let mut text = names.iter().take(REPEATED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    text.push_str(&others(names.len().saturating_sub(REPEATED)));
    text
}

fn others(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

impl ParameterError {
    /// The kick-off parameter at fault.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::UnknownTypes { .. } | Self::NothingMapped => "_type",
            Self::Empty { parameter } | Self::NotAnInstant { parameter } => parameter,
            Self::UntilNotAfterSince => "_until",
            Self::NotOrganizable => "organizeOutputBy",
            Self::NotAPatient { .. } => "patient",
            Self::UnknownAssociated { .. } | Self::ProvenanceByPatient => "includeAssociatedData",
            Self::Elements { .. } => "_elements",
        }
    }

    /// What would be right.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownTypes { mapped, .. } => format!("Mapped types: {}.", mapped.join(", ")),
            Self::NothingMapped => "Add a mapping, or name another pack.".to_owned(),
            Self::UnknownAssociated { supported, .. } => format!("Supported: {}.", supported.join(", ")),
            Self::Empty { parameter: "includeAssociatedData" } => {
                "Name what is to come along, or leave it out.".to_owned()
            }
            Self::Empty { parameter } => format!("Name at least one, or leave `{parameter}` out to export everything."),
            Self::NotAnInstant { .. } => {
                "Write it with seconds and a zone, as in 2025-03-01T00:00:00Z, or as a date (UTC).".to_owned()
            }
            Self::UntilNotAfterSince => "Both ends are exclusive.".to_owned(),
            Self::NotOrganizable => "Write `Patient`, or leave it out: files then hold one type each.".to_owned(),
            Self::ProvenanceByPatient => {
                "Leave one of them out; with `Provenance` in `_type`, that of each patient is in its block.".to_owned()
            }
            Self::NotAPatient { .. } => {
                "Write `Patient/ID` or `ID`; an id has 1 to 64 of A-Z a-z 0-9 - and `.`.".to_owned()
            }
            Self::Elements { why, .. } => why.help().to_owned(),
        }
    }
}

impl ExportRequest {
    /// Checks `given` against the resource types that some mapping makes; the first mistake ends it.
    pub fn new(given: &Parameters, mapped: &[&str]) -> Result<Self, ParameterError> {
        Self::checked(given, mapped, &mut Err)
    }

    /// The same, but `forgive` is asked about every mistake: `Ok` leaves out what is wrong and goes on (K-09). It is
    /// not asked where nothing of a list would be left, because that would widen the export.
    pub fn checked(
        given: &Parameters,
        mapped: &[&str],
        forgive: &mut dyn FnMut(ParameterError) -> Result<(), ParameterError>,
    ) -> Result<Self, ParameterError> {
        let mapped: BTreeSet<&str> = mapped.iter().copied().collect();
        let types = types(&given.types, &mapped, forgive)?;
        let elements = Elements::read(&given.elements, &mapped, forgive)?;
        let types_given = !types.is_empty();
        let mut associated = Associated::read(&given.associated, &mapped, forgive)?;
        let types = if types_given { types } else { mapped };
        if types.is_empty() {
            return Err(ParameterError::NothingMapped);
        }
        let (since, until) = period(given.since.as_deref(), given.until.as_deref(), forgive)?;
        let patients = patients(&given.patients, forgive)?;
        let by_patient = by_patient(given.organize_by.as_deref(), forgive)?;
        if by_patient && associated.provenance.take().is_some() {
            forgive(ParameterError::ProvenanceByPatient)?;
        }
        Ok(Self {
            level: if patients.is_empty() { Level::System } else { Level::Patient },
            types: types.into_iter().map(str::to_owned).collect(),
            types_given,
            since,
            until,
            patients: patients.into_iter().map(str::to_owned).collect(),
            filters: Vec::new(),
            withheld: Vec::new(),
            cohort: None,
            files: Files::default(),
            associated,
            elements,
            by_patient,
        })
    }

    /// The kick-off URL that asks for the same under `base` (no closing slash). Patients are not in it: they belong
    /// into the body of the request, and not into a manifest.
    pub fn kick_off_url(&self, base: &str) -> String {
        let mut url = match &self.level {
            Level::System => format!("{base}/$export"),
            Level::Patient => format!("{base}/Patient/$export"),
            Level::Group(id) => format!("{base}/Group/{id}/$export"),
        };
        let instant = |value: Option<i64>| value.and_then(instant::write).map(|text| text.replace(':', "%3A"));
        let types = self.types_given.then(|| self.types.join(","));
        let associated = Some(self.associated.values().join(",")).filter(|values| !values.is_empty());
        let elements = Some(self.elements.list()).filter(|list| !list.is_empty());
        let pairs = [
            ("_type", types),
            ("_since", instant(self.since)),
            ("_until", instant(self.until)),
            ("includeAssociatedData", associated),
            ("_elements", elements),
            ("organizeOutputBy", self.by_patient.then(|| "Patient".to_owned())),
        ];
        let pairs = pairs.into_iter().chain(self.files.pairs());
        for (mark, (name, value)) in std::iter::once('?')
            .chain(std::iter::repeat('&'))
            .zip(pairs.filter_map(|(name, value)| value.map(|value| (name, value))))
        {
            // Writing to a String cannot fail.
            let _ = write!(url, "{mark}{name}={value}");
        }
        url
    }
}

/// The items of comma lists, blanks trimmed, empty ones dropped.
pub(super) fn items<'a>(parameter: &'static str, given: &'a [String]) -> Result<Vec<&'a str>, ParameterError> {
    let items: Vec<&str> =
        given.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() && !given.is_empty() { Err(ParameterError::Empty { parameter }) } else { Ok(items) }
}

/// Asked whether the export goes on without what is wrong.
pub(super) type Forgive<'a> = dyn FnMut(ParameterError) -> Result<(), ParameterError> + 'a;

/// The types of `_type` that are mapped.
fn types<'a>(
    given: &'a [String],
    mapped: &BTreeSet<&str>,
    forgive: &mut Forgive<'_>,
) -> Result<BTreeSet<&'a str>, ParameterError> {
    let (known, unknown): (BTreeSet<&str>, BTreeSet<&str>) =
        items("_type", given)?.into_iter().partition(|name| mapped.contains(name));
    if !unknown.is_empty() {
        let mapped = mapped.iter().map(|name| (*name).to_owned()).collect();
        let error = ParameterError::UnknownTypes { names: unknown.into_iter().map(clip).collect(), mapped };
        left(&known, error, forgive)?;
    }
    Ok(known)
}

/// The ids of `patient`.
fn patients<'a>(given: &'a [String], forgive: &mut Forgive<'_>) -> Result<BTreeSet<&'a str>, ParameterError> {
    let mut wrong = None;
    let mut ids = BTreeSet::new();
    for (text, number) in items("patient", given)?.into_iter().zip(1..) {
        match (patient_id(text), &mut wrong) {
            (Some(id), _) => _ = ids.insert(id),
            (None, None) => wrong = Some((number, 0)),
            (None, Some((_, more))) => *more += 1,
        }
    }
    if let Some((number, more)) = wrong {
        left(&ids, ParameterError::NotAPatient { number, more }, forgive)?;
    }
    Ok(ids)
}

/// Whether output is organized by patient.
fn by_patient(given: Option<&str>, forgive: &mut Forgive<'_>) -> Result<bool, ParameterError> {
    match given.map(str::trim) {
        None => Ok(false),
        Some("Patient") => Ok(true),
        Some(_) => forgive(ParameterError::NotOrganizable).map(|()| false),
    }
}

/// Forgives where something is left of the list.
fn left(list: &BTreeSet<&str>, error: ParameterError, forgive: &mut Forgive<'_>) -> Result<(), ParameterError> {
    if list.is_empty() { Err(error) } else { forgive(error) }
}

/// Both ends in whole microseconds, rounded outwards: what PostgreSQL stores is never finer, so the set is the same.
fn period(
    since: Option<&str>,
    until: Option<&str>,
    forgive: &mut Forgive<'_>,
) -> Result<(Option<i64>, Option<i64>), ParameterError> {
    let mut read = |parameter, text: Option<&str>| {
        let instant = text.and_then(instant::read);
        if text.is_some() && instant.is_none() {
            forgive(ParameterError::NotAnInstant { parameter })?;
        }
        Ok(instant)
    };
    let (since, mut until) = (read("_since", since)?, read("_until", until)?);
    if since.zip(until).is_some_and(|(since, until)| until <= since) {
        forgive(ParameterError::UntilNotAfterSince)?;
        until = None;
    }
    let down = |nanoseconds: i128| nanoseconds.div_euclid(1000) as i64;
    Ok((since.map(down), until.map(|nanoseconds| down(nanoseconds + 999))))
}

/// The id in `Patient/ID`, `/Patient/ID` or `ID`.
pub(super) fn patient_id(text: &str) -> Option<&str> {
    let path = text.strip_prefix('/').unwrap_or(text);
    let id = path.strip_prefix("Patient/").unwrap_or(path);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

#[cfg(test)]
mod tests;
