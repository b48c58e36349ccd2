//! Snapshot → patients → proofs → splits → workers → files → manifest.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::failures::Tally;
use super::ledger::{Deletions, LedgerError, Ledgers};
use super::prepare::Prepared;
use super::progress::Counting;
use super::proofs::{self, Proofs};
use super::who::{Narrowed, no_patient, who};
use super::worker::{Done, Shared, Task, WholeFile, work};
use crate::bulk::manifest::{Manifest, ManifestExtension, ManifestFile, Stored};
use crate::bulk::report::{FileReport, Report, Request, Timings, Versions, Watermark};
use crate::bulk::request::ExportRequest;
use crate::encode::{EncodeError, Search};
use crate::fhir::instant::Instant as FhirInstant;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::mapping::tree::Mapping;
use crate::plan::compile::tombstones;
use crate::plan::filter::{self, Changed};
use crate::plan::program::Compiled;
use crate::plan::push::push;
use crate::plan::search::{self, SearchError};
use crate::plan::select::{Filter, statement};
use crate::plan::split::{Range, SplitFacts, ranges};
use crate::plan::updated::{commits, commits_may_be_undated};
use crate::sink::{Codec, Sink, SinkError, SinkFile, StoredFile};
use crate::source::{Session, Snapshot, Source, SourceError};

/// How an export is run.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Parallel workers, each with a thread and at least one session.
    pub workers: usize,
    /// Sessions one worker may hold for the streams of one mapping; more streams share the last one.
    pub sessions_per_worker: usize,
    /// A file is closed when it has reached this size (bytes, not compressed).
    pub file_bytes: u64,
    /// How files are stored.
    pub codec: Codec,
    /// Bytes a worker encodes before it writes.
    pub chunk_bytes: usize,
    /// How long to wait for writers that are open when the export begins (M-02).
    pub snapshot_wait: Duration,
    /// Count the references that point to nothing.
    pub check_references: bool,
    /// What stands before file names in the manifest; nothing makes them relative to it.
    pub base_url: String,
    /// The kick-off URL the manifest repeats.
    pub request_url: String,
    /// Where the ids of mappings without `deleted` are kept, so that deletions are found by comparing.
    pub ledger: Option<PathBuf>,
    /// What is to be told beside what the export itself finds: parameters that were ignored (K-09).
    pub notices: Vec<OperationOutcome>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2 + 1),
            sessions_per_worker: 8,
            file_bytes: 256 * 1024 * 1024,
            codec: Codec::None,
            chunk_bytes: 256 * 1024,
            snapshot_wait: Duration::from_secs(5),
            check_references: false,
            base_url: String::new(),
            request_url: String::new(),
            ledger: None,
            notices: Vec::new(),
        }
    }
}

/// A finished export.
#[derive(Debug)]
pub struct Exported {
    /// As written to `manifest.json`.
    pub manifest: Manifest,
    /// As written to `report.json`.
    pub report: Report,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The database.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The place files go to.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A program that cannot run.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The temporary file of an oversized resource.
    #[error("failed to keep a large resource in a temporary file")]
    Spill(#[from] io::Error),
    /// A thread's runtime.
    #[error("failed to start a worker")]
    Runtime(#[source] io::Error),
    /// A worker died of a broken invariant.
    #[error("a worker stopped unexpectedly; this is a bug in smelt")]
    WorkerDied,
    /// Asked to stop.
    #[error("the export was stopped")]
    Cancelled,
    /// Patients that are not in the database, or not in the group.
    #[error("no such patient: {}", .0.join(", "))]
    UnknownPatients(Vec<String>),
    /// A group that is not in the database.
    #[error("no such group")]
    UnknownGroup,
    /// Groups whose members cannot be found.
    #[error("groups of mapping `{mapping}` cannot be exported: {why}")]
    NoMembers {
        /// The mapping.
        mapping: String,
        /// Why.
        why: &'static str,
    },
    /// A filter that cannot be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A restriction to patients that cannot be applied.
    #[error("mapping `{mapping}` cannot be restricted to patients: {why}")]
    PatientsNotApplicable {
        /// The mapping.
        mapping: String,
        /// Why.
        why: &'static str,
    },
    /// The key ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Two resources of one type would have the same id.
    #[error("{0}")]
    Ids(String),
    /// The manifest cannot be written.
    #[error("failed to write the manifest")]
    Manifest(#[source] serde_json::Error),
}

impl ExportError {
    /// True when the same export may succeed if it is tried again, under a new snapshot: the database was lost or was
    /// short of something, or the system of threads. A full disk stays full until somebody does something about it.
    pub fn transient(&self) -> bool {
        match self {
            Self::Source(error) => error.transient(),
            Self::Runtime(_) => true,
            _ => false,
        }
    }
}

/// One mapping's part in the run.
pub(super) struct Part<'a> {
    mapping: &'a Mapping,
    pub(super) compiled: Arc<Compiled>,
    pub(super) filter: Arc<Filter>,
    pub(super) only: Option<Arc<Search>>,
    /// The searches leave out rows before they are read.
    pub(super) pushed: bool,
    pub(super) estimate: u64,
    pub(super) ranges: Vec<Range>,
}

/// Runs an export into `sink`. Blocks; `runtime` is the caller's own and drives the snapshot's connection meanwhile.
///
/// Files become visible together, the manifest last. When it fails nothing of it is visible under its name.
///
/// # Errors
///
/// The first failure of any worker, or [`ExportError::Cancelled`].
#[expect(clippy::too_many_arguments, reason = "each is a part of its own: where from, what, how, where to, who looks")]
pub fn export<S: Sink>(
    runtime: &Runtime,
    source: &Source,
    prepared: &Prepared,
    request: &ExportRequest,
    options: &ExportOptions,
    sink: &S,
    progress: &Counting,
    cancel: &CancellationToken,
) -> Result<Exported, ExportError> {
    let began = Instant::now();
    let stop = cancel.child_token();
    let _stop_at_end = stop.clone().drop_guard();
    let planned = runtime.block_on(async {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(ExportError::Cancelled),
            planned = plan(source, prepared, request, options) => planned,
        }
    })?;
    let plan_seconds = began.elapsed().as_secs_f64();
    let Planned { snapshot, parts, deletes, undeclared, mut notices, mut proofs, mut ledgers } = planned;

    let mut estimates: Vec<(String, u64)> = Vec::new();
    for part in &parts {
        let name = &part.compiled.program.resource_type;
        match estimates.iter_mut().find(|(known, _)| known == name) {
            Some((_, estimate)) => *estimate += part.estimate,
            None => estimates.push((name.clone(), part.estimate)),
        }
    }
    progress.begin(estimates);

    let mut queue: Vec<Task> = Vec::new();
    for (tally, part) in parts.iter().enumerate() {
        progress.expect(&part.compiled.program.resource_type, part.ranges.len() as u64);
        queue.extend(part.ranges.iter().map(|range| Task {
            compiled: Arc::clone(&part.compiled),
            tally,
            filter: Arc::clone(&part.filter),
            range: range.clone(),
            estimate: part.estimate / part.ranges.len() as u64,
            only: part.only.clone(),
            deletes: false,
        }));
    }
    let declared = !deletes.is_empty();
    queue.extend(deletes);
    // Largest first, so that no worker is left with a long split at the end.
    queue.sort_by_key(|task| std::cmp::Reverse(task.estimate));

    let shared = Shared {
        sink,
        snapshot: snapshot.clone(),
        queue: Mutex::new(VecDeque::from(queue)),
        progress,
        cancel: stop.clone(),
        numbers: Mutex::new(HashMap::new()),
        codec: options.codec,
        file_bytes: options.file_bytes,
        chunk_bytes: options.chunk_bytes,
        sessions: options.sessions_per_worker.max(1),
    };
    let (done, checked) = std::thread::scope(|scope| {
        let (ended, mut results) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..options.workers.max(1) {
            let (ended, shared) = (ended.clone(), &shared);
            let spawned =
                std::thread::Builder::new().name(format!("smelt-worker-{number}")).spawn_scoped(scope, move || {
                    let _ = ended.send(work(shared));
                });
            if let Err(error) = spawned {
                stop.cancel();
                return Err(ExportError::Runtime(error));
            }
        }
        drop(ended);
        runtime.block_on(async {
            let workers = async {
                let mut done: Vec<Done<S::File>> = Vec::new();
                let mut failure: Option<ExportError> = None;
                for _ in 0..options.workers.max(1) {
                    match results.recv().await {
                        Some(Ok(part)) => done.push(part),
                        // What cancelled the others says more than that they were cancelled.
                        Some(Err(ExportError::Cancelled)) => {
                            failure.get_or_insert(ExportError::Cancelled);
                        }
                        Some(Err(error)) => {
                            if failure.as_ref().is_none_or(|known| matches!(known, ExportError::Cancelled)) {
                                failure = Some(error);
                            }
                        }
                        None => {
                            stop.cancel();
                            failure.get_or_insert(ExportError::WorkerDied);
                        }
                    }
                }
                failure.map_or(Ok(done), Err)
            };
            let checks = async {
                let checked = async {
                    proofs.run(&snapshot).await?;
                    match &mut ledgers {
                        Some(ledgers) => ledgers.read(&snapshot, options.chunk_bytes).await,
                        None => Ok(()),
                    }
                };
                let checked = checked.await;
                if checked.is_err() {
                    stop.cancel();
                }
                checked
            };
            let (done, checked) = tokio::join!(workers, async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Err(ExportError::Cancelled),
                    checked = checks => checked,
                }
            });
            match (done, checked) {
                (Ok(done), Ok(())) => Ok((done, ())),
                (Err(ExportError::Cancelled) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
            }
        })
    })?;
    let () = checked;

    let mut tallies: Vec<Tally> = parts.iter().map(|_| Tally::default()).collect();
    let mut whole: Vec<WholeFile<S::File>> = Vec::new();
    for part in done {
        whole.extend(part.files);
        for (tally, counted) in part.tallies {
            if let Some(tally) = tallies.get_mut(tally) {
                tally.merge(counted);
            }
        }
    }
    let at = snapshot.transaction_time().div_euclid(1_000) * 1_000;
    let (mut known, mut ledger) = (declared, None);
    if let Some(ledgers) = ledgers {
        let mut deletions = Deletions::new(&shared);
        let merged =
            ledgers.merge(&prepared.pack.project.name, at, request.since, &stop, |kind, id| deletions.add(kind, id))?;
        whole.extend(deletions.end()?);
        for told in &merged.told {
            match told.unknown_before {
                Some(before) => notices.push(deletions_unknown(told.mapping, Some(before))),
                None if request.since.is_some() => {
                    known = true;
                    if let Some(tally) = tallies.get_mut(told.part) {
                        tally.deleted = Some(told.deleted);
                    }
                }
                None => {}
            }
        }
        ledger = Some(merged);
    }
    if known {
        notices.extend(undeclared.into_iter().map(|mapping| deletions_unknown(mapping, None)));
    }
    let mut finish =
        Finish { sink, options, output: Vec::new(), deleted: Vec::new(), outcome: Vec::new(), files: Vec::new() };
    finish.commit(whole)?;
    finish.outcomes(&parts, &tallies, std::mem::take(&mut notices))?;
    let transaction_time = instant(snapshot.transaction_time());
    let manifest = Manifest {
        transaction_time: transaction_time.clone(),
        request: options.request_url.clone(),
        requires_access_token: false,
        output: finish.output,
        deleted: known.then_some(finish.deleted),
        outcome: finish.outcome,
        extension: ManifestExtension {
            software: concat!("smelt ", env!("CARGO_PKG_VERSION")).to_owned(),
            pack: prepared.pack.project.name.clone(),
            pack_digest: prepared.pack.digest.clone(),
        },
    }
    .sorted();
    let report = Report {
        format: 1,
        versions: Versions {
            smelt: env!("CARGO_PKG_VERSION").to_owned(),
            fhir: "4.0.1".to_owned(),
            postgresql: version_text(source.version()),
            pack: prepared.pack.project.name.clone(),
            pack_digest: prepared.pack.digest.clone(),
        },
        request: Request {
            types: request.types.clone(),
            since: request.since.map(text_of),
            until: request.until.map(text_of),
            patient_count: (!request.patients.is_empty()).then_some(request.patients.len() as u64),
            workers: options.workers as u32,
        },
        watermark: Watermark { transaction_time, quality: snapshot.watermark().to_string() },
        timings: Timings { plan_seconds, export_seconds: began.elapsed().as_secs_f64() - plan_seconds },
        mappings: parts
            .iter()
            .zip(&tallies)
            .map(|(part, tally)| {
                let names: Vec<&str> = part.mapping.header.updated.iter().map(|name| name.text.as_str()).collect();
                let updated = (!names.is_empty()).then(|| names.join(", "));
                let mut report = tally.report(&part.compiled, proofs.of(&part.mapping.name), updated);
                report.dangling_by_path = proofs.dangling(&part.mapping.name);
                report
            })
            .collect(),
        files: finish.files,
    };
    let write = |name: &str, bytes: Vec<u8>| -> Result<(), ExportError> {
        let mut file = sink.create(name, Codec::None)?;
        file.write(&bytes)?;
        file.commit()?;
        Ok(())
    };
    // Before the manifest: a consumer must not hold what no ledger knows.
    if let Some(ledger) = ledger {
        ledger.install()?;
    }
    write("report.json", report.to_json().map_err(ExportError::Manifest)?)?;
    // Last: where it is, the export is whole.
    write("manifest.json", manifest.to_file_json().map_err(ExportError::Manifest)?)?;
    sink.finish()?;
    Ok(Exported { manifest, report })
}

/// The first instant that FHIR can write: 0001-01-01T00:00:00Z.
const EARLIEST: i64 = -62_135_596_800_000_000;

fn text_of(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(FhirInstant::to_micros).unwrap_or_default()
}

fn version_text(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

pub(super) struct Planned<'a> {
    snapshot: Snapshot,
    pub(super) parts: Vec<Part<'a>>,
    deletes: Vec<Task>,
    /// Whose deletions nobody knows.
    undeclared: Vec<&'a Mapping>,
    ledgers: Option<Ledgers<'a>>,
    pub(super) notices: Vec<OperationOutcome>,
    proofs: Proofs,
}

impl Planned<'_> {
    /// The snapshot's `transactionTime` as a FHIR instant.
    pub(super) fn transaction_time(&self) -> String {
        instant(self.snapshot.transaction_time())
    }
}

/// A FHIR instant; microseconds are rounded down to milliseconds, so that nothing is lost between two exports.
fn instant(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(|instant| instant.to_string()).unwrap_or_default()
}

/// The rows of one mapping that a request without bounds on time wants.
pub(super) async fn restrict(
    session: &Session,
    prepared: &Prepared,
    compiled: &Compiled,
    request: &ExportRequest,
) -> Result<Filter, ExportError> {
    let (pack, catalog) = (&prepared.pack, &prepared.catalog);
    let zone = pack.project.timezone.as_deref().unwrap_or("UTC");
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
    let zone = pack.project.timezone.as_deref().unwrap_or("UTC");
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
fn deletions_unknown(mapping: &Mapping, before: Option<i64>) -> OperationOutcome {
    let of = format!("deletions of {} by mapping {}", mapping.resource_type, mapping.name);
    let text = match before {
        Some(time) => format!("{of} are known from {} on and were not listed: export it whole once", instant(time)),
        None => format!("{of} are not known and were not listed"),
    };
    notice(IssueType::Informational, &text)
}

fn notice(code: IssueType, text: &str) -> OperationOutcome {
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

/// Commits files and writes those that speak about the others.
struct Finish<'a, S> {
    sink: &'a S,
    options: &'a ExportOptions,
    output: Vec<ManifestFile>,
    deleted: Vec<ManifestFile>,
    outcome: Vec<ManifestFile>,
    files: Vec<FileReport>,
}

impl<S: Sink> Finish<'_, S> {
    fn commit(&mut self, files: Vec<WholeFile<S::File>>) -> Result<(), ExportError> {
        for WholeFile { resource_type, deletes, count, file } in files {
            let stored = file.commit()?;
            let resource_type = if deletes { "Bundle".to_owned() } else { resource_type };
            let entry = self.entry(resource_type, count, &stored);
            if deletes { self.deleted.push(entry) } else { self.output.push(entry) }
        }
        Ok(())
    }

    fn entry(&mut self, resource_type: String, count: u64, stored: &StoredFile) -> ManifestFile {
        self.files.push(FileReport {
            name: stored.name.clone(),
            resource_type: resource_type.clone(),
            count,
            bytes: stored.raw_bytes,
            stored_bytes: stored.bytes,
            sha256: stored.sha256.clone(),
        });
        ManifestFile {
            resource_type,
            url: format!("{}{}", self.options.base_url, stored.name),
            count,
            file_size: stored.raw_bytes,
            stored: Stored {
                stored_size: stored.bytes,
                sha256: stored.sha256.clone(),
                content_encoding: self.options.codec.content_encoding().map(str::to_owned),
            },
        }
    }

    fn outcomes(
        &mut self,
        parts: &[Part<'_>],
        tallies: &[Tally],
        notices: Vec<OperationOutcome>,
    ) -> Result<(), ExportError> {
        let mut lines = Vec::new();
        let mut count = notices.len() as u64;
        for notice in notices {
            lines.extend_from_slice(notice.to_json_line().as_bytes());
        }
        for (part, tally) in parts.iter().zip(tallies) {
            count += tally.outcomes(&part.compiled.program, &mut lines);
        }
        if count > 0 {
            let mut file = self.sink.create("OperationOutcome.0001.ndjson", self.options.codec)?;
            file.write(&lines)?;
            let stored = file.commit()?;
            let entry = self.entry("OperationOutcome".to_owned(), count, &stored);
            self.outcome.push(entry);
        }
        Ok(())
    }
}
