//! The rules of Groups that clients have made: versions, how many there may be, and when a roster may go.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Map, Value};

use super::store::{CohortError, CohortStore};
use super::{FORMAT, Record};
use crate::bulk::Roster;

/// Groups of one client.
const GROUPS: usize = 1_000;

/// Groups of clients.
pub struct Cohorts {
    store: Arc<dyn CohortStore>,
    /// Held while something is changed: versions count, and a roster that is being written is not swept away.
    change: Mutex<()>,
    /// Rosters that somebody is about to need. What is in use by then is known otherwise.
    holds: Mutex<HashMap<u64, Weak<()>>>,
}

/// A Group as it is to be kept.
#[derive(Debug)]
pub struct NewCohort {
    /// Its client.
    pub client: String,
    /// Its id.
    pub id: String,
    /// The resource without id and members; without it what is kept stays.
    pub content: Option<Map<String, Value>>,
    /// Its searches.
    pub filters: Vec<String>,
    /// Its listed members.
    pub members: Option<Roster>,
    /// `If-Match`: the version it replaces.
    pub version: Option<u64>,
}

/// A Group that was found; its roster stays as long as this does.
#[derive(Debug, Clone)]
pub struct Found {
    /// The Group.
    pub record: Record,
    _hold: Option<Arc<()>>,
}

/// A Group that was kept.
#[derive(Debug)]
pub struct Kept {
    /// The Group.
    pub record: Record,
    /// It was not there before.
    pub created: bool,
}

/// Why a Group was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// It is not of the version that was to be replaced, or not there.
    #[error("the Group is not of the version that was expected")]
    Version,
    /// The client has enough of them.
    #[error("the client has {GROUPS} Groups, and may have no more")]
    Enough,
    /// The store.
    #[error(transparent)]
    Store(#[from] CohortError),
}

impl Cohorts {
    /// Over a store.
    pub fn new(store: Arc<dyn CohortStore>) -> Self {
        Self { store, change: Mutex::default(), holds: Mutex::default() }
    }

    /// A client's Group. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn find(&self, client: &str, id: &str) -> Result<Option<Found>, CohortError> {
        if self.store.get(client, id)?.is_none() {
            return Ok(None);
        }
        // Who asks while it is changed gets what comes of it: see `keep`. A sweep must not come between either.
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = self.store.get(client, id)? else { return Ok(None) };
        let hold = record.roster.map(|number| hold(&mut holds, number));
        Ok(Some(Found { record, _hold: hold }))
    }

    /// All Groups of a client, in order of their ids. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn of(&self, client: &str) -> Result<Vec<Record>, CohortError> {
        self.store.of(Some(client))
    }

    /// A roster; none when it is gone. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn roster(&self, number: u64) -> Result<Option<Roster>, CohortError> {
        self.store.roster(number)
    }

    /// Keeps a Group, new or in the place of the client's one of this id. Members who stay keep the time they joined;
    /// others join now, at a time when nobody has been given the Group without them. Blocks.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn keep(&self, new: NewCohort, clock: &dyn Fn() -> i64) -> Result<Kept, KeepError> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock();
        let before = self.store.get(&new.client, &new.id)?;
        if new.version.is_some_and(|version| before.as_ref().map(|before| before.version) != Some(version)) {
            return Err(KeepError::Version);
        }
        if before.is_none() && self.store.of(Some(&new.client))?.len() >= GROUPS {
            return Err(KeepError::Enough);
        }
        let old = before.as_ref().and_then(|before| before.roster);
        let (mut roster, mut members) = (None, 0);
        if let Some(mut listed) = new.members {
            listed.join(now);
            if let Some(before) = old.map(|number| self.store.roster(number)).transpose()?.flatten() {
                listed.keep_times(&before);
            }
            let number = self.store.rosters()?.last().map_or(0, |last| last + 1);
            self.store.put_roster(number, &listed)?;
            (roster, members) = (Some(number), listed.len() as u64);
        }
        let kept = before.as_ref();
        let (mut content, mut filters) = (new.content, new.filters);
        if let (None, Some(kept)) = (&content, kept) {
            // Its list is new, its searches stay.
            let mut same = kept.content.clone();
            same.insert("actual".to_owned(), Value::Bool(true));
            (content, filters) = (Some(same), kept.filters.clone());
        }
        let record = Record {
            format: FORMAT,
            client: new.client,
            id: new.id,
            version: kept.map_or(1, |kept| kept.version + 1),
            updated_at: now,
            content: content.unwrap_or_default(),
            filters,
            roster,
            members,
        };
        self.store.put(&record)?;
        Ok(Kept { record, created: before.is_none() })
    }

    /// Removes a client's Group; false when there is none. Blocks.
    ///
    /// # Errors
    ///
    /// It is not of the version that was expected, or the store cannot be written to.
    pub fn remove(&self, client: &str, id: &str, version: Option<u64>) -> Result<bool, KeepError> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = version {
            match self.store.get(client, id)? {
                None => return Ok(false),
                Some(record) if record.version != version => return Err(KeepError::Version),
                Some(_) => {}
            }
        }
        Ok(self.store.remove(client, id)?)
    }

    /// Removes the rosters that nobody needs: no Group, nobody who has just found one, none of the exports that `needed`
    /// tells when it is asked. Blocks.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written to.
    pub fn sweep(&self, needed: impl FnOnce() -> BTreeSet<u64>) -> Result<(), CohortError> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spare = self.store.rosters()?;
        if spare.is_empty() {
            return Ok(());
        }
        {
            let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            for record in self.store.of(None)? {
                spare.remove(&record.roster.unwrap_or(u64::MAX));
            }
            holds.retain(|_, hold| hold.strong_count() > 0);
            spare.retain(|number| !holds.contains_key(number));
        }
        // A hold that was let go of by now has become an export.
        let needed = needed();
        spare
            .into_iter()
            .filter(|number| !needed.contains(number))
            .try_for_each(|number| self.store.remove_roster(number))
    }
}

fn hold(holds: &mut HashMap<u64, Weak<()>>, number: u64) -> Arc<()> {
    if let Some(hold) = holds.get(&number).and_then(Weak::upgrade) {
        return hold;
    }
    let hold = Arc::new(());
    holds.insert(number, Arc::downgrade(&hold));
    hold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::roster::RosterBuilder;
    use crate::cohort::contract::Memory;

    fn new(id: &str, ids: &[&str], version: Option<u64>) -> NewCohort {
        let mut members = RosterBuilder::default();
        for id in ids {
            members.push(id).unwrap();
        }
        let (client, members) = ("lab".to_owned(), Some(members.finish(0).unwrap()));
        NewCohort { client, id: id.to_owned(), content: None, filters: Vec::new(), members, version }
    }

    fn members(cohorts: &Cohorts, number: Option<u64>) -> Option<Vec<(String, i64)>> {
        let roster = cohorts.roster(number.unwrap()).unwrap()?;
        Some(roster.iter().map(|(id, joined)| (id.to_owned(), joined)).collect())
    }

    // G-16
    #[test]
    fn versions_count_and_are_asked_for() {
        let cohorts = Cohorts::new(Arc::new(Memory::default()));
        assert!(matches!(cohorts.keep(new("g", &[], Some(1)), &|| 1), Err(KeepError::Version)));
        assert!(cohorts.keep(new("g", &["a", "b"], None), &|| 1).unwrap().created);
        let kept = cohorts.keep(new("g", &["b", "c"], Some(1)), &|| 2).unwrap();
        assert_eq!((kept.created, kept.record.version, kept.record.members), (false, 2, 2));
        assert_eq!(members(&cohorts, kept.record.roster), Some(vec![("b".to_owned(), 1), ("c".to_owned(), 2)]));
        assert!(matches!(cohorts.keep(new("g", &[], Some(1)), &|| 3), Err(KeepError::Version)));
        assert!(matches!(cohorts.remove("lab", "g", Some(1)), Err(KeepError::Version)));
        assert!(!cohorts.remove("other", "g", None).unwrap(), "another client's");
        assert!(cohorts.remove("lab", "g", Some(2)).unwrap());
        assert!(!cohorts.remove("lab", "g", Some(2)).unwrap());
        assert!(cohorts.find("lab", "g").unwrap().is_none());
    }

    #[test]
    fn a_client_has_so_many_groups() {
        let cohorts = Cohorts::new(Arc::new(Memory::default()));
        for number in 0..GROUPS {
            cohorts.keep(new(&number.to_string(), &[], None), &|| 1).unwrap();
        }
        assert!(matches!(cohorts.keep(new("more", &[], None), &|| 1), Err(KeepError::Enough)));
        assert!(!cohorts.keep(new("7", &[], None), &|| 1).unwrap().created);
    }

    /// An export has the members it began with.
    #[test]
    fn rosters_go_when_nobody_needs_them() {
        let cohorts = Cohorts::new(Arc::new(Memory::default()));
        let sweep = |needed: &[u64]| cohorts.sweep(|| needed.iter().copied().collect()).unwrap();
        let first = cohorts.keep(new("g", &["a"], None), &|| 1).unwrap().record.roster;
        sweep(&[]);
        assert!(members(&cohorts, first).is_some(), "a Group needs it");
        let found = cohorts.find("lab", "g").unwrap().unwrap();
        let second = cohorts.keep(new("g", &["b"], None), &|| 2).unwrap().record.roster;
        assert_ne!(first, second);
        sweep(&[]);
        assert!(members(&cohorts, first).is_some(), "somebody is about to need it");
        drop(found);
        sweep(&[first.unwrap()]);
        assert!(members(&cohorts, first).is_some(), "an export needs it");
        sweep(&[]);
        assert!(members(&cohorts, first).is_none());
        assert!(members(&cohorts, second).is_some());
    }
}
