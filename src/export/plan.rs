//! Everything that is decided before the first row moves: which mappings, which rows, in which ranges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::added::{Added, Addition};
use super::ledger::Ledgers;
use super::organize::{Place, placed};
use super::prepare::Prepared;
use super::proofs::{self, Proofs};
use super::reduce::{compile, pruned, reduce};
use super::run::instant;
use super::who::{Known, Narrowed, Who, no_patient, who};
use super::worker::Task;
use super::{ExportError, ExportOptions};
use crate::bulk::request::ExportRequest;
use crate::encode::Search;
use crate::fhir::instant::Instant as FhirInstant;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::mapping::tree::Mapping;
use crate::plan::compile::tombstones;
use crate::plan::context::is_context;
use crate::plan::filter::{self, Changed};
use crate::plan::patients::PlainId;
use crate::plan::program::Compiled;
use crate::plan::push::push;
use crate::plan::search;
use crate::plan::select::{Filter, statement};
use crate::plan::split::{Range, SplitFacts, may_split, ranges};
use crate::plan::updated::{commits, commits_may_be_undated};
use crate::source::{Session, Snapshot, Source};

/// The first instant that FHIR can write: 0001-01-01T00:00:00Z.
const EARLIEST: i64 = -62_135_596_800_000_000;

pub(super) fn text_of(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(FhirInstant::to_micros).unwrap_or_default()
}

/// One mapping's part in the run. Without ranges its resources are only added.
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
    pub(super) added: Added,
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
    let known = Known::Before { roster: None };
    match who(session, prepared, request, known).await?.narrow(mapping, &mut filter)? {
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
    let session = snapshot.leader();
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
    let closure = request.associated.closure.as_deref().unwrap_or_default();
    let wanted: Vec<(&Mapping, &Arc<Compiled>)> = prepared
        .compiled
        .iter()
        .filter_map(|compiled| Some((pack.mappings.iter().find(|m| m.name == compiled.mapping)?, compiled)))
        .filter(|(mapping, _)| {
            let name = &mapping.resource_type;
            let pulled = request.by_patient && closure.contains(name) && is_context(pack, mapping, catalog);
            request.types.contains(name) || pulled || is_added_provenance(mapping, request)
        })
        .collect();
    let (roster, newcomers) = (options.roster.as_deref(), options.since_new_members);
    let known = Known::Now { roster, at: snapshot.transaction_time(), newcomers };
    let who = who(session, prepared, request, known).await?;
    let mut notices = options.notices.clone();
    if who.gone > 0 {
        let text = format!("{} listed members of the Group are not there any more", who.gone);
        notices.push(OperationOutcome::new(Issue::new(Severity::Warning, IssueType::NotFound).details(text)));
    }
    let unfiltered = ExportRequest { filters: Vec::new(), ..request.clone() };
    let mut parts: Vec<Part<'a>> = Vec::new();
    let (mut deletes, mut undeclared) = (Vec::new(), Vec::new());
    let mut unknown = None;
    let mut added = Added { provenance: request.associated.provenance, ..Added::default() };
    // Keys do not say whose they were.
    let mut ledgers = match &options.ledger {
        Some(directory) if !who.is_restricted() => Some(Ledgers::open(directory, session).await?),
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
        // Provenance that is asked for comes after the bounds (K-55), and so does what blocks of patients point to.
        let add = is_added_provenance(mapping, request);
        let asked = closure.contains(&mapping.resource_type);
        let pointed = request.by_patient && (asked || who.is_of_patients()) && is_context(pack, mapping, catalog);
        let within = if add || pointed { &Changed::default() } else { &changed };
        let mut filter = filter::wanted_or(mapping, rows, within, zone, |filter| who.joined_since(mapping, filter));
        // A guess need not know every one of a million keys.
        let guess = who.is_large().then(|| filter.clone());
        match who.narrow(mapping, &mut filter)? {
            Narrowed::Yes => {}
            // Blocks take of it what they point to.
            Narrowed::Outside if pointed => {}
            // It may come along.
            Narrowed::Outside if is_context(pack, mapping, catalog) => continue,
            Narrowed::Unknown if add => return Err(no_patient(mapping)),
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
        let wanted =
            search::wanted(pack, if pointed && asked { &unfiltered } else { request }, &mapping.resource_type)?;
        let pruned = pruned(prepared, mapping, request, wanted.as_ref())?;
        let made = pruned.as_ref().unwrap_or(mapping);
        let place = if request.by_patient { placed(prepared, mapping, made, request, &mut notices)? } else { None };
        let compiled = match (&place, &pruned) {
            (Some(place), _) => Arc::clone(place.program()),
            (None, _) if request.by_patient => {
                unknown.get_or_insert(mapping);
                continue;
            }
            (None, Some(pruned)) => compile(prepared, pruned)?,
            (None, None) => Arc::clone(compiled),
        };
        let pushed = wanted.as_ref().is_some_and(|wanted| push(pack, catalog, mapping, wanted, zone, &mut filter));
        let only = wanted.map(|wanted| Search::new(&wanted, zone)).transpose()?.map(Arc::new);
        if !within.is_empty() && mapping.header.updated.is_empty() {
            notices.push(notice(
                IssueType::Informational,
                &format!(
                    "mapping {} has no `updated` column: its {} resources were exported whole, whatever their age",
                    mapping.name, mapping.resource_type
                ),
            ));
        }
        if !request.types.contains(&mapping.resource_type) {
            // Nobody asked what is gone of it.
        } else if request.since.is_some()
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
                    keep: None,
                    again: false,
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
        let fine = guess.is_none();
        let guess = guess.as_ref().unwrap_or(&filter);
        let (estimate, ranges) = splits(session, &compiled, guess, options.workers, fine).await?;
        let filter = Arc::new(filter);
        let mut part = Part { mapping, compiled, filter, only, place, pushed, estimate, ranges };
        if add {
            added.about.push(part.add(parts.len(), prepared));
        }
        parts.push(part);
    }
    if let Some(mapping) = unknown.filter(|_| parts.is_empty()) {
        return Err(no_patient(mapping));
    }
    let written = parts.len();
    context(session, prepared, request, &who, options.workers, &mut parts, &mut added).await?;
    let exported: BTreeSet<&str> = parts.iter().map(|part| part.mapping.name.as_str()).collect();
    let proofs = proofs::plan(
        session,
        prepared,
        &parts
            .iter()
            .enumerate()
            .map(|(at, part)| (part.mapping, (at < written).then(|| Arc::clone(&part.filter))))
            .collect::<Vec<_>>(),
        &exported,
        options.check_references,
    )
    .await?;
    Ok(Planned { snapshot, parts, added, deletes, undeclared, ledgers, notices, proofs })
}

impl Part<'_> {
    /// Leaves its rows to what is added; `at` is its position.
    fn add(&mut self, at: usize, prepared: &Prepared) -> Addition {
        let plain = match self.mapping.header.key.as_slice() {
            [key] => prepared.catalog.rows.get(&self.mapping.name).and_then(|rows| {
                let (_, column) = rows.column(&key.text)?;
                Some((PlainId::of(self.mapping, &column.kind)?, key.text.clone(), column.kind.clone()))
            }),
            _ => None,
        };
        let (filter, only) = (Arc::clone(&self.filter), self.only.clone());
        Addition { part: at, filter, only, ranges: std::mem::take(&mut self.ranges), plain }
    }
}

/// Whether a mapping's resources come with those that they are about (K-52).
pub(super) fn is_added_provenance(mapping: &Mapping, request: &ExportRequest) -> bool {
    mapping.resource_type == "Provenance" && request.associated.provenance.is_some()
}

/// Plans what may be pointed to (K-44): what is asked for by `_reference-closure`, and in exports of patients the types
/// that are named, or all. The latter obey filters of their type, as a type that is asked for does; none obeys bounds on
/// time (K-36, K-69).
async fn context<'a>(
    session: &Session,
    prepared: &'a Prepared,
    request: &ExportRequest,
    who: &Who<'_>,
    workers: usize,
    parts: &mut Vec<Part<'a>>,
    added: &mut Added,
) -> Result<(), ExportError> {
    let (pack, catalog, zone) = (&prepared.pack, &prepared.catalog, prepared.pack.project.zone());
    let closure = request.associated.closure.as_deref().unwrap_or_default();
    let unfiltered = ExportRequest { filters: Vec::new(), ..request.clone() };
    for compiled in &prepared.compiled {
        let Some(mapping) = pack.mappings.iter().find(|mapping| mapping.name == compiled.mapping) else { continue };
        let Some(rows) = catalog.rows.get(&mapping.name) else { continue };
        let name = &mapping.resource_type;
        let asked = closure.contains(name);
        let here = parts.iter().position(|part| part.mapping.name == mapping.name);
        let bounded = (request.since.is_some() || request.until.is_some()) && !mapping.header.updated.is_empty();
        let whole = here.is_some() && !bounded && request.filters.iter().all(|filter| filter.resource_type != *name);
        // Blocks find it by themselves.
        let follows = !request.by_patient && (asked || (who.is_of_patients() && request.types.contains(name)));
        if whole || !follows || !is_context(pack, mapping, catalog) {
            continue;
        }
        let mut filter = filter::wanted(mapping, rows, &Changed::default(), zone);
        let wanted = search::wanted(pack, if asked { &unfiltered } else { request }, name)?;
        let pushed = wanted.as_ref().is_some_and(|wanted| push(pack, catalog, mapping, wanted, zone, &mut filter));
        let compiled = reduce(prepared, mapping, compiled, request, wanted.as_ref())?;
        let only = wanted.map(|wanted| Search::new(&wanted, zone)).transpose()?.map(Arc::new);
        let (estimate, ranges) = splits(session, &compiled, &filter, workers, true).await?;
        let filter = Arc::new(filter);
        let mut part = Part { mapping, compiled, filter, only, place: None, pushed, estimate, ranges };
        added.context.push(part.add(here.unwrap_or(parts.len()), prepared));
        if here.is_none() {
            parts.push(part);
        }
    }
    Ok(())
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

/// Expected rows of a mapping, and the ranges its cursors take: not `fine`, where a statement takes seconds to plan,
/// there are no more of them than workers.
async fn splits(
    session: &Session,
    compiled: &Compiled,
    filter: &Filter,
    workers: usize,
    fine: bool,
) -> Result<(u64, Vec<Range>), ExportError> {
    let Some(driving) = compiled.streams.first() else { return Ok((0, vec![Range::default()])) };
    let whole = statement(driving, filter, &Range::default(), None);
    let rows = session.explain_rows(&whole).await?.rows;
    let mut found = vec![Range::default()];
    if may_split(rows, workers)
        && let Some(split) = &compiled.split
        && let Some(origin) = &split.origin
        && let Some(stats) = session.column_stats(origin).await?
    {
        let correlation = stats.correlation.filter(|_| fine).map_or(0.0, f64::from);
        let facts = SplitFacts { rows, bounds: stats.bounds, correlation };
        found = ranges(&facts, &split.kind, workers);
    }
    Ok((rows.max(0.0) as u64, found))
}
