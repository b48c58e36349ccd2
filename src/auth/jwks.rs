//! Key sets behind URLs, kept as long as they may be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::fetch::{FetchError, Fetcher};
use super::keys::KeySet;
use crate::clock::Clock;

/// Kept so long when the server does not say, in seconds.
const DEFAULT_AGE: u32 = 300;
/// Kept no longer than this, whatever the server says: a key that was taken back must stop working.
const MAX_AGE: u32 = 3600;
/// A URL that has failed is not tried again for this long.
const FAILED_FOR: i64 = 30;
/// A name that is not in the set makes it be fetched again, not more often than this.
const REFETCH_AFTER: i64 = 60;

/// All key sets behind URLs.
pub(super) struct KeySets {
    fetcher: Arc<Fetcher>,
    clock: Arc<dyn Clock>,
    /// One lock per URL: whoever comes while it is fetched waits for that fetch.
    entries: Mutex<HashMap<String, Arc<AsyncMutex<Entry>>>>,
}

/// What is known of one URL. Times are seconds.
#[derive(Default)]
struct Entry {
    keys: Option<Arc<KeySet>>,
    fresh_until: i64,
    fetched_at: Option<i64>,
    failed_until: Option<i64>,
}

/// There are no keys: fetching failed just now (then it says why), or a short time ago.
#[derive(Debug)]
pub(super) struct NoKeys(pub(super) Option<FetchError>);

impl KeySets {
    pub(super) fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self { fetcher: Arc::new(fetcher), clock, entries: Mutex::default() }
    }

    /// The keys behind a URL; `has` says whether the wanted one is in a set.
    pub(super) async fn get(&self, url: &str, has: impl Fn(&KeySet) -> bool) -> Result<Arc<KeySet>, NoKeys> {
        let entry = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(entries.entry(url.to_owned()).or_default())
        };
        let entry = entry.lock_owned().await;
        let now = self.clock.now_seconds();
        let fresh = entry.keys.as_ref().filter(|_| now < entry.fresh_until).map(Arc::clone);
        if let Some(keys) = &fresh {
            let recent = entry.fetched_at.is_some_and(|at| now < at + REFETCH_AFTER);
            if recent || has(keys) {
                return Ok(Arc::clone(keys));
            }
        } else if entry.failed_until.is_some_and(|until| now < until) {
            return Err(NoKeys(None));
        }
        // A task of its own: a caller that hangs up cannot keep others from learning new keys.
        let fetch = fetch(Arc::clone(&self.fetcher), url.to_owned(), entry, fresh, now);
        tokio::spawn(fetch).await.unwrap_or(Err(NoKeys(None)))
    }

    /// Forgets everything: an operator has read the registrations again.
    pub(super) fn forget(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Fetches and notes what came of it. `fresh` is what may still be kept.
async fn fetch(
    fetcher: Arc<Fetcher>,
    url: String,
    mut entry: OwnedMutexGuard<Entry>,
    fresh: Option<Arc<KeySet>>,
    now: i64,
) -> Result<Arc<KeySet>, NoKeys> {
    entry.fetched_at = Some(now);
    match (fetcher.fetch(&url).await, fresh) {
        (Ok(fetched), _) => {
            let keys = Arc::new(fetched.keys);
            let age = fetched.max_age.unwrap_or(DEFAULT_AGE).min(MAX_AGE);
            entry.keys = Some(Arc::clone(&keys));
            entry.fresh_until = now + i64::from(age);
            entry.failed_until = None;
            Ok(keys)
        }
        // What may still be kept is not lost because a later fetch failed.
        (Err(_), Some(keys)) => Ok(keys),
        (Err(error), None) => {
            entry.keys = None;
            entry.failed_until = Some(now + FAILED_FOR);
            Err(NoKeys(Some(error)))
        }
    }
}
