//! The key ledger: what a mapping's ids were, so that what is gone can be told where the source keeps neither marks
//! nor tombstones (M-10).
//!
//! A mapping has a file of every id that was ever there, in order of its bytes, each with the time it was first missed
//! (see `store`). An export reads the ids of its own snapshot, sorts them outside of memory (`sort`), and merges both:
//! one pass, whatever their number. An id of the snapshot is never told to be gone.
//!
//! Times make it serve any number of consumers: each asks for what was missed since *its* last export. So a ledger may
//! also be newer than the last export that was completed, and is replaced before the manifest is written. The other
//! way round would lose: an id that came and went would be in no ledger, and at a consumer all the same.

mod sort;
mod store;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::sort::{Sorted, Sorter};
use self::store::{Header, Old, Part};
use super::ExportError;
use super::drive::{Buffers, drive};
use super::prepare::Prepared;
use super::shelf::{DELETED, Shelf};
use crate::encode::{Encoder, Limits};
use crate::mapping::tree::Mapping;
use crate::plan::compile::{DELETION, DELETION_END, ids};
use crate::plan::ledger::{identity, which_database};
use crate::plan::program::Compiled;
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::sink::Sink;
use crate::source::{Session, Snapshot};

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system refused something.
    #[error("failed to {action} the key ledger at {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Not what an export leaves.
    #[error("the key ledger {} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The ids of a mapping cannot be read.
    #[error("mapping `{0}` cannot be kept in a key ledger: its ids cannot be made without its other columns")]
    Ids(String),
    /// Ids could not be sorted.
    #[error("failed to sort ids in a temporary file")]
    Sort(#[from] io::Error),
}

impl LedgerError {
    /// True when a disk or a quota is full.
    pub fn no_space(&self) -> bool {
        let (Self::Io { source, .. } | Self::Sort(source)) = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// What the operator can do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => {
                "Remove the file: a ledger then begins anew, and the next export says that earlier deletions are unknown."
            }
            Self::Ids(_) => "Say in its header where deletions are recorded (`deleted`), or export without a ledger.",
            _ if self.no_space() => "Free space there; the ledger is as it was.",
            Self::Io { .. } => "The directory and its files must belong to the user who runs smelt, and be writable.",
            Self::Sort(_) => "Temporary files are made in `TMPDIR`; see that it is writable. The ledger is as it was.",
        }
    }
}

/// The ledgers that one export keeps.
pub(super) struct Ledgers<'a> {
    directory: PathBuf,
    /// Which one the export reads.
    database: String,
    kept: Vec<Kept<'a>>,
}

/// A mapping whose ids are kept.
struct Kept<'a> {
    mapping: &'a Mapping,
    /// Position of its tally.
    part: usize,
    compiled: Arc<Compiled>,
    identity: String,
    ids: Option<Sorted>,
}

/// What a ledger says of one mapping.
pub(super) struct Told<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) part: usize,
    /// Since when deletions are known, in microseconds, when that is later than what was asked for.
    pub(super) unknown_before: Option<i64>,
    /// How many were told.
    pub(super) deleted: u64,
}

impl<'a> Ledgers<'a> {
    /// Nothing is kept so far; `directory` is made.
    pub(super) async fn open(directory: &Path, session: &Session) -> Result<Self, ExportError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).map_err(|source| failed("create", directory, source))?;
        let database = session.query_text(&which_database()).await?.into_iter().flatten().flatten().next();
        let database = database.unwrap_or_default();
        Ok(Self { directory: directory.to_owned(), database, kept: Vec::new() })
    }

    /// Keeps the ids of `mapping`.
    pub(super) fn keep(
        &mut self,
        prepared: &'a Prepared,
        mapping: &'a Mapping,
        part: usize,
    ) -> Result<(), ExportError> {
        let compiled = ids(&prepared.pack, mapping, &prepared.sources, &prepared.catalog)
            .ok_or_else(|| LedgerError::Ids(mapping.name.clone()))?;
        let identity = identity(&prepared.pack, mapping, &prepared.sources, &self.database);
        self.kept.push(Kept { mapping, part, compiled: Arc::new(compiled), identity, ids: None });
        Ok(())
    }

    /// Reads the ids that are in the snapshot.
    pub(super) async fn read(&mut self, snapshot: &Snapshot, chunk_bytes: usize) -> Result<(), ExportError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let session = snapshot.leader();
        for kept in &mut self.kept {
            kept.ids = Some(sorted_ids(session, &kept.compiled, chunk_bytes).await?);
        }
        Ok(())
    }

    /// Merges the ids into the ledgers and hands over, type and id, what was there after `since` and is gone. The
    /// ledgers are whole and durable, and in place when the answer's [`Merged::install`] has returned.
    ///
    /// Another export into the same directory waits meanwhile: a ledger that was made from an older one would forget
    /// what that export has seen.
    pub(super) fn merge(
        self,
        pack: &str,
        at: i64,
        since: Option<i64>,
        cancel: &CancellationToken,
        mut gone: impl FnMut(&str, &[u8]) -> Result<(), ExportError>,
    ) -> Result<Merged<'a>, ExportError> {
        let held = if self.kept.is_empty() { None } else { Some(lock(&self.directory, cancel)?) };
        let mut merged = Merged { _lock: held, directory: self.directory, parts: Vec::new(), told: Vec::new() };
        for kept in self.kept {
            let Some(mut ids) = kept.ids else { continue };
            let path = merged.directory.join(file_name(pack, &kept.mapping.name));
            let old = Old::open(&path)?.filter(|old| old.header.identity == kept.identity);
            let header = Header {
                format: store::FORMAT,
                identity: kept.identity,
                since: old.as_ref().map_or(at, |old| old.header.since),
                // Later than that of every export before, also where an open writer holds them all at one time: who
                // came before must be told, and who comes now is not told twice.
                until: old.as_ref().map_or(at, |old| at.max(old.header.until + 1)),
            };
            let known = since.filter(|since| *since >= header.since && old.is_some());
            let mut told = Told {
                mapping: kept.mapping,
                part: kept.part,
                unknown_before: (since.is_some() && known.is_none()).then_some(header.since),
                deleted: 0,
            };
            let mut part = Part::create(&path, &header)?;
            union(old, &mut ids, header.until, cancel, |id, missed| {
                if missed.zip(known).is_some_and(|(missed, since)| missed > since) {
                    told.deleted += 1;
                    gone(&kept.mapping.resource_type, id)?;
                }
                Ok(part.add(id, missed)?)
            })?;
            merged.parts.push(part.end()?);
            merged.told.push(told);
        }
        Ok(merged)
    }
}

/// New ledgers that wait for their export.
pub(super) struct Merged<'a> {
    /// Holds others back until the ledgers are in place.
    _lock: Option<File>,
    directory: PathBuf,
    parts: Vec<store::Whole>,
    pub(super) told: Vec<Told<'a>>,
}

impl Merged<'_> {
    /// Puts the ledgers in place of the old ones.
    pub(super) fn install(self) -> Result<(), ExportError> {
        if self.parts.is_empty() {
            return Ok(());
        }
        self.parts.into_iter().try_for_each(store::Whole::install)?;
        let synced = File::open(&self.directory).and_then(|open| open.sync_all());
        Ok(synced.map_err(|source| failed("sync", &self.directory, source))?)
    }
}

/// Writes the deletions that ledgers find.
pub(super) struct Deletions<'a, 's, S: Sink> {
    shelf: &'a Shelf<'s, S>,
    line: Vec<u8>,
}

impl<'a, 's, S: Sink> Deletions<'a, 's, S> {
    /// Writes to this shelf.
    pub(super) fn new(shelf: &'a Shelf<'s, S>) -> Self {
        Self { shelf, line: Vec::new() }
    }

    /// Writes that a resource is gone.
    pub(super) fn add(&mut self, kind: &str, id: &[u8]) -> Result<(), ExportError> {
        self.line.clear();
        for part in [DELETION, b"\"", kind.as_bytes(), b"/", id, b"\"", DELETION_END] {
            self.line.extend_from_slice(part);
        }
        self.shelf.put(DELETED, &self.line, 1)
    }
}

/// Every id of `old` and `ids`, in order, with the time at which it was first missed.
fn union(
    mut old: Option<Old>,
    ids: &mut Sorted,
    now: i64,
    cancel: &CancellationToken,
    mut each: impl FnMut(&[u8], Option<i64>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut known = next_of(&mut old)?;
    let mut id = ids.next().map_err(LedgerError::from)?;
    loop {
        if cancel.is_cancelled() {
            return Err(ExportError::Cancelled);
        }
        match (known.take(), id.take()) {
            (None, None) => return Ok(()),
            (Some(line), Some(there)) if line.id == there => {
                each(&there, None)?;
                known = next_of(&mut old)?;
                id = ids.next().map_err(LedgerError::from)?;
            }
            (Some(line), there) if there.as_ref().is_none_or(|there| line.id < *there) => {
                each(&line.id, Some(line.missed.unwrap_or(now)))?;
                known = next_of(&mut old)?;
                id = there;
            }
            (line, Some(there)) => {
                each(&there, None)?;
                known = line;
                id = ids.next().map_err(LedgerError::from)?;
            }
            (Some(_), None) => return Ok(()),
        }
    }
}

fn next_of(old: &mut Option<Old>) -> Result<Option<store::Line>, LedgerError> {
    old.as_mut().map_or(Ok(None), Old::next)
}

/// Runs the program that makes ids, and sorts them.
async fn sorted_ids(session: &Session, compiled: &Compiled, chunk_bytes: usize) -> Result<Sorted, ExportError> {
    let mut sorter = Sorter::default();
    let Some(driving) = compiled.streams.first() else { return Ok(sorter.sorted().map_err(LedgerError::from)?) };
    let statement = statement(driving, &Filter::default(), &Range::default(), None);
    let mut rows = [session.portal_stream(&statement).await?];
    let mut encoder = Encoder::new(Arc::clone(&compiled.program), Limits { chunk_bytes })?;
    let mut spare = Vec::new();
    drive(&mut encoder, &mut rows, &mut Buffers::default(), |_, output| {
        let lines = output.take_settled(std::mem::take(&mut spare)).bytes;
        for line in lines.split(|byte| *byte == b'\n') {
            // A FHIR id has nothing that JSON escapes.
            if let Some(id) = line.get(1..line.len().saturating_sub(1)).filter(|id| !id.is_empty()) {
                sorter.add(id).map_err(LedgerError::from)?;
            }
        }
        spare = lines;
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .await?;
    Ok(sorter.sorted().map_err(LedgerError::from)?)
}

/// Waits until no other export is merging here.
fn lock(directory: &Path, cancel: &CancellationToken) -> Result<File, ExportError> {
    let path = directory.join(".lock");
    let file = File::options().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|source| failed("open", &path, source))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if cancel.is_cancelled() => return Err(ExportError::Cancelled),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source).into()),
        }
    }
}

/// The name of a mapping's ledger. Mappings in directories of their own have a `/` in their names.
fn file_name(pack: &str, mapping: &str) -> String {
    format!("{}.{}.ids.zst", pack.replace('/', "~"), mapping.replace('/', "~"))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
