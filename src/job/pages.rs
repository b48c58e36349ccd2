//! Pages of a manifest that are published while the export runs (S-13 to S-16).
//!
//! A page is in the record before anybody sees it, and never changes. From the first one on the job is bound to its run:
//! another run would be another snapshot, so one that is cut short is not repeated but has failed. What was published
//! stays until the job expires, unless its space is what it failed for.

use std::sync::Arc;

use super::JobId;
use super::files::Directories;
use super::keeper::Keeper;
use super::record::{Job, State};
use crate::bulk::Manifest;

impl Keeper {
    /// Publishes a page of a run. False when it cannot be made known, or the run is being stopped.
    pub(super) fn publish(&self, id: JobId, page: Manifest) -> bool {
        let _writer = self.writer();
        let running = {
            let table = self.table();
            let entry = table.entries.get(&id).filter(|entry| entry.run.as_ref().is_some_and(|run| run.stop.is_none()));
            entry.map(|entry| Arc::clone(&entry.job))
        };
        let Some(job) = running else { return false };
        if let Err(error) = self.directories.sync() {
            tracing::warn!(job = %id, %error, "a page of a manifest could not be published");
            return false;
        }
        let mut job = Job::clone(&job);
        job.pages.push(page);
        if self.stored(self.store.put(&job)).is_err() {
            return false;
        }
        let mut table = self.table();
        let Some(entry) = table.entries.get_mut(&id) else { return false };
        let files = job.pages.last().map_or(0, |page| page.files().count());
        tracing::info!(job = %id, page = job.pages.len(), files, "a page of the manifest is published");
        entry.job = Arc::new(job);
        entry.tell();
        true
    }
}

impl Directories {
    /// Removes what a job that is not completed has not published.
    pub(super) fn keep_published(&self, job: &Job) {
        if job.pages.is_empty() {
            self.remove(job.id);
        } else if !matches!(job.state, State::Completed { .. }) {
            let names = job.files().map(|file| file.url.as_str()).collect();
            if let Err(error) = self.keep_files(job.id, &names) {
                // They take space until the job expires.
                tracing::warn!(job = %job.id, %error, "files of a job could not be removed");
            }
        }
    }
}
