//! One worker: a thread with a runtime and sessions of its own. It claims a split, reads, encodes, writes, rolls files.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::ExportError;
use super::drive::{Buffers, drive};
use super::failures::Tally;
use super::gather::{Gather, Notes};
use super::keep::Keep;
use super::listing::Listing;
use super::organize::{self, Spool};
use super::progress::Counting;
use super::shelf::{DELETED, Filled, Shelf, Store, lock};
use super::sift::sift;
use super::spill::Spill;
use crate::encode::{Encoder, Limits, Output, Search};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::sink::Sink;
use crate::source::{Rows, Session, Snapshot};

/// One unit of work: a range of one mapping's rows.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// What to run.
    pub(super) compiled: Arc<Compiled>,
    /// Position of the mapping's tally.
    pub(super) tally: usize,
    /// The rows wanted.
    pub(super) filter: Arc<Filter>,
    /// The split.
    pub(super) range: Range,
    /// Rows expected; the largest task goes first.
    pub(super) estimate: u64,
    /// Only resources that a search finds.
    pub(super) only: Option<Arc<Search>>,
    /// Only what is to be added.
    pub(super) keep: Option<Keep>,
    /// The rows were read before, and what is wrong with them was told.
    pub(super) again: bool,
    /// Tombstones rather than resources.
    pub(super) deletes: bool,
}

impl Task {
    /// Base name of the files it fills.
    fn base(&self) -> &str {
        if self.deletes { DELETED } else { &self.compiled.program.resource_type }
    }
}

/// What all workers of one export share.
pub(super) struct Shared<'a, S: Sink> {
    pub(super) store: &'a Store<'a, S>,
    /// The shelf of all workers, where they share one.
    pub(super) shelf: Option<&'a Shelf<'a, S>>,
    pub(super) snapshot: Snapshot,
    pub(super) queue: Mutex<VecDeque<Task>>,
    pub(super) progress: &'a Counting,
    pub(super) cancel: CancellationToken,
    pub(super) chunk_bytes: usize,
    /// Sessions one worker may hold; lists beyond it share one through portals.
    pub(super) sessions: usize,
    /// Where finished files are told while the export runs.
    pub(super) pages: Option<Pages<'a>>,
    /// What is noted, where something is added.
    pub(super) gather: Option<Gather>,
    /// Where resources wait when output is organized.
    pub(super) spool: Option<Spool>,
}

impl<S: Sink> Shared<'_, S> {
    /// Whether more of a file's resources may come.
    fn awaits(&self, base: &str) -> bool {
        lock(&self.queue).iter().any(|task| task.base() == base)
    }
}

/// Where finished files are told while the export goes on, and the least time between two pages.
pub(super) struct Pages<'a> {
    pub(super) listing: &'a Mutex<Listing>,
    pub(super) every: Duration,
}

/// What a worker leaves.
pub(super) struct Done<F> {
    pub(super) files: Vec<Filled<F>>,
    pub(super) tallies: HashMap<usize, Tally>,
}

/// Works until the queue is empty. Blocks: it is called on a thread of its own.
pub(super) fn work<S: Sink>(shared: &Shared<'_, S>) -> Result<Done<S::File>, ExportError> {
    // One thread holds the connection's driver and the mapper: a second one would only wait for the first.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExportError::Runtime)?;
    let done = runtime.block_on(async {
        tokio::select! {
            biased;
            () = shared.cancel.cancelled() => Err(ExportError::Cancelled),
            done = run(shared) => done,
        }
    });
    if done.is_err() {
        shared.cancel.cancel();
    }
    done
}

async fn run<S: Sink>(shared: &Shared<'_, S>) -> Result<Done<S::File>, ExportError> {
    let own = Shelf::new(shared.store);
    let mut files = Files { shared, shelf: shared.shelf.unwrap_or(&own), buffer: Vec::new(), notes: Notes::default() };
    let mut tallies: HashMap<usize, Tally> = HashMap::new();
    let mut sessions = Vec::new();
    let mut buffers = Buffers::default();
    loop {
        let task = lock(&shared.queue).pop_front();
        let Some(task) = task else { break };
        let began = Instant::now();
        let mut rows = streams(shared, &mut sessions, &task).await?;
        let limits = Limits { chunk_bytes: shared.chunk_bytes };
        let mut encoder = Encoder::new(Arc::clone(&task.compiled.program), limits)?;
        let mut tally = Tally::default();
        let mut spill = Spill::default();
        drive(&mut encoder, &mut rows, &mut buffers, |encoder, output| {
            match shared.spool.as_ref().filter(|_| !task.deletes) {
                Some(spool) => {
                    let buffer = &mut files.buffer;
                    organize::take(shared, spool, &task, encoder, output, &mut tally, &mut spill, buffer)
                }
                None => files.take(&task, encoder, output, &mut tally, &mut spill),
            }
            .map(ControlFlow::Continue)
        })
        .await?;
        tally.seconds = began.elapsed().as_secs_f64();
        if task.again {
            let read = std::mem::take(&mut tally.counts);
            tally.filtered += read.rejected;
            (tally.counts.rows_read, tally.counts.emitted) = (read.rows_read, read.rows_read);
        }
        if task.deletes {
            let Tally { counts, .. } = tally;
            tally = Tally { deleted: Some(counts.emitted), not_deleted: counts.rejected, ..Tally::default() };
        } else {
            shared.progress.finish(&task.compiled.program.resource_type);
        }
        tallies.entry(task.tally).or_default().merge(tally);
        // On a shelf of all workers another one may still be writing.
        if shared.shelf.is_none() && !shared.awaits(task.base()) {
            own.finish(task.base())?;
        }
    }
    for session in sessions {
        session.end().await;
    }
    Ok(Done { files: own.end()?, tallies })
}

/// Rows for which more sessions than one cost more than they bring.
const FEW_ROWS: u64 = 10_000;

/// Starts the statements of all streams: one session each, the last one shared when there are not enough, or when there
/// is little to read.
async fn streams<S: Sink>(
    shared: &Shared<'_, S>,
    sessions: &mut Vec<Session>,
    task: &Task,
) -> Result<Vec<Rows>, ExportError> {
    let streams = &task.compiled.streams;
    let wanted = if task.estimate < FEW_ROWS { 1 } else { streams.len().min(shared.sessions) };
    while sessions.len() < wanted {
        sessions.push(shared.snapshot.session().await?);
    }
    let mut rows = Vec::with_capacity(streams.len());
    for (number, stream) in streams.iter().enumerate() {
        let statement = statement(stream, &task.filter, &task.range, task.compiled.split.as_ref());
        let own = number + 1 < sessions.len() || streams.len() <= sessions.len();
        let session = &sessions[number.min(sessions.len() - 1)];
        rows.push(if own { session.stream(&statement).await? } else { session.portal_stream(&statement).await? });
    }
    Ok(rows)
}

/// Where the resources of one worker go.
struct Files<'a, S: Sink> {
    shared: &'a Shared<'a, S>,
    shelf: &'a Shelf<'a, S>,
    /// Its memory takes turns with the output's.
    buffer: Vec<u8>,
    notes: Notes,
}

impl<S: Sink> Files<'_, S> {
    /// Moves what the encoder has made to the file, and what is open and large to the spill.
    fn take(
        &mut self,
        task: &Task,
        encoder: &mut Encoder,
        output: &mut Output,
        tally: &mut Tally,
        spill: &mut Spill,
    ) -> Result<(), ExportError> {
        let report = encoder.report();
        let kind = &task.compiled.program.resource_type;
        let mut written = 0;
        let begun = spill.follow(output)?;
        let mut settled = output.take_settled(std::mem::take(&mut self.buffer));
        if let Some(only) = &task.only {
            tally.filtered += sift(&**only, &mut settled, begun > 0, spill)?;
        }
        if let Some(keep) = &task.keep {
            tally.filtered += sift(keep, &mut settled, begun > 0, spill)?;
        }
        if let Some(gather) = self.shared.gather.as_ref().filter(|_| !task.deletes) {
            self.notes.take(gather, kind, &settled, spill)?;
        }
        let base = task.base();
        let mut lines = settled.bytes.as_slice();
        if begun > 0 && !spill.is_empty() {
            let end = lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
            self.shelf.put_spilled(base, spill, end)?;
            lines = lines.get(end.len()..).unwrap_or_default();
            settled.resources -= 1;
            written += begun;
        }
        self.shelf.put(base, lines, settled.resources)?;
        written += settled.bytes.len() as u64;
        self.buffer = settled.bytes;
        spill.relieve(output, self.shared.chunk_bytes, &mut self.buffer)?;
        if !task.deletes {
            self.shared.progress.add(kind, report.rows_read, written);
        }
        tally.counts.merge(report);
        Ok(())
    }
}
