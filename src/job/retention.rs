//! What time brings: records that could not be written are, jobs expire, space is watched.

use std::collections::HashSet;

use super::JobId;
use super::config::{Event, JobsConfig};
use super::keeper::Keeper;
use super::table::{Entry, Pending, Stop};

impl Keeper {
    /// What time brings: records that could not be written are, jobs expire, space is watched.
    pub(super) fn tick(&self) {
        self.write_pending();
        self.expire();
        self.watch_space();
    }

    fn write_pending(&self) {
        let pending: Vec<Pending> =
            self.table().entries.values_mut().filter_map(|entry| entry.pending.take()).collect();
        for next in pending {
            if let Some((event, job)) = self.record(next) {
                self.tell(event, &job);
            }
        }
    }

    /// Removes jobs whose time is over. Files that are being read hold that up, once as long again at most;
    /// later only who has them open keeps them (F-11).
    fn expire(&self) {
        let now = self.clock.now_micros();
        let kept_for = self.config.kept_for.as_micros() as i64;
        let over = |entry: &Entry| {
            entry.job.expires_at.is_some_and(|at| at <= now && (!entry.is_read() || at.saturating_add(kept_for) <= now))
        };
        let expired: Vec<Entry> = {
            let mut table = self.table();
            let ids: Vec<JobId> = table.entries.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id).collect();
            table.leftover.extend(&ids);
            table.totals.expired += ids.len() as u64;
            ids.iter().filter_map(|id| table.entries.remove(id)).collect()
        };
        for entry in &expired {
            // Files first: on a full disk they are what must go, and the record of an expired job is not shown again.
            self.directories.remove(entry.job.id);
            self.tell(Event::Expired, &entry.job);
        }
        let leftover = std::mem::take(&mut self.table().leftover);
        let kept: Vec<JobId> = leftover.into_iter().filter(|id| self.stored(self.store.remove(*id)).is_err()).collect();
        self.table().leftover.extend(kept);
    }

    /// Stops what has outgrown its space: a job its own, the youngest job that of all.
    fn watch_space(&self) {
        let JobsConfig { max_bytes, max_job_bytes, .. } = self.config;
        if max_bytes.is_none() && max_job_bytes.is_none() {
            return;
        }
        let (ids, stored) = {
            let table = self.table();
            (table.running.keys().copied().collect::<Vec<_>>(), table.stored_bytes())
        };
        let sizes: Vec<(JobId, u64)> = ids.into_iter().map(|id| (id, self.directories.bytes(id))).collect();
        let total = stored + sizes.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let mut table = self.table();
        let table = &mut *table;
        let mut too_large: HashSet<JobId> = sizes
            .iter()
            .filter(|(_, bytes)| max_job_bytes.is_some_and(|max| *bytes > max))
            .map(|(id, _)| *id)
            .collect();
        // Those that are being stopped already will give their space back.
        let stopping = |id: &JobId| {
            table.entries.get(id).and_then(|entry| entry.run.as_ref()).is_none_or(|run| run.stop.is_some())
        };
        if max_bytes.is_some_and(|max| total > max)
            && too_large.is_empty()
            && !sizes.iter().any(|(id, _)| stopping(id))
            && let Some(youngest) =
                sizes.iter().filter_map(|(id, _)| Some((table.entries.get(id)?.job.created_at, *id))).max()
        {
            too_large.insert(youngest.1);
        }
        for id in too_large {
            if let Some(run) = table.entries.get_mut(&id).and_then(|entry| entry.run.as_mut()) {
                run.stop.get_or_insert(Stop::TooLarge);
                run.cancel.cancel();
            }
        }
    }
}
