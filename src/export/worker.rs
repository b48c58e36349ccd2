//! One worker: a thread with a runtime and sessions of its own. It claims a split, reads, encodes, writes, rolls files.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::ExportError;
use super::failures::Tally;
use super::progress::Progress;
use super::spill::Spill;
use crate::encode::{Encoder, Limits, Output, Spill as SpillOrder, Step};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::row::RowBatch;
use crate::sink::{Codec, Sink, SinkFile};
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
    /// Tombstones rather than resources.
    pub(super) deletes: bool,
}

/// What all workers of one export share.
pub(super) struct Shared<'a, S: Sink> {
    pub(super) sink: &'a S,
    pub(super) snapshot: Snapshot,
    pub(super) queue: Mutex<VecDeque<Task>>,
    pub(super) progress: &'a Progress,
    pub(super) cancel: CancellationToken,
    pub(super) files: Mutex<HashMap<String, u32>>,
    pub(super) codec: Codec,
    pub(super) file_bytes: u64,
    pub(super) chunk_bytes: usize,
    /// Sessions one worker may hold; lists beyond it share one through portals.
    pub(super) sessions: usize,
}

/// A whole file, durable and not yet visible.
pub(super) struct WholeFile<F> {
    pub(super) resource_type: String,
    pub(super) deletes: bool,
    pub(super) count: u64,
    pub(super) file: F,
}

/// What a worker leaves.
pub(super) struct Done<F> {
    pub(super) files: Vec<WholeFile<F>>,
    pub(super) tallies: HashMap<usize, Tally>,
}

struct OpenFile<F> {
    file: F,
    count: u64,
}

/// Works until the queue is empty. Blocks: it is called on a thread of its own.
pub(super) fn work<S: Sink>(shared: &Shared<'_, S>) -> Result<Done<S::File>, ExportError> {
    // One thread holds the connection's driver and the mapper: a second one would only wait for the first.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExportError::Runtime)?;
    let done = runtime.block_on(async {
        let mut worker = Worker {
            shared,
            sessions: Vec::new(),
            open: HashMap::new(),
            done: Done { files: Vec::new(), tallies: HashMap::new() },
            output: Output::new(),
            buffer: Vec::new(),
            spare: Vec::new(),
        };
        tokio::select! {
            biased;
            () = shared.cancel.cancelled() => Err(ExportError::Cancelled),
            done = worker.run() => done.map(|()| worker.done),
        }
    });
    if done.is_err() {
        shared.cancel.cancel();
    }
    done
}

struct Worker<'a, S: Sink> {
    shared: &'a Shared<'a, S>,
    sessions: Vec<Session>,
    open: HashMap<(String, bool), OpenFile<S::File>>,
    done: Done<S::File>,
    output: Output,
    /// Its memory takes turns with the output's.
    buffer: Vec<u8>,
    spare: Vec<RowBatch>,
}

impl<S: Sink> Worker<'_, S> {
    async fn run(&mut self) -> Result<(), ExportError> {
        loop {
            let task = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(task) = task else { break };
            self.task(&task).await?;
        }
        let open: Vec<(String, bool)> = self.open.keys().cloned().collect();
        for (kind, deletes) in open {
            self.close(&kind, deletes)?;
        }
        Ok(())
    }

    async fn task(&mut self, task: &Task) -> Result<(), ExportError> {
        let started = Instant::now();
        let compiled = &task.compiled;
        let program = &compiled.program;
        let mut rows = self.streams(task).await?;
        let limits = Limits { chunk_bytes: self.shared.chunk_bytes };
        let mut encoder = Encoder::new(Arc::new(program.clone()), limits)?;
        let mut tally = Tally::default();
        let mut spill = Spill::default();
        loop {
            match encoder.step(&mut self.output) {
                Step::Need(stream) => {
                    let mut batch = self.spare.pop().unwrap_or_default();
                    let more = match rows.get_mut(stream as usize) {
                        Some(rows) => rows.next_batch(&mut batch).await?,
                        None => false,
                    };
                    if more {
                        self.spare.push(encoder.feed(stream, batch));
                    } else {
                        self.spare.push(batch);
                        encoder.finish(stream);
                    }
                }
                Step::Chunk => {
                    self.drain(task, &mut encoder, &mut tally, &mut spill)?;
                    // Other tasks of this thread (the connection, a cancellation) get their turn.
                    tokio::task::yield_now().await;
                }
                Step::Done => break,
            }
        }
        self.drain(task, &mut encoder, &mut tally, &mut spill)?;
        tally.seconds = started.elapsed().as_secs_f64();
        if task.deletes {
            tally = Tally { deleted: Some(tally.counts.emitted), ..Tally::default() };
        } else {
            self.shared.progress.finish(&program.resource_type);
        }
        self.done.tallies.entry(task.tally).or_default().merge(tally);
        Ok(())
    }

    /// Starts the statements of all streams: one session each, the last one shared when there are not enough.
    async fn streams(&mut self, task: &Task) -> Result<Vec<Rows>, ExportError> {
        let streams = &task.compiled.streams;
        while self.sessions.len() < streams.len().min(self.shared.sessions) {
            self.sessions.push(self.shared.snapshot.session().await?);
        }
        let mut rows = Vec::with_capacity(streams.len());
        for (number, stream) in streams.iter().enumerate() {
            let statement = statement(stream, &task.filter, &task.range, task.compiled.split.as_ref());
            let own = number + 1 < self.sessions.len() || streams.len() <= self.sessions.len();
            let session = &self.sessions[number.min(self.sessions.len() - 1)];
            rows.push(if own {
                session.stream(&statement).await?
            } else {
                session.portal_stream(&statement).await?
            });
        }
        Ok(rows)
    }

    /// Moves what the encoder has made to the file, and what is open and large to the spill.
    fn drain(
        &mut self,
        task: &Task,
        encoder: &mut Encoder,
        tally: &mut Tally,
        spill: &mut Spill,
    ) -> Result<(), ExportError> {
        let report = encoder.report();
        let kind = &task.compiled.program.resource_type;
        let mut written = 0;
        while let Some(order) = self.output.spill() {
            match order {
                SpillOrder::Cut(len) => spill.cut(len)?,
                SpillOrder::Whole(len) => {
                    let open = self.file(kind, task.deletes)?;
                    spill.drain::<ExportError>(|bytes| Ok(open.file.write(bytes)?))?;
                    written += len;
                }
            }
        }
        let settled = self.output.take_settled(std::mem::take(&mut self.buffer));
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
        if self.output.open_len() >= self.shared.chunk_bytes {
            self.buffer = self.output.take_open(std::mem::take(&mut self.buffer));
            spill.push(&self.buffer)?;
        }
        if !task.deletes {
            self.shared.progress.add(kind, report.rows_read, report.rejected, written);
        }
        tally.counts.merge(report);
        Ok(())
    }

    /// The open file of a type; a new one gets the type's next number.
    fn file(&mut self, kind: &str, deletes: bool) -> Result<&mut OpenFile<S::File>, ExportError> {
        let key = (kind.to_owned(), deletes);
        match self.open.entry(key) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(free) => {
                let base = if deletes { "deleted" } else { kind };
                let number = {
                    let mut files = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
                    let number = files.entry(base.to_owned()).or_default();
                    *number += 1;
                    *number
                };
                let file = self.shared.sink.create(&format!("{base}.{number:04}.ndjson"), self.shared.codec)?;
                Ok(free.insert(OpenFile { file, count: 0 }))
            }
        }
    }

    fn close(&mut self, kind: &str, deletes: bool) -> Result<(), ExportError> {
        if let Some(OpenFile { mut file, count }) = self.open.remove(&(kind.to_owned(), deletes)) {
            file.seal()?;
            self.done.files.push(WholeFile { resource_type: kind.to_owned(), deletes, count, file });
        }
        Ok(())
    }
}
