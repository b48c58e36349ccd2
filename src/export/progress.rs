//! How far an export is: counters that workers add to and anybody may read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::bulk::{Progress, TypeProgress};

/// Counters of one resource type.
#[derive(Debug)]
struct Counters {
    name: String,
    rows: AtomicU64,
    bytes: AtomicU64,
    estimate: AtomicU64,
    open: AtomicU64,
    started: AtomicBool,
}

/// Counts every type of an export; anybody may look meanwhile.
#[derive(Debug, Default)]
pub struct Counting {
    types: OnceLock<Vec<Counters>>,
}

impl Counting {
    /// Starts counting these types, with the expected rows of each. Called once, when the plan is made.
    pub(super) fn begin(&self, types: impl IntoIterator<Item = (String, u64)>) {
        self.types.get_or_init(|| {
            types
                .into_iter()
                .map(|(name, estimate)| Counters {
                    name,
                    rows: AtomicU64::new(0),
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
    pub(super) fn add(&self, name: &str, rows: u64, bytes: u64) {
        if let Some(counters) = self.of(name) {
            counters.started.store(true, Relaxed);
            counters.rows.fetch_add(rows, Relaxed);
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

    /// Every type as it is now.
    pub fn look(&self) -> Progress {
        let look = |counters: &Counters| TypeProgress {
            name: counters.name.clone(),
            rows: counters.rows.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            estimate_rows: Some(counters.estimate.load(Relaxed)).filter(|rows| *rows > 0),
            done: counters.started.load(Relaxed) && counters.open.load(Relaxed) == 0,
        };
        Progress { types: self.types.get().into_iter().flatten().map(look).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_done_with_its_last_split() {
        let counting = Counting::default();
        assert_eq!(counting.look(), Progress::default());
        counting.begin([("Patient".to_owned(), 10)]);
        counting.expect("Patient", 2);
        assert!(!counting.look().types[0].done);
        counting.add("Patient", 6, 600);
        counting.finish("Patient");
        assert!(!counting.look().types[0].done);
        counting.finish("Patient");
        let now = counting.look().types.remove(0);
        assert_eq!(
            now,
            TypeProgress { name: "Patient".into(), rows: 6, bytes: 600, estimate_rows: Some(10), done: true }
        );
    }
}
