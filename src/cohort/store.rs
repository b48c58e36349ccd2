//! Where Groups of clients are kept: the file that the job store is in, tables of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::{FORMAT, Record};
use crate::bulk::Roster;

/// Keeps Groups and rosters. Calls block.
///
/// A call that returns `Ok` is durable; one that returns an error has happened or has not, never half. Every store
/// passes the tests of `contract.rs`.
pub trait CohortStore: Send + Sync + 'static {
    /// Keeps a record in the place of the one of its client and id.
    fn put(&self, record: &Record) -> Result<(), CohortError>;

    /// The record of a client's Group.
    fn get(&self, client: &str, id: &str) -> Result<Option<Record>, CohortError>;

    /// Every record of a client, in order of the ids; of all clients without one.
    fn of(&self, client: Option<&str>) -> Result<Vec<Record>, CohortError>;

    /// Removes a record; false when there is none.
    fn remove(&self, client: &str, id: &str) -> Result<bool, CohortError>;

    /// Keeps a roster under a number that no other has.
    fn put_roster(&self, number: u64, roster: &Roster) -> Result<(), CohortError>;

    /// A roster; none when it was never kept whole, or is gone.
    fn roster(&self, number: u64) -> Result<Option<Roster>, CohortError>;

    /// The numbers of all rosters, also of those that a crash has left in part.
    fn rosters(&self) -> Result<BTreeSet<u64>, CohortError>;

    /// Removes a roster, if it is there.
    fn remove_roster(&self, number: u64) -> Result<(), CohortError>;
}

/// Why a Group could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CohortError {
    /// The store.
    #[error("failed to {action} the store of Groups")]
    Store {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// A record that this version cannot read; what the reader said may repeat its content.
    #[error("the record of a Group cannot be read; it may be of a later version of smelt")]
    Record,
    /// A roster that is not what was written.
    #[error("the members of a Group cannot be read")]
    Roster,
}

/// Records by client and id.
const COHORTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("cohorts");
/// Parts of rosters by number and place: lines of id, tab, time of joining.
const PARTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("cohort-rosters");
/// How many parts a roster has; those without an entry are not whole.
const WHOLE: TableDefinition<'_, u64, u32> = TableDefinition::new("cohort-rosters-whole");

/// Bytes of a part.
const PART: usize = 64 * 1024;
/// Parts written at once: nobody else can write meanwhile, and a token waits for that.
const AT_ONCE: usize = 64;

/// Groups in a redb database.
#[derive(Debug, Clone)]
pub struct RedbCohorts {
    database: Arc<Database>,
}

impl RedbCohorts {
    /// Keeps Groups in `database`, which others use as well.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, CohortError> {
        let write = || {
            let transaction = self.database.begin_write()?;
            let changed = change(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        };
        write().map_err(failed("write to"))
    }
}

/// A table, none before the first write to it.
fn table<K: redb::Key, V: redb::Value>(
    transaction: &redb::ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<redb::ReadOnlyTable<K, V>>, redb::Error> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl CohortStore for RedbCohorts {
    fn put(&self, record: &Record) -> Result<(), CohortError> {
        let bytes = serde_json::to_vec(record).map_err(|_unwritable| CohortError::Record)?;
        self.write(|transaction| {
            let key = (record.client.as_str(), record.id.as_str());
            transaction.open_table(COHORTS)?.insert(key, bytes.as_slice())?;
            Ok(())
        })
    }

    fn get(&self, client: &str, id: &str) -> Result<Option<Record>, CohortError> {
        let look = || {
            let Some(table) = table(&self.database.begin_read()?, COHORTS)? else { return Ok(None) };
            Ok(table.get((client, id))?.map(|found| found.value().to_vec()))
        };
        look().map_err(failed("read"))?.map(|bytes| read(&bytes)).transpose()
    }

    fn of(&self, client: Option<&str>) -> Result<Vec<Record>, CohortError> {
        let look = || {
            let Some(table) = table(&self.database.begin_read()?, COHORTS)? else { return Ok(Vec::new()) };
            let mut found = Vec::new();
            for entry in table.range((client.unwrap_or_default(), "")..)? {
                let (key, bytes) = entry?;
                if client.is_some_and(|client| key.value().0 != client) {
                    break;
                }
                found.push(bytes.value().to_vec());
            }
            Ok(found)
        };
        look().map_err(failed("read"))?.iter().map(|bytes| read(bytes)).collect()
    }

    fn remove(&self, client: &str, id: &str) -> Result<bool, CohortError> {
        self.write(|transaction| Ok(transaction.open_table(COHORTS)?.remove((client, id))?.is_some()))
    }

    fn put_roster(&self, number: u64, roster: &Roster) -> Result<(), CohortError> {
        let mut lines = roster.iter().peekable();
        let mut place = 0;
        while lines.peek().is_some() {
            self.write(|transaction| {
                let mut parts = transaction.open_table(PARTS)?;
                for _ in 0..AT_ONCE {
                    let mut part = String::with_capacity(PART + 128);
                    for (id, joined) in lines.by_ref() {
                        part.push_str(id);
                        part.push('\t');
                        part.push_str(&joined.to_string());
                        part.push('\n');
                        if part.len() >= PART {
                            break;
                        }
                    }
                    if part.is_empty() {
                        break;
                    }
                    parts.insert((number, place), part.as_bytes())?;
                    place += 1;
                }
                Ok(())
            })?;
        }
        self.write(|transaction| Ok(transaction.open_table(WHOLE)?.insert(number, place).map(drop)?))
    }

    fn roster(&self, number: u64) -> Result<Option<Roster>, CohortError> {
        // One state of the store, whoever removes what meanwhile.
        let look = || {
            let transaction = self.database.begin_read()?;
            let Some(whole) = table(&transaction, WHOLE)? else { return Ok(None) };
            let Some(count) = whole.get(number)?.map(|count| count.value()) else { return Ok(None) };
            let mut roster = Roster::default();
            let Some(parts) = table(&transaction, PARTS)? else { return Ok((count == 0).then_some(Ok(roster))) };
            let mut found = 0;
            for part in parts.range((number, 0)..(number, count))? {
                let (_, part) = part?;
                found += 1;
                if lines(part.value(), &mut roster).is_none() {
                    return Ok(Some(Err(CohortError::Roster)));
                }
            }
            Ok(Some(if found == count { Ok(roster) } else { Err(CohortError::Roster) }))
        };
        look().map_err(failed("read"))?.transpose()
    }

    fn rosters(&self) -> Result<BTreeSet<u64>, CohortError> {
        let look = || {
            let transaction = self.database.begin_read()?;
            let mut found = BTreeSet::new();
            if let Some(whole) = table(&transaction, WHOLE)? {
                for entry in whole.iter()? {
                    found.insert(entry?.0.value());
                }
            }
            if let Some(parts) = table(&transaction, PARTS)? {
                let mut next = (0, 0);
                // From the first part of one roster to that of the next.
                while let Some(entry) = parts.range(next..)?.next() {
                    let (number, _) = entry?.0.value();
                    found.insert(number);
                    let Some(behind) = number.checked_add(1) else { break };
                    next = (behind, 0);
                }
            }
            Ok(found)
        };
        look().map_err(failed("read"))
    }

    fn remove_roster(&self, number: u64) -> Result<(), CohortError> {
        self.write(|transaction| Ok(transaction.open_table(WHOLE)?.remove(number).map(drop)?))?;
        loop {
            let left = self.write(|transaction| {
                let mut parts = transaction.open_table(PARTS)?;
                let some: Vec<u32> = parts
                    .range((number, 0)..=(number, u32::MAX))?
                    .take(AT_ONCE)
                    .map(|entry| entry.map(|(key, _)| key.value().1))
                    .collect::<Result<_, _>>()?;
                for place in &some {
                    parts.remove((number, *place))?;
                }
                Ok(some.len())
            })?;
            if left < AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Adds the members in a part.
fn lines(part: &[u8], roster: &mut Roster) -> Option<()> {
    for line in std::str::from_utf8(part).ok()?.lines() {
        let (id, joined) = line.split_once('\t')?;
        roster.push(id, joined.parse().ok()?).ok()?;
    }
    Some(())
}

fn failed(action: &'static str) -> impl Fn(redb::Error) -> CohortError {
    move |error| CohortError::Store { action, source: Box::new(error) }
}

fn read(bytes: &[u8]) -> Result<Record, CohortError> {
    let record: Option<Record> = serde_json::from_slice(bytes).ok();
    record.filter(|record| record.format == FORMAT).ok_or(CohortError::Record)
}
