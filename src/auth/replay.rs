//! Assertions work once: the store of every `jti` that could still be used again.

use std::sync::Arc;

use redb::{Database, ReadableTable as _, TableDefinition};
use sha2::{Digest as _, Sha256};

/// The store could not say whether an assertion is new; it is refused then.
#[derive(Debug, thiserror::Error)]
#[error("failed to record an assertion")]
pub struct ReplayError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Remembers assertions.
///
/// `first` is atomic: of two calls with the same issuer and `jti`, at any time before `until` and from any thread, one
/// gets `true`. It has returned `true` only after the record would survive a crash. What has passed its `until` is
/// forgotten. It blocks; it is called off the runtime's threads.
pub trait Replays: Send + Sync {
    /// Whether this is the first use; records it until `until`. Both times are seconds since 1970.
    fn first(&self, issuer: &str, jti: &str, until: i64, now: i64) -> Result<bool, ReplayError>;
}

/// A digest of issuer and `jti`: records have one size, whatever clients send.
type Name = [u8; 32];

/// Until when each is remembered.
const UNTIL: TableDefinition<'_, Name, i64> = TableDefinition::new("auth-replays");
/// The same, by time: what is over lies at the front.
const BY_TIME: TableDefinition<'_, (i64, Name), ()> = TableDefinition::new("auth-replays-by-time");
/// Forgotten at most with one call, so that none takes long.
const FORGET: usize = 100;

/// The store in the server's own database file.
pub struct RedbReplays {
    database: Arc<Database>,
}

impl RedbReplays {
    /// Uses two tables of this database.
    pub const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    fn record(&self, name: Name, until: i64, now: i64) -> Result<bool, redb::Error> {
        let write = self.database.begin_write()?;
        let first = {
            let mut known = write.open_table(UNTIL)?;
            let mut by_time = write.open_table(BY_TIME)?;
            let over: Vec<(i64, Name)> = by_time
                .range(..(now, Name::default()))?
                .take(FORGET)
                .map(|entry| entry.map(|(key, _)| key.value()))
                .collect::<Result<_, _>>()?;
            for (time, name) in over {
                by_time.remove((time, name))?;
                known.remove(name)?;
            }
            let before = known.get(name)?.map(|until| until.value());
            match before {
                Some(before) if before >= now => false,
                before => {
                    if let Some(before) = before {
                        by_time.remove((before, name))?;
                    }
                    known.insert(name, until)?;
                    by_time.insert((until, name), ())?;
                    true
                }
            }
        };
        if first {
            write.commit()?;
        } else {
            write.abort()?;
        }
        Ok(first)
    }
}

impl Replays for RedbReplays {
    fn first(&self, issuer: &str, jti: &str, until: i64, now: i64) -> Result<bool, ReplayError> {
        self.record(name(issuer, jti), until, now).map_err(|error| ReplayError(Box::new(error)))
    }
}

/// The length keeps `("a", "bc")` and `("ab", "c")` apart.
fn name(issuer: &str, jti: &str) -> Name {
    let mut digest = Sha256::new();
    digest.update((issuer.len() as u64).to_be_bytes());
    digest.update(issuer);
    digest.update(jti);
    digest.finalize().into()
}

#[cfg(test)]
pub(super) mod contract {
    //! What every [`Replays`] keeps to.

    use super::*;

    /// Runs the contract over stores that `make` gives, each of them empty.
    pub(in crate::auth) fn check(make: impl Fn() -> Arc<dyn Replays>) {
        let store = make();
        let first = |issuer: &str, jti: &str, until, now| store.first(issuer, jti, until, now).unwrap();
        assert!(first("a", "1", 100, 0));
        assert!(!first("a", "1", 100, 0), "A-15: once");
        assert!(!first("a", "1", 500, 99), "a later expiry does not help");
        assert!(!first("a", "1", 500, 100), "until its last second");
        assert!(first("b", "1", 100, 0), "a jti is of its issuer");
        assert!(first("ab", "1", 100, 0));
        assert!(first("a", "b1", 100, 0), "issuer and jti do not run together");
        assert!(first("a", "", 100, 0));
        assert!(first("a", &"x".repeat(10_000), 100, 0));
        assert!(first("a", "1", 300, 101), "what is over is forgotten");
        assert!(!first("a", "1", 300, 300));

        let store = make();
        let wins = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8).map(|_| scope.spawn(|| store.first("a", "raced", 100, 0).unwrap())).collect();
            tries.into_iter().map(|one| one.join().unwrap()).filter(|first| *first).count()
        });
        assert_eq!(wins, 1, "of calls at once one is the first");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::Mutex;

    use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

    use super::*;

    #[derive(Default)]
    struct InMemory(Mutex<HashMap<Name, i64>>);

    impl Replays for InMemory {
        fn first(&self, issuer: &str, jti: &str, until: i64, now: i64) -> Result<bool, ReplayError> {
            let mut known = self.0.lock().unwrap();
            known.retain(|_, until| *until >= now);
            let name = name(issuer, jti);
            let first = !known.contains_key(&name);
            known.entry(name).or_insert(until);
            Ok(first)
        }
    }

    fn open(path: &Path) -> Arc<Database> {
        Arc::new(Database::create(path).unwrap())
    }

    #[test]
    fn every_store_keeps_the_contract() {
        contract::check(|| Arc::new(InMemory::default()));
        let dir = tempfile::tempdir().unwrap();
        let number = std::sync::atomic::AtomicUsize::new(0);
        contract::check(|| {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Arc::new(RedbReplays::new(open(&dir.path().join(format!("{number}.redb")))))
        });
    }

    /// also after the server was started again.
    #[test]
    fn a_restart_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        assert!(RedbReplays::new(open(&path)).first("a", "1", 100, 0).unwrap());
        assert!(!RedbReplays::new(open(&path)).first("a", "1", 100, 50).unwrap());
    }

    #[test]
    fn what_is_over_leaves_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let database = open(&dir.path().join("state.redb"));
        let store = RedbReplays::new(Arc::clone(&database));
        for number in 0..30_i64 {
            assert!(store.first("a", &number.to_string(), number, 0).unwrap());
        }
        assert!(store.first("a", "last", 1000, 20).unwrap());
        let read = database.begin_read().unwrap();
        let left = |len: u64| assert_eq!(len, 11, "20 to 29, and the last");
        left(read.open_table(UNTIL).unwrap().len().unwrap());
        left(read.open_table(BY_TIME).unwrap().len().unwrap());
    }
}
