//! How far an export is: counters that workers add to and anybody may read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Counters of one resource type.
#[derive(Debug)]
struct Counters {
    name: String,
    rows: AtomicU64,
    rejected: AtomicU64,
    bytes: AtomicU64,
    estimate: AtomicU64,
    open: AtomicU64,
    started: AtomicBool,
}

/// How far every type of an export is.
#[derive(Debug, Default)]
pub struct Progress {
    types: OnceLock<Vec<Counters>>,
}

/// One type at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProgress {
    /// Resource type.
    pub name: String,
    /// Rows read.
    pub rows: u64,
    /// Rows that could not become a resource.
    pub rejected: u64,
    /// Bytes written, before compression.
    pub bytes: u64,
    /// Rows expected, by PostgreSQL's statistics.
    pub estimate: u64,
    /// A worker has begun with it.
    pub started: bool,
    /// Every split of it is done.
    pub done: bool,
}

impl Progress {
    /// Starts counting these types, with the expected rows of each. Called once, when the plan is made.
    pub(super) fn begin(&self, types: impl IntoIterator<Item = (String, u64)>) {
        self.types.get_or_init(|| {
            types
                .into_iter()
                .map(|(name, estimate)| Counters {
                    name,
                    rows: AtomicU64::new(0),
                    rejected: AtomicU64::new(0),
                    bytes: AtomicU64::new(0),
                    estimate: AtomicU64::new(estimate),
                    open: AtomicU64::new(0),
                    started: AtomicBool::new(false),
                })
                .collect()
        });
    }

    fn of(&self, name: &str) -> Option<&Counters> {
        self.types.get()?.iter().find(|counters| counters.name == name)
    }

    /// Says that `splits` units of work of a type are to be done.
    pub(super) fn expect(&self, name: &str, splits: u64) {
        if let Some(counters) = self.of(name) {
            counters.open.fetch_add(splits, Relaxed);
        }
    }

    /// Adds what a worker has done.
    pub(super) fn add(&self, name: &str, rows: u64, rejected: u64, bytes: u64) {
        if let Some(counters) = self.of(name) {
            counters.started.store(true, Relaxed);
            counters.rows.fetch_add(rows, Relaxed);
            counters.rejected.fetch_add(rejected, Relaxed);
            counters.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// Says that a unit of work of a type is done.
    pub(super) fn finish(&self, name: &str) {
        if let Some(counters) = self.of(name) {
            counters.started.store(true, Relaxed);
            counters.open.fetch_sub(1, Relaxed);
        }
    }

    /// Every type as it is now, in the order they were given.
    pub fn types(&self) -> Vec<TypeProgress> {
        self.types
            .get()
            .into_iter()
            .flatten()
            .map(|counters| {
                let started = counters.started.load(Relaxed);
                TypeProgress {
                    name: counters.name.clone(),
                    rows: counters.rows.load(Relaxed),
                    rejected: counters.rejected.load(Relaxed),
                    bytes: counters.bytes.load(Relaxed),
                    estimate: counters.estimate.load(Relaxed),
                    started,
                    done: started && counters.open.load(Relaxed) == 0,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_done_with_its_last_split() {
        let progress = Progress::default();
        assert!(progress.types().is_empty());
        progress.begin([("Patient".to_owned(), 10)]);
        progress.expect("Patient", 2);
        assert!(!progress.types()[0].done);
        progress.add("Patient", 6, 1, 600);
        progress.finish("Patient");
        assert!(!progress.types()[0].done);
        progress.finish("Patient");
        let now = progress.types().remove(0);
        assert_eq!((now.rows, now.rejected, now.bytes, now.estimate, now.done), (6, 1, 600, 10, true));
    }
}
