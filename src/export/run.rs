//! Snapshot → patients → proofs → splits → workers → files → manifest.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::failures::Tally;
use super::ledger::Deletions;
use super::organize::{self, Made, Spool, Target};
use super::plan::{Part, Planned, deletions_unknown, plan, text_of};
use super::prepare::Prepared;
use super::progress::Counting;
use super::worker::{Done, Shared, Task, WholeFile, work};
use super::{ExportError, ExportOptions, Exported};
use crate::bulk::manifest::{Manifest, ManifestExtension, ManifestFile, Stored};
use crate::bulk::report::{BLOCKS, FileReport, Report, Request, Timings, Versions, Watermark};
use crate::bulk::request::ExportRequest;
use crate::fhir::instant::Instant as FhirInstant;
use crate::fhir::outcome::OperationOutcome;
use crate::sink::{Codec, Sink, SinkFile, StoredFile};
use crate::source::Source;

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
    let spool = Spool::of(&parts);
    if spool.is_some() {
        estimates.push((BLOCKS.to_owned(), estimates.iter().map(|(_, estimate)| estimate).sum()));
    }
    progress.begin(estimates);
    progress.expect(BLOCKS, 1);

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

    let mut shared = Shared {
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
        spool,
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
    if let Some(spool) = shared.spool.take() {
        let (codec, file_bytes, made) = (options.codec, options.file_bytes, AtomicU32::new(0));
        let target = Target { sink, progress, cancel: &stop, codec, file_bytes, made };
        let Made { files, context, told } = organize::write(&target, spool, options.workers)?;
        whole.extend(files);
        notices.extend(told);
        for (tally, (unused, copies)) in tallies.iter_mut().zip(context) {
            tally.filtered += unused;
            tally.repeated = copies.saturating_sub(tally.counts.emitted - tally.filtered);
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
        output_organized_by: request.by_patient.then(|| "Patient".to_owned()),
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
            organized_by: request.by_patient.then(|| "Patient".to_owned()),
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

fn version_text(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

/// A FHIR instant; microseconds are rounded down to milliseconds, so that nothing is lost between two exports.
pub(super) fn instant(micros: i64) -> String {
    FhirInstant::from_unix_micros(micros).map(|instant| instant.to_string()).unwrap_or_default()
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
        let mut continued = false;
        for WholeFile { resource_type, deletes, continues, count, file } in files {
            let stored = file.commit()?;
            let resource_type = if deletes { "Bundle".to_owned() } else { resource_type };
            let entry = self.entry(resource_type, count, &stored);
            let goes_on = std::mem::replace(&mut continued, continues);
            if let Some(before) = self.output.last_mut().filter(|_| goes_on) {
                before.continues_in_file = Some(entry.url.clone());
            }
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
            continues_in_file: None,
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
