//! A kick-off request as it comes, and what it asks for (K-30 to K-62).
//!
//! Parameters arrive in the query, in a FHIR `Parameters` body, or in both; from there on there is one way. What cannot
//! be honoured is refused, or, where the client is lenient, left out and told; nothing is read and forgotten. No value
//! of a `patient` is repeated in an answer.

mod associated;
mod files;
mod filter;
mod mistake;
mod pairs;
#[cfg(test)]
mod tests;
mod values;

use serde::{Deserialize, Serialize};

pub use self::filter::rule;
use self::mistake::Mistake;
pub use self::pairs::without_patients;
use self::pairs::{Carrier, Given, Pair};
use super::percent;
use super::request::{ExportRequest, Level, Parameters};
use super::type_filter::TypeFilter;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};

/// Which of the two services is asked: they read lists and write manifests differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `$export`: Bulk Data 1 to 3, and 4 where it does no harm to them.
    #[default]
    Compatible,
    /// `$export-v4`: Bulk Data 4 alone. POST only, lists by repetition, never by commas (K-31).
    V4,
}

impl Dialect {
    /// Name of the operation, without its `$`.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Compatible => "export",
            Self::V4 => "export-v4",
        }
    }
}

/// A kick-off request as it comes.
#[derive(Debug, Clone)]
pub struct Intake<'a> {
    /// Which operation.
    pub dialect: Dialect,
    /// What it is called on.
    pub level: Level,
    /// POST, not GET.
    pub post: bool,
    /// The query of the URL, as received.
    pub query: Option<&'a str>,
    /// The body; empty is none (K-05). That of a GET is not read.
    pub body: Option<&'a [u8]>,
    /// `Prefer: handling=lenient` (K-09).
    pub lenient: bool,
}

/// What the server knows and can do.
pub struct Known<'a> {
    /// Resource types that some mapping makes.
    pub mapped: &'a [&'a str],
    /// The public FHIR base.
    pub base_url: &'a str,
    /// Whether resources of a type may belong to a patient.
    pub compartment: &'a dyn Fn(&str) -> bool,
    /// Whether `_typeFilter` can use a search parameter: type, parameter.
    pub searchable: &'a dyn Fn(&str, &str) -> bool,
    /// A lenient client is not forgiven a filter that cannot be asked either: without it the export would be wider
    /// (K-59).
    pub strict_filters: bool,
}

/// A kick-off that can be honoured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KickOff {
    /// What is to be exported.
    pub request: ExportRequest,
    /// What was left out of the request for a lenient client: a warning each, for the message file (K-09).
    pub ignored: Vec<OperationOutcome>,
}

/// A kick-off that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kick-off request is refused with status {status}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Everything that is wrong, the first mistake first.
    pub outcome: OperationOutcome,
}

/// The most mistakes that are told one by one.
const TOLD: usize = 50;

/// The most searches in `_typeFilter`: every resource of their types is compared with each of them.
const FILTERS: usize = 1000;

/// Reads a kick-off request: everything is checked here, before the answer (K-22).
pub fn read(intake: &Intake<'_>, known: &Known<'_>) -> Result<KickOff, Refusal> {
    if intake.dialect == Dialect::V4 && !intake.post {
        return Err(refusal(405, &[Mistake::Method]));
    }
    let mut mistakes = Vec::new();
    let read = pairs::read(intake).and_then(|pairs| {
        let asked = Asked::sort(pairs, intake, known, &mut mistakes)?;
        asked.check(intake, known, &mut mistakes)
    });
    if intake.lenient && known.strict_filters && mistakes.iter().any(Mistake::is_filter) {
        mistakes.retain(Mistake::is_filter);
        return Err(refusal(400, &mistakes));
    }
    match read {
        Ok(request) if mistakes.is_empty() || intake.lenient => Ok(KickOff { request, ignored: ignored(&mistakes) }),
        Ok(_) => Err(refusal(400, &mistakes)),
        Err(fatal) if intake.lenient => Err(refusal(400, &[fatal])),
        Err(fatal) => {
            mistakes.push(fatal);
            Err(refusal(400, &mistakes))
        }
    }
}

/// Why a `_typeFilter` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct BadFilter {
    /// What is wrong.
    text: String,
    /// What would be right.
    pub help: String,
}

/// Adds one search to a request, for who writes no URL: as in `_typeFilter` of the strict service.
///
/// # Errors
///
/// What the service would answer.
pub fn add_filter(request: &mut ExportRequest, query: &str, known: &Known<'_>) -> Result<(), BadFilter> {
    let filter = filter::read(query, &request.types, known)
        .map_err(|error| BadFilter { text: error.to_string(), help: error.help() })?;
    push_once(&mut request.filters, filter);
    Ok(())
}

/// Reads a search for the members of a Group, which may be of any type that belongs to patients (G-12, G-13).
///
/// # Errors
///
/// What would be right.
pub fn member_filter(query: &str, known: &Known<'_>) -> Result<TypeFilter, BadFilter> {
    let of_patients = known.mapped.iter().filter(|name| (known.compartment)(name));
    let types: Vec<String> = of_patients.map(|name| (*name).to_owned()).collect();
    filter::read(query, &types, known).map_err(|error| BadFilter {
        text: error.to_string().replace("_typeFilter", "member-filter"),
        help: error.help().replace("Name its type in `_type`, or leave the filter out", "Search a type of patients"),
    })
}

/// The query parameter that asks for a search.
pub fn filter_parameter(query: &str) -> String {
    format!("_typeFilter={}", percent::encode(query))
}

/// The parameters by name, their values still as given.
#[derive(Default)]
struct Asked {
    parameters: Parameters,
    filters: Vec<String>,
    files: files::Asked,
}

impl Asked {
    /// `Err` is a mistake that a lenient client is not forgiven either.
    fn sort(
        pairs: Vec<Pair>,
        intake: &Intake<'_>,
        known: &Known<'_>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Self, Mistake> {
        let mut asked = Self::default();
        let mut format = None;
        for Pair { name, value, carrier } in pairs {
            let once = match name.as_str() {
                "_type" => {
                    asked.parameters.types.push(list("_type", value, intake.dialect)?);
                    continue;
                }
                "_elements" => {
                    asked.parameters.elements.push(list("_elements", value, intake.dialect)?);
                    continue;
                }
                "patient" => {
                    asked.parameters.patients.extend(patients(value, carrier, intake, known)?);
                    continue;
                }
                "_typeFilter" => {
                    match value {
                        Given::Text(text) => asked.filters.push(text),
                        _ => add(mistakes, Mistake::NoValue("_typeFilter")),
                    }
                    continue;
                }
                "includeAssociatedData" => {
                    match associated::value(value, intake.dialect) {
                        Ok(text) => asked.parameters.associated.push(text),
                        Err(mistake) => add(mistakes, mistake),
                    }
                    continue;
                }
                "_since" => ("_since", &mut asked.parameters.since),
                "_until" => ("_until", &mut asked.parameters.until),
                "_outputFormat" => ("_outputFormat", &mut format),
                "organizeOutputBy" => ("organizeOutputBy", &mut asked.parameters.organize_by),
                // Of FHIR's general parameters these change nothing: there is one form.
                "_format" | "_pretty" => continue,
                _ => {
                    if asked.files.keep(&name, value, mistakes).is_some() {
                        add(mistakes, Mistake::unknown(&name));
                    }
                    continue;
                }
            };
            keep(once, value, mistakes);
        }
        // A value that was ignored because it contradicts another one must not come back as the one that stays.
        for (name, kept) in [
            ("_since", &mut asked.parameters.since),
            ("_until", &mut asked.parameters.until),
            ("_outputFormat", &mut format),
            ("organizeOutputBy", &mut asked.parameters.organize_by),
        ] {
            if mistakes.contains(&Mistake::Contradiction(name)) {
                *kept = None;
            }
        }
        if format.as_deref().is_some_and(|format| !is_ndjson(format)) {
            add(mistakes, Mistake::OutputFormat);
        }
        Ok(asked)
    }

    fn check(
        self,
        intake: &Intake<'_>,
        known: &Known<'_>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<ExportRequest, Mistake> {
        let mut request = ExportRequest::checked(&self.parameters, known.mapped, &mut |error| {
            add(mistakes, Mistake::Parameter(error));
            Ok(())
        })?;
        request.level = intake.level.clone();
        request.files = self.files.read(mistakes);
        let of_patients = intake.level != Level::System || request.by_patient;
        if of_patients && request.types_given && !request.types.iter().any(|name| (known.compartment)(name)) {
            return Err(Mistake::OutsideCompartment);
        }
        for text in &self.filters {
            let queries = match intake.dialect {
                Dialect::Compatible => filter::split(text),
                Dialect::V4 => vec![text.as_str()],
            };
            for query in queries {
                if request.filters.len() == FILTERS {
                    return Err(Mistake::TooManyFilters(FILTERS));
                }
                match filter::read(query, &request.types, known) {
                    Ok(filter) => push_once(&mut request.filters, filter),
                    Err(error) => add(mistakes, Mistake::Filter(error)),
                }
            }
        }
        Ok(request)
    }
}

/// A comma list; the strict service knows none.
fn list(name: &'static str, value: Given, dialect: Dialect) -> Result<String, Mistake> {
    match value {
        Given::Text(text) if dialect == Dialect::V4 && text.contains(',') => Err(Mistake::CommaList(name)),
        Given::Text(text) => Ok(text),
        _ => Err(Mistake::NoValue(name)),
    }
}

/// The items of one `patient`, the own base taken off (K-51).
fn patients(value: Given, carrier: Carrier, intake: &Intake<'_>, known: &Known<'_>) -> Result<Vec<String>, Mistake> {
    if intake.level == Level::System {
        return Err(Mistake::PatientAtSystem);
    }
    // Whether ignored or honoured, such a URL stands in the log of every proxy on the way (K-50).
    if carrier == Carrier::Query && !intake.post {
        return Err(Mistake::PatientByGet);
    }
    let value = match value {
        Given::Reference(text) => Given::Text(text),
        other => other,
    };
    let text = list("patient", value, intake.dialect)?;
    let base = known.base_url.trim_end_matches('/');
    let relative = |item: &str| {
        let item = item.trim();
        item.strip_prefix(base).filter(|path| path.starts_with("/Patient/")).unwrap_or(item).to_owned()
    };
    Ok(text.split(',').map(relative).collect())
}

/// Keeps a value that may be given once; twice the same is once (K-32).
fn keep((name, place): (&'static str, &mut Option<String>), value: Given, mistakes: &mut Vec<Mistake>) {
    match (value, &place) {
        (Given::Text(text), Some(kept)) if *kept != text => add(mistakes, Mistake::Contradiction(name)),
        (Given::Text(text), _) => *place = Some(text),
        _ => add(mistakes, Mistake::NoValue(name)),
    }
}

/// The three names of NDJSON; a blank stands where nobody encoded the `+` (K-34, T-12).
fn is_ndjson(format: &str) -> bool {
    let names = ["application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"];
    names.contains(&format.trim().to_ascii_lowercase().as_str())
}

fn push_once(filters: &mut Vec<TypeFilter>, filter: TypeFilter) {
    if !filters.contains(&filter) {
        filters.push(filter);
    }
}

/// Keeps a mistake once, and a bounded number of them.
fn add(mistakes: &mut Vec<Mistake>, mistake: Mistake) {
    let countless = matches!(mistake, Mistake::Unknown(_) | Mistake::Filter(_));
    let enough = countless && mistakes.len() > TOLD;
    if !enough && !mistakes.contains(&mistake) {
        mistakes.push(mistake);
    }
}

fn refusal(status: u16, mistakes: &[Mistake]) -> Refusal {
    let mut issues = mistakes.iter().take(TOLD).map(|mistake| mistake.issue(Severity::Error));
    // There is always a first one.
    let first = issues.next().unwrap_or_else(|| Issue::new(Severity::Error, IssueType::Invalid));
    let outcome = issues.fold(OperationOutcome::new(first), OperationOutcome::and);
    Refusal {
        status,
        outcome: if mistakes.len() > TOLD { outcome.and(mistake::more(Severity::Error)) } else { outcome },
    }
}

fn ignored(mistakes: &[Mistake]) -> Vec<OperationOutcome> {
    let told = mistakes.iter().take(TOLD).map(|mistake| mistake.issue(Severity::Warning));
    let more = (mistakes.len() > TOLD).then(|| mistake::more(Severity::Warning));
    told.chain(more).map(OperationOutcome::new).collect()
}
