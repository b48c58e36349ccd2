//! Everything that is decided before the first row moves: which mappings, which rows, in which ranges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ledger::Ledgers;
use super::organize::{Place, placed};
use super::prepare::Prepared;
use super::proofs::{self, Proofs};
use super::run::instant;
use super::who::{Narrowed, no_patient, who};
use super::worker::Task;
use super::{ExportError, ExportOptions};
use crate::bulk::request::ExportRequest;
use crate::encode::Search;
use crate::fhir::instant::Instant as FhirInstant;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::mapping::tree::Mapping;
use crate::plan::compile::tombstones;
use crate::plan::filter::{self, Changed};
use crate::plan::program::Compiled;
use crate::plan::push::push;
use crate::plan::search::{self};
use crate::plan::select::{Filter, statement};
use crate::plan::split::{Range, SplitFacts, ranges};
use crate::plan::updated::{commits, commits_may_be_undated};
use crate::source::{Session, Snapshot, Source};

/// The first instant that FHIR can write: 0001-01-01T00:00:00Z.
const EARLIEST: i64 = -62_135_596_800_000_000;

pub(super) fn text_of(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(FhirInstant::to_micros).unwrap_or_default()
}

/// One mapping's part in the run.
pub(super) struct Part<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) compiled: Arc<Compiled>,
    pub(super) filter: Arc<Filter>,
    pub(super) only: Option<Arc<Search>>,
    /// Where its resources go when output is organized.
    pub(super) place: Option<Place>,
    /// The searches leave out rows before they are read.
    pub(super) pushed: bool,
    pub(super) estimate: u64,
    pub(super) ranges: Vec<Range>,
}

/// What an export will do.
pub(super) struct Planned<'a> {
    pub(super) snapshot: Snapshot,
    pub(super) parts: Vec<Part<'a>>,
    pub(super) deletes: Vec<Task>,
    /// Whose deletions nobody knows.
    pub(super) undeclared: Vec<&'a Mapping>,
    pub(super) ledgers: Option<Ledgers<'a>>,
    pub(super) notices: Vec<OperationOutcome>,
    pub(super) proofs: Proofs,
}

impl Planned<'_> {
    /// The snapshot's `transactionTime` as a FHIR instant.
    pub(super) fn transaction_time(&self) -> String {
        instant(self.snapshot.transaction_time())
    }
}

/// The rows of one mapping that a request without bounds on time wants.
pub(super) async fn restrict(
    session: &Session,
    prepared: &Prepared,
    compiled: &Compiled,
    request: &ExportRequest,
) -> Result<Filter, ExportError> {
    let (pack, catalog) = (&prepared.pack, &prepared.catalog);
    let zone = pack.project.zone();
    let Some(mapping) = pack.mappings.iter().find(|mapping| mapping.name == compiled.mapping) else {
        return Ok(Filter::default());
    };
    let Some(rows) = catalog.rows.get(&mapping.name) else { return Ok(Filter::default()) };
    let mut filter = filter::wanted(mapping, rows, &Changed::default(), zone);
    match who(session, prepared, request).await?.narrow(mapping, &mut filter)? {
        Narrowed::Yes => Ok(filter),
        Narrowed::Unknown => Err(no_patient(mapping)),
        Narrowed::Outside => Err(ExportError::PatientsNotApplicable {
            mapping: mapping.name.clone(),
            why: "its type is outside the patient compartment",
        }),
    }
}

/// Everything that is decided before the first row moves.
pub(super) async fn plan<'a>(
    source: &Source,
    prepared: &'a Prepared,
    request: &ExportRequest,
    options: &ExportOptions,
) -> Result<Planned<'a>, ExportError> {
    let snapshot = source.snapshot(options.snapshot_wait).await?;
    let session = snapshot.session().await?;
    let pack = &prepared.pack;
    let catalog = &prepared.catalog;
    let zone = pack.project.zone();
    let undated_commits = match request.since {
        Some(since) if !commits(pack, catalog).is_empty() => {
            let answer = session.query_text(&commits_may_be_undated(&text_of(since))).await?;
            answer.first().and_then(|row| row.first()).is_none_or(|text| text.as_deref() != Some("false"))
        }
        _ => false,
    };
    let wanted: Vec<(&Mapping, &Arc<Compiled>)> = prepared
        .compiled
        .iter()
        .filter_map(|compiled| Some((pack.mappings.iter().find(|m| m.name == compiled.mapping)?, compiled)))
        .filter(|(mapping, _)| request.types.contains(&mapping.resource_type))
        .collect();
    let who = who(&session, prepared, request).await?;
    let mut notices = options.notices.clone();
    let mut parts: Vec<Part<'a>> = Vec::new();
    let (mut deletes, mut undeclared) = (Vec::new(), Vec::new());
    let mut unknown = None;
    // Keys do not say whose they were.
    let mut ledgers = match &options.ledger {
        Some(directory) if !who.is_restricted() => Some(Ledgers::open(directory, &session).await?),
        _ => None,
    };
    for (mapping, compiled) in wanted {
        let Some(rows) = catalog.rows.get(&mapping.name) else { continue };
        let skew = i64::try_from(mapping.header.skew).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let changed = Changed {
            since: request.since.map(|since| text_of(since.saturating_sub(skew).max(EARLIEST))),
            until: request.until.map(text_of),
            undated_commits,
        };
        let mut filter = filter::wanted(mapping, rows, &changed, zone);
        match who.narrow(mapping, &mut filter)? {
            Narrowed::Yes => {}
            Narrowed::Outside => {
                notices.push(notice(
                    IssueType::Informational,
                    &format!(
                        "{} of mapping {} is outside the patient compartment and was not exported",
                        mapping.resource_type, mapping.name
                    ),
                ));
                continue;
            }
            Narrowed::Unknown => {
                unknown.get_or_insert(mapping);
                let text = format!(
                    "{} of mapping {} was not exported: nothing in it says to which patient its rows belong",
                    mapping.resource_type, mapping.name
                );
                notices
                    .push(OperationOutcome::new(Issue::new(Severity::Warning, IssueType::NotSupported).details(text)));
                continue;
            }
        }
        let place = if request.by_patient { placed(prepared, mapping, request, &mut notices)? } else { None };
        if request.by_patient && place.is_none() {
            unknown.get_or_insert(mapping);
            continue;
        }
        let compiled = place.as_ref().map_or(compiled, Place::program);
        let wanted = search::wanted(pack, request, &mapping.resource_type)?;
        let pushed = wanted.as_ref().is_some_and(|wanted| push(pack, catalog, mapping, wanted, zone, &mut filter));
        let only = wanted.map(|wanted| Search::new(&wanted, zone)).transpose()?.map(Arc::new);
        if !changed.is_empty() && mapping.header.updated.is_empty() {
            notices.push(notice(
                IssueType::Informational,
                &format!(
                    "mapping {} has no `updated` column: its {} resources were exported whole, whatever their age",
                    mapping.name, mapping.resource_type
                ),
            ));
        }
        if request.since.is_some()
            && mapping.header.deleted.is_some()
            && let Some(found) = tombstones(pack, mapping, &prepared.sources, catalog, &changed)
        {
            let mut filter = found.filter;
            let of_rows = matches!(mapping.header.deleted, Some(crate::mapping::tree::Deleted::Column(_)));
            let applies = of_rows || !who.is_restricted();
            if of_rows {
                who.narrow(mapping, &mut filter)?;
            }
            if applies {
                deletes.push(Task {
                    compiled: Arc::new(found.compiled),
                    tally: parts.len(),
                    filter: Arc::new(filter),
                    range: Range::default(),
                    estimate: 0,
                    only: None,
                    deletes: true,
                });
            } else {
                undeclared.push(mapping);
            }
        } else if mapping.header.deleted.is_none() {
            match &mut ledgers {
                Some(ledgers) => ledgers.keep(prepared, mapping, parts.len())?,
                None if request.since.is_some() => undeclared.push(mapping),
                None => {}
            }
        }
        let (estimate, ranges) = splits(&session, compiled, &filter, options.workers).await?;
        parts.push(Part {
            mapping,
            compiled: Arc::clone(compiled),
            filter: Arc::new(filter),
            only,
            place,
            pushed,
            estimate,
            ranges,
        });
    }
    if let Some(mapping) = unknown.filter(|_| parts.is_empty()) {
        return Err(no_patient(mapping));
    }
    let exported: BTreeSet<&str> = parts.iter().map(|part| part.mapping.name.as_str()).collect();
    let proofs = proofs::plan(
        &session,
        prepared,
        &parts.iter().map(|part| (part.mapping, Arc::clone(&part.filter))).collect::<Vec<_>>(),
        &exported,
        options.check_references,
    )
    .await?;
    Ok(Planned { snapshot, parts, deletes, undeclared, ledgers, notices, proofs })
}

/// Says that a mapping's deletions are not in `deleted`, or not those before a time.
pub(super) fn deletions_unknown(mapping: &Mapping, before: Option<i64>) -> OperationOutcome {
    let of = format!("deletions of {} by mapping {}", mapping.resource_type, mapping.name);
    let text = match before {
        Some(time) => format!("{of} are known from {} on and were not listed: export it whole once", instant(time)),
        None => format!("{of} are not known and were not listed"),
    };
    notice(IssueType::Informational, &text)
}

pub(super) fn notice(code: IssueType, text: &str) -> OperationOutcome {
    OperationOutcome::new(Issue::new(Severity::Information, code).details(text))
}

/// Expected rows of a mapping, and the ranges its cursors take.
async fn splits(
    session: &Session,
    compiled: &Compiled,
    filter: &Filter,
    workers: usize,
) -> Result<(u64, Vec<Range>), ExportError> {
    let Some(driving) = compiled.streams.first() else { return Ok((0, vec![Range::default()])) };
    let whole = statement(driving, filter, &Range::default(), None);
    let rows = session.explain_rows(&whole).await?.rows;
    let mut found = vec![Range::default()];
    if let Some(split) = &compiled.split
        && let Some(origin) = &split.origin
        && let Some(stats) = session.column_stats(origin).await?
    {
        let facts =
            SplitFacts { rows, bounds: stats.bounds, correlation: f64::from(stats.correlation.unwrap_or_default()) };
        found = ranges(&facts, &split.kind, workers);
    }
    Ok((rows.max(0.0) as u64, found))
}
