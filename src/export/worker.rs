//! One worker: a thread with a runtime and sessions of its own. It claims a split, reads, encodes, writes, rolls files.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::ExportError;
use super::drive::{Buffers, drive};
use super::failures::Tally;
use super::organize::{self, Spool};
use super::progress::Counting;
use super::spill::Spill;
use crate::encode::{Encoder, Limits, Output, Search, Settled, Spill as SpillOrder};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::sink::{Codec, Sink, SinkError, SinkFile};
use crate::source::{Rows, Session, Snapshot};

/// Base name of files with deletions.
pub(super) const DELETED: &str = "deleted";

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
    /// Tombstones rather than resources.
    pub(super) deletes: bool,
}

/// What all workers of one export share.
pub(super) struct Shared<'a, S: Sink> {
    pub(super) sink: &'a S,
    pub(super) snapshot: Snapshot,
    pub(super) queue: Mutex<VecDeque<Task>>,
    pub(super) progress: &'a Counting,
    pub(super) cancel: CancellationToken,
    /// Files made so far, by base name.
    pub(super) numbers: Mutex<HashMap<String, u32>>,
    pub(super) codec: Codec,
    pub(super) file_bytes: u64,
    pub(super) chunk_bytes: usize,
    /// Sessions one worker may hold; lists beyond it share one through portals.
    pub(super) sessions: usize,
    /// Where resources wait when output is organized.
    pub(super) spool: Option<Spool>,
}

impl<S: Sink> Shared<'_, S> {
    /// A new file of this base name, with its next number.
    pub(super) fn create(&self, base: &str) -> Result<S::File, SinkError> {
        let number = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            let number = numbers.entry(base.to_owned()).or_default();
            *number += 1;
            *number
        };
        self.sink.create(&format!("{base}.{number:04}.ndjson"), self.codec)
    }
}

/// A whole file, durable and not yet visible.
pub(super) struct WholeFile<F> {
    pub(super) resource_type: String,
    pub(super) deletes: bool,
    /// Its last block goes on in the file that follows it.
    pub(super) continues: bool,
    pub(super) count: u64,
    pub(super) file: F,
}

/// What a worker leaves.
pub(super) struct Done<F> {
    pub(super) files: Vec<WholeFile<F>>,
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
    let mut files = Files { shared, open: HashMap::new(), whole: Vec::new(), buffer: Vec::new() };
    let mut tallies: HashMap<usize, Tally> = HashMap::new();
    let mut sessions = Vec::new();
    let mut buffers = Buffers::default();
    loop {
        let task = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
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
        if task.deletes {
            let Tally { counts, .. } = tally;
            tally = Tally { deleted: Some(counts.emitted), not_deleted: counts.rejected, ..Tally::default() };
        } else {
            shared.progress.finish(&task.compiled.program.resource_type);
        }
        tallies.entry(task.tally).or_default().merge(tally);
    }
    files.close_all()?;
    Ok(Done { files: files.whole, tallies })
}

/// Starts the statements of all streams: one session each, the last one shared when there are not enough.
async fn streams<S: Sink>(
    shared: &Shared<'_, S>,
    sessions: &mut Vec<Session>,
    task: &Task,
) -> Result<Vec<Rows>, ExportError> {
    let streams = &task.compiled.streams;
    while sessions.len() < streams.len().min(shared.sessions) {
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

struct OpenFile<F> {
    file: F,
    count: u64,
}

/// The files of one worker: at most one open per type.
struct Files<'a, S: Sink> {
    shared: &'a Shared<'a, S>,
    open: HashMap<(String, bool), OpenFile<S::File>>,
    whole: Vec<WholeFile<S::File>>,
    /// Its memory takes turns with the output's.
    buffer: Vec<u8>,
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
        let mut begun = 0;
        while let Some(order) = output.spill() {
            match order {
                SpillOrder::Cut(len) => spill.cut(len)?,
                SpillOrder::Whole(len) => begun = len,
            }
        }
        let mut settled = output.take_settled(std::mem::take(&mut self.buffer));
        if let Some(only) = &task.only {
            tally.filtered += sift(only, &mut settled, begun > 0, spill)?;
        }
        if begun > 0 && !spill.is_empty() {
            let open = self.file(kind, task.deletes)?;
            spill.drain::<ExportError>(|bytes| Ok(open.file.write(bytes)?))?;
            written += begun;
        }
        if settled.resources > 0 {
            let open = self.file(kind, task.deletes)?;
            open.file.write(&settled.bytes)?;
            open.count += settled.resources;
            written += settled.bytes.len() as u64;
            if open.file.raw_bytes() >= self.shared.file_bytes {
                self.close(kind, task.deletes)?;
            }
        }
        self.buffer = settled.bytes;
        if output.open_len() >= self.shared.chunk_bytes {
            self.buffer = output.take_open(std::mem::take(&mut self.buffer));
            spill.push(&self.buffer)?;
        }
        if !task.deletes {
            self.shared.progress.add(kind, report.rows_read, written);
        }
        tally.counts.merge(report);
        Ok(())
    }

    /// The open file of a type; a new one gets the type's next number.
    fn file(&mut self, kind: &str, deletes: bool) -> Result<&mut OpenFile<S::File>, ExportError> {
        match self.open.entry((kind.to_owned(), deletes)) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(free) => {
                let file = self.shared.create(if deletes { DELETED } else { kind })?;
                Ok(free.insert(OpenFile { file, count: 0 }))
            }
        }
    }

    fn close(&mut self, kind: &str, deletes: bool) -> Result<(), ExportError> {
        if let Some(OpenFile { mut file, count }) = self.open.remove(&(kind.to_owned(), deletes)) {
            file.end()?;
            // While it becomes durable the next one is written; more than one behind would be memory without bound.
            if let Some(before) = self.whole.last_mut() {
                before.file.seal()?;
            }
            let resource_type = kind.to_owned();
            self.whole.push(WholeFile { resource_type, deletes, continues: false, count, file });
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), ExportError> {
        let open: Vec<(String, bool)> = self.open.keys().cloned().collect();
        open.into_iter().try_for_each(|(kind, deletes)| self.close(&kind, deletes))?;
        self.whole.last_mut().map_or(Ok(()), |last| Ok(last.file.seal()?))
    }
}

/// Keeps the resources that are found, and counts the others. The first may have its beginning in the spill, which is
/// emptied when that one is left out.
fn sift(only: &Search, settled: &mut Settled, begun: bool, spill: &mut Spill) -> Result<u64, ExportError> {
    let (mut kept, mut at, mut left_out) = (0, 0, 0);
    let bytes = &mut settled.bytes;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
        let end = at + length + 1;
        let line = bytes.get(at..end).unwrap_or_default();
        let first_part = begun && at == 0;
        let found = if first_part { only.wants(spill.reader()?.chain(line)) } else { only.wants(line) };
        if found {
            bytes.copy_within(at..end, kept);
            kept += end - at;
        } else {
            left_out += 1;
            if first_part {
                spill.cut(0)?;
            }
        }
        at = end;
    }
    bytes.truncate(kept);
    settled.resources -= left_out;
    Ok(left_out)
}
