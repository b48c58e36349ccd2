//! What every [`CohortStore`] keeps to, and one that forgets with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use redb::Database;

use super::store::{CohortError, CohortStore, RedbCohorts};
use super::{FORMAT, Record};
use crate::bulk::Roster;
use crate::bulk::roster::RosterBuilder;

#[derive(Debug, Default)]
pub(super) struct Memory {
    records: Mutex<BTreeMap<(String, String), Record>>,
    rosters: Mutex<BTreeMap<u64, Roster>>,
}

impl CohortStore for Memory {
    fn put(&self, record: &Record) -> Result<(), CohortError> {
        self.records.lock().unwrap().insert((record.client.clone(), record.id.clone()), record.clone());
        Ok(())
    }

    fn get(&self, client: &str, id: &str) -> Result<Option<Record>, CohortError> {
        Ok(self.records.lock().unwrap().get(&(client.to_owned(), id.to_owned())).cloned())
    }

    fn of(&self, client: Option<&str>) -> Result<Vec<Record>, CohortError> {
        let records = self.records.lock().unwrap();
        Ok(records.values().filter(|record| client.is_none_or(|client| record.client == client)).cloned().collect())
    }

    fn remove(&self, client: &str, id: &str) -> Result<bool, CohortError> {
        Ok(self.records.lock().unwrap().remove(&(client.to_owned(), id.to_owned())).is_some())
    }

    fn put_roster(&self, number: u64, roster: &Roster) -> Result<(), CohortError> {
        self.rosters.lock().unwrap().insert(number, roster.clone());
        Ok(())
    }

    fn roster(&self, number: u64) -> Result<Option<Roster>, CohortError> {
        Ok(self.rosters.lock().unwrap().get(&number).cloned())
    }

    fn rosters(&self) -> Result<BTreeSet<u64>, CohortError> {
        Ok(self.rosters.lock().unwrap().keys().copied().collect())
    }

    fn remove_roster(&self, number: u64) -> Result<(), CohortError> {
        self.rosters.lock().unwrap().remove(&number);
        Ok(())
    }
}

fn record(client: &str, id: &str, version: u64) -> Record {
    let content = serde_json::from_str(r#"{"name":"x"}"#).unwrap();
    let (client, id, filters) = (client.to_owned(), id.to_owned(), vec!["Patient?gender=male".to_owned()]);
    Record { format: FORMAT, client, id, version, updated_at: 7, content, filters, roster: Some(3), members: 2 }
}

fn roster(count: u64, joined: i64) -> Roster {
    let mut builder = RosterBuilder::default();
    for n in 0..count {
        builder.push(&format!("{n:036}")).unwrap();
    }
    builder.finish(joined).unwrap()
}

fn check(store: &dyn CohortStore) {
    assert_eq!((store.get("a", "1").unwrap(), store.of(None).unwrap().len()), (None, 0));
    assert_eq!((store.roster(0).unwrap(), store.rosters().unwrap().len()), (None, 0));
    assert!(!store.remove("a", "1").unwrap());
    store.remove_roster(0).unwrap();

    for (client, id) in [("b", "1"), ("a", "2"), ("a", "1"), ("ab", "")] {
        store.put(&record(client, id, 1)).unwrap();
    }
    store.put(&record("a", "1", 2)).unwrap();
    assert_eq!(store.get("a", "1").unwrap(), Some(record("a", "1", 2)));
    let ids = |client| store.of(client).unwrap().into_iter().map(|one| one.client + "/" + &one.id).collect::<Vec<_>>();
    assert_eq!(ids(Some("a")), ["a/1", "a/2"]);
    assert_eq!(ids(Some("")), [""; 0]);
    assert_eq!(ids(None), ["a/1", "a/2", "ab/", "b/1"]);
    assert!(store.remove("a", "1").unwrap() && !store.remove("a", "1").unwrap());
    assert_eq!(ids(Some("a")), ["a/2"]);

    // From nobody to more than one transaction holds.
    for (number, count) in [(0, 0), (1, 1), (7, 200_000)] {
        store.put_roster(number, &roster(count, -5)).unwrap();
        assert!(store.roster(number).unwrap() == Some(roster(count, -5)), "{number}");
    }
    assert_eq!(store.rosters().unwrap(), BTreeSet::from([0, 1, 7]));
    store.remove_roster(7).unwrap();
    assert_eq!((store.roster(7).unwrap(), store.rosters().unwrap()), (None, BTreeSet::from([0, 1])));
}

#[test]
fn every_store_keeps_the_contract() {
    check(&Memory::default());
    let home = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::create(home.path().join("state.redb")).unwrap());
    check(&RedbCohorts::new(Arc::clone(&database)));
    drop(database);
    let database = Arc::new(Database::open(home.path().join("state.redb")).unwrap());
    assert_eq!(RedbCohorts::new(database).roster(1).unwrap(), Some(roster(1, -5)), "also after a restart");
}
