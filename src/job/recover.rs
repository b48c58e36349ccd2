//! What a start finds: every job that had been accepted is finished, tried again, or honestly failed (S-20).
//!
//! A job that was running is run anew, even when its export had been whole and only the record was missing: nobody has
//! seen those files, so nothing is repeated and nothing lost, and there is one rule in the place of two. The price, an
//! export made twice, is paid only for a crash within the milliseconds between the two writes.

use std::collections::HashSet;
use std::sync::Arc;

use super::JobId;
use super::config::{Event, JobsConfig, StartError};
use super::files::Directories;
use super::keeper::Keeper;
use super::record::{Failed, Job, State};
use super::store::{JobStore, StoreError};
use super::table::{Entry, Table};
use crate::clock::Clock;

impl Keeper {
    /// Reads what is there and puts it in order.
    pub(super) fn open(
        config: JobsConfig,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let unusable = |source| StartError::Directory { path: config.directory.clone(), source };
        let directories = Directories::open(&config.directory).map_err(unusable)?;
        let (mut jobs, mut given_up) = (Vec::new(), Vec::new());
        for job in store.all()? {
            let was_ended = job.ended();
            let job = settled(job, &config, &*store, clock.now_micros())?;
            given_up.extend((job.ended() && !was_ended).then(|| job.clone()));
            jobs.push(job);
        }
        // What was not completed is run again, into an empty directory, or has its published files left.
        let has_files = |job: &&Job| matches!(job.state, State::Completed { .. }) || !job.pages.is_empty();
        let kept: HashSet<JobId> = jobs.iter().filter(has_files).map(|job| job.id).collect();
        directories.keep_only(&kept).map_err(unusable)?;
        jobs.iter().filter(|job| !job.pages.is_empty()).for_each(|job| directories.keep_published(job));

        jobs.sort_by_key(|job| (job.created_at, job.id));
        let mut table = Table::default();
        for job in jobs {
            if matches!(job.state, State::Accepted) {
                table.queue.push(&job.client, job.id);
            }
            table.entries.insert(job.id, Entry::new(job));
        }
        let keeper = Self::new(config, store, clock, directories, table);
        for job in &given_up {
            keeper.tell(Event::Failed, job);
        }
        // What expired meanwhile is never shown.
        keeper.tick();
        Ok(keeper)
    }
}

/// A job as it goes on after the process that kept it has ended.
fn settled(job: Job, config: &JobsConfig, store: &dyn JobStore, now: i64) -> Result<Job, StoreError> {
    if !matches!(job.state, State::InProgress) {
        return Ok(job);
    }
    let (id, attempts) = (job.id, job.attempts);
    let ends = |failed| job.end(State::Failed(failed), now, config.kept_for.as_micros() as i64);
    let job = if !job.pages.is_empty() {
        tracing::error!(job = %id, attempts, "an export was interrupted, with pages published; it has failed");
        ends(Failed::cut_short())
    } else if attempts < config.max_attempts {
        tracing::warn!(job = %id, attempts, "an export was interrupted; it runs again");
        job.put_back(true)
    } else {
        tracing::error!(job = %id, attempts, "an export was interrupted too often; it has failed");
        ends(Failed::interrupted(attempts))
    };
    store.put(&job)?;
    Ok(job)
}
