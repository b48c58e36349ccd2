//! Jobs in service: the keeper's steps, with threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::JobId;
use super::config::{JobsConfig, StartError, SubmitError};
use super::engine::{CheckError, Engine};
use super::files::{OpenError, OpenFile};
use super::keeper::{Keeper, Start};
use super::record::{Job, NewJob, Submitted};
use super::store::{JobStore, StoreError};
use super::table::Numbers;
use crate::bulk::{ExportRequest, Progress, TypeFilter};
use crate::clock::Clock;
use crate::export::{ExportError, Publish};

/// How often expiry and space are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long stopped exports may take to be put back; each has been told to end within two seconds (D-04).
const LAST_WAIT: Duration = Duration::from_secs(5);

/// All jobs of the server.
pub struct Jobs {
    keeper: Arc<Keeper>,
    engine: Arc<dyn Engine>,
    signal: Arc<Signal>,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Every export came to its end by itself.
    pub complete: bool,
    /// Jobs that the next start goes on with.
    pub left: usize,
    /// Exports that did not stop; the next start runs their jobs again.
    pub stuck: usize,
}

impl Jobs {
    /// Puts in order what an earlier process left (S-20), and begins to work.
    ///
    /// # Errors
    ///
    /// Records or files cannot be used.
    pub fn start(
        config: JobsConfig,
        store: Arc<dyn JobStore>,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let keeper = Arc::new(Keeper::open(config, store, clock)?);
        let signal = Arc::new(Signal::default());
        let worker = Worker { keeper: Arc::clone(&keeper), engine: Arc::clone(&engine), signal: Arc::clone(&signal) };
        thread::Builder::new()
            .name("smelt-jobs".to_owned())
            .spawn(move || worker.work())
            .map_err(StartError::Thread)?;
        signal.wake();
        Ok(Arc::new(Self { keeper, engine, signal }))
    }

    /// Asks the database whether a request can be accepted (K-22).
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn check(&self, request: &ExportRequest) -> Result<(), CheckError> {
        let (engine, request) = (Arc::clone(&self.engine), request.clone());
        blocking(move || engine.check(&request)).await.unwrap_or(Err(CheckError::Unavailable))
    }

    /// Group resources as JSON (G-01, G-02): the one with this id and its members, none when there is no such group;
    /// or all, without their members.
    ///
    /// # Errors
    ///
    /// Why they cannot be read.
    pub async fn groups(&self, id: Option<&str>, withheld: &[TypeFilter]) -> Result<Vec<Vec<u8>>, CheckError> {
        let (engine, id, withheld) = (Arc::clone(&self.engine), id.map(str::to_owned), withheld.to_vec());
        blocking(move || engine.groups(id.as_deref(), &withheld)).await.unwrap_or(Err(CheckError::Unavailable))
    }

    /// Accepts a job for `client`, or gives it one that serves as well. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// Why it is not accepted.
    pub async fn submit(&self, client: &str, new: NewJob) -> Result<Submitted, SubmitError> {
        let (keeper, client) = (Arc::clone(&self.keeper), client.to_owned());
        let submitted = blocking(move || keeper.submit(&client, new)).await.unwrap_or(Err(SubmitError::Stopped));
        self.signal.wake();
        submitted
    }

    /// A job. Whether it may be shown is for the caller to say: see [`Job::client`] (S-12).
    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        self.keeper.get(id)
    }

    /// How far a job is; nothing is counted yet while it waits.
    pub fn progress(&self, id: JobId) -> Option<Progress> {
        self.keeper.progress(id)
    }

    /// The job when it has ended or a page of it was published, or as it is after `at_most` (S-19). `None` when there is none, or none any more.
    pub async fn wait(&self, id: JobId, at_most: Duration) -> Option<Arc<Job>> {
        let news = self.keeper.news(id)?;
        // Whichever came first, the job is looked at anew.
        let _ = tokio::time::timeout(at_most, news.cancelled()).await;
        self.get(id)
    }

    /// Deletes a job: stops it, forgets it, removes its files (D-01 to D-04). False when there is none.
    ///
    /// # Errors
    ///
    /// The record could not be removed, and the job is still there.
    pub async fn delete(&self, id: JobId) -> Result<bool, StoreError> {
        let keeper = Arc::clone(&self.keeper);
        let removed = blocking(move || keeper.delete(id)).await;
        let removed = removed.unwrap_or(Err(StoreError::Other("the server is shutting down")))?;
        self.signal.wake();
        match removed {
            None => Ok(false),
            Some(removed) => {
                // The answer does not wait for large files; what a crash leaves of them goes at the next start.
                tokio::task::spawn_blocking(|| removed.remove_files());
                Ok(true)
            }
        }
    }

    /// Opens a file of a job, by the name its manifest gives. It stays readable when the job is deleted
    /// (F-11). Blocks for as long as the system takes to open a file.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub fn open_file(&self, id: JobId, name: &str) -> Result<OpenFile, OpenError> {
        self.keeper.open_file(id, name)
    }

    /// How things stand.
    pub fn numbers(&self) -> Numbers {
        self.keeper.numbers()
    }

    /// Whether the store took what it was last given: without it nothing can be accepted.
    pub fn store_works(&self) -> bool {
        self.keeper.store_works()
    }

    /// Accepts and begins nothing any more, lets exports run for `at_most`, and stops the others; the next start goes on
    /// with their jobs.
    pub async fn drain(&self, at_most: Duration) -> Drained {
        let keeper = Arc::clone(&self.keeper);
        // Behind whatever is just beginning.
        let _ = blocking(move || keeper.begin_drain()).await;
        let mut busy = self.keeper.busy.subscribe();
        let complete = tokio::time::timeout(at_most, busy.wait_for(|running| *running == 0)).await.is_ok();
        if !complete {
            self.keeper.stop_runs();
            // Those that do not stop are run again all the same.
            let _ = tokio::time::timeout(LAST_WAIT, busy.wait_for(|running| *running == 0)).await;
        }
        let keeper = Arc::clone(&self.keeper);
        // A record that the store did not take gets its last chance.
        let _ = blocking(move || keeper.tick()).await;
        let Numbers { queued, running, .. } = self.numbers();
        Drained { complete, left: queued, stuck: running }
    }

    /// Looks at expiry and space now.
    #[cfg(test)]
    pub(crate) fn tick(&self) {
        self.keeper.tick();
        self.signal.wake();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.keeper.begin_drain();
        self.keeper.stop_runs();
        self.signal.close();
    }
}

/// Runs `work` where blocking is allowed; `None` when the runtime is ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// What the thread that begins runs is told.
#[derive(Debug, Default)]
struct Signal {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Told {
    woken: bool,
    closed: bool,
}

impl Signal {
    fn wake(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).woken = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    /// Waits until it is woken, or for `at_most`; false when it is closed.
    fn wait(&self, at_most: Duration) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(told, at_most, |told| !told.woken && !told.closed);
        let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told.woken = false;
        !told.closed
    }
}

/// The thread that begins runs, and looks at the time.
struct Worker {
    keeper: Arc<Keeper>,
    engine: Arc<dyn Engine>,
    signal: Arc<Signal>,
}

impl Worker {
    fn work(self) {
        let mut ticked = Instant::now();
        while self.signal.wait(TICK) {
            if ticked.elapsed() >= TICK {
                self.keeper.tick();
                ticked = Instant::now();
            }
            while let Some(start) = self.keeper.next() {
                self.begin(start);
            }
        }
    }

    fn begin(&self, start: Start) {
        let id = start.job.id;
        let (keeper, engine, signal) = (Arc::clone(&self.keeper), Arc::clone(&self.engine), Arc::clone(&self.signal));
        let run = move || {
            run(&keeper, &*engine, &start);
            signal.wake();
        };
        if let Err(error) = thread::Builder::new().name("smelt-export".to_owned()).spawn(run) {
            self.keeper.run_ended(id, Err(ExportError::Runtime(error)));
        }
    }
}

/// One run, on a thread of its own.
fn run(keeper: &Arc<Keeper>, engine: &dyn Engine, start: &Start) {
    let Start { job, directory, progress, cancel } = start;
    let publish = {
        let (keeper, id) = (Arc::clone(keeper), job.id);
        Publish::new(move |page| keeper.publish(id, page))
    };
    // A broken invariant must not leave a job that runs for ever.
    let result = catch_unwind(AssertUnwindSafe(|| engine.export(job, directory, progress, cancel, &publish)))
        .unwrap_or(Err(ExportError::WorkerDied));
    keeper.run_ended(job.id, result);
}
