//! Where job records are kept: atomic, durable, one record per job.
//!
//! redb holds them in one file: written in Rust alone, crash-safe by copy-on-write and checksums, a stable file format,
//! one file that a second process cannot open by mistake. Records are few and small; what is asked of the store is that
//! an accepted job is on the disk before the client hears of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

use super::JobId;
use super::record::{FORMAT, Job};

/// Keeps job records. Calls block.
///
/// A call that returns `Ok` is durable: it survives the loss of power. A call that returns an error has happened or has
/// not; it has never half happened. Every store passes the tests of `contract.rs`.
pub trait JobStore: Send + Sync + 'static {
    /// Keeps `job` in the place of what was kept under its id.
    fn put(&self, job: &Job) -> Result<(), StoreError>;

    /// The record of a job.
    fn get(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Removes a record; false when there is none.
    fn remove(&self, id: JobId) -> Result<bool, StoreError>;

    /// Every record, in no order.
    fn all(&self) -> Result<Vec<Job>, StoreError>;
}

/// Why a record could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store.
    #[error("failed to {action} the job store")]
    Store {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// The store's file.
    #[error("failed to open the job store")]
    File(#[source] io::Error),
    /// A record that this version cannot read. It is never skipped: its job would vanish. What the reader said about
    /// it is left out, because that may repeat what was asked for.
    #[error("job record {id} cannot be read; it may be of a later version of smelt")]
    Record {
        /// Whose.
        id: String,
    },
    /// Whatever another store has to say.
    #[error("{0}")]
    Other(&'static str),
}

const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");

/// Opens the file of everything that must outlive the process, and makes it, for its owner alone, when it is not there.
///
/// # Errors
///
/// It is broken, or another process has it open.
pub fn open_state(path: &Path) -> Result<Arc<Database>, StoreError> {
    if !path.exists() {
        make_state(path)?;
    }
    Ok(Arc::new(Database::open(path).map_err(failed("open"))?))
}

/// Makes the file whole or not at all: redb does not open what a process that died while making it has left.
fn make_state(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory).map_err(StoreError::File)?;
    // Two processes that begin at once make one file; the lock goes with `directory`.
    directory.lock().map_err(StoreError::File)?;
    if path.exists() {
        return Ok(());
    }
    let draft = path.with_extension("new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::File(error)),
        _ => {}
    }
    // Made here first, so that nobody else can ever read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(StoreError::File)?;
    drop(Database::create(&draft).map_err(failed("make"))?);
    let placed = file.sync_all().and_then(|()| std::fs::rename(&draft, path)).and_then(|()| directory.sync_all());
    placed.map_err(StoreError::File)
}

/// Job records in a redb database, in a table of their own.
#[derive(Debug, Clone)]
pub struct RedbStore {
    database: Arc<Database>,
}

impl RedbStore {
    /// Keeps records in `database`, which others may use for tables of their own.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Runs `change` on the table, and is back when it is on the disk: redb's default durability is `Immediate`.
    fn write<T>(
        &self,
        change: impl FnOnce(&mut redb::Table<'_, &'static str, &'static [u8]>) -> Result<T, redb::StorageError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_write().map_err(failed("write to"))?;
        let changed = {
            let mut table = transaction.open_table(JOBS).map_err(failed("write to"))?;
            change(&mut table).map_err(failed("write to"))?
        };
        transaction.commit().map_err(failed("write to"))?;
        Ok(changed)
    }

    /// The table as it is now; none before the first write.
    fn table(&self) -> Result<Option<redb::ReadOnlyTable<&'static str, &'static [u8]>>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed("read"))?;
        match transaction.open_table(JOBS) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(failed("read")(error)),
        }
    }
}

impl JobStore for RedbStore {
    fn put(&self, job: &Job) -> Result<(), StoreError> {
        let id = job.id.to_string();
        let Ok(bytes) = serde_json::to_vec(job) else { return Err(StoreError::Record { id }) };
        self.write(|table| table.insert(id.as_str(), bytes.as_slice()).map(|_before| ()))
    }

    fn get(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let Some(table) = self.table()? else { return Ok(None) };
        let id = id.to_string();
        let found = table.get(id.as_str()).map_err(failed("read"))?;
        found.map(|found| read(&id, found.value())).transpose()
    }

    fn remove(&self, id: JobId) -> Result<bool, StoreError> {
        self.write(|table| table.remove(id.to_string().as_str()).map(|before| before.is_some()))
    }

    fn all(&self) -> Result<Vec<Job>, StoreError> {
        let Some(table) = self.table()? else { return Ok(Vec::new()) };
        let entries = table.iter().map_err(failed("read"))?;
        entries
            .map(|entry| {
                let (id, bytes) = entry.map_err(failed("read"))?;
                read(id.value(), bytes.value())
            })
            .collect()
    }
}

fn failed<E: Into<redb::Error>>(action: &'static str) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Store { action, source: Box::new(error.into()) }
}

fn read(id: &str, bytes: &[u8]) -> Result<Job, StoreError> {
    let job: Option<Job> = serde_json::from_slice(bytes).ok();
    job.filter(|job| job.format == FORMAT && job.id.to_string() == id)
        .ok_or_else(|| StoreError::Record { id: id.to_owned() })
}
