//! Which files of an output directory are ours, until the export is complete.
//!
//! `.smelt-export` exists from the first moment of an export to its end. It lists the name of every file before that
//! file is created, and is locked while the export lives. So what an export that died left behind is known exactly,
//! and nothing else is ever deleted.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::SinkError;

const NAME: &str = ".smelt-export";
const FIRST_LINE: &str = "smelt export, not complete; the files below belong to it";

/// The open journal of an output directory.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Makes `directory` ready for one export: creates it (mode 0700), or takes an empty one, or clears what a former
    /// export left unfinished.
    pub(super) fn open(directory: &Path) -> Result<Self, SinkError> {
        match fs::metadata(directory) {
            Ok(found) if !found.is_dir() => return Err(SinkError::NotDirectory { path: directory.to_owned() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|error| SinkError::io("create directory", directory, error))?,
            Err(error) => return Err(SinkError::io("read directory", directory, error)),
        }
        let path = directory.join(NAME);
        if !path.exists()
            && let Some(entry) = entries(directory)?.pop()
        {
            return Err(SinkError::NotEmpty { path: directory.to_owned(), entry });
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| SinkError::io("create", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SinkError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(SinkError::io("lock", &path, error)),
        }
        let journal = Self { directory: directory.to_owned(), path, file: Mutex::new(file) };
        journal.clear()?;
        restrict(directory)?;
        journal.append(FIRST_LINE)?;
        sync_directory(directory)?;
        Ok(journal)
    }

    /// Notes that `name` is about to be created.
    pub(super) fn add(&self, name: &str) -> Result<(), SinkError> {
        self.append(name)
    }

    /// The export is complete: its files are no longer ours to replace.
    pub(super) fn close(&self) -> Result<(), SinkError> {
        fs::remove_file(&self.path).map_err(|error| SinkError::io("remove", &self.path, error))?;
        sync_directory(&self.directory)
    }

    /// Deletes every file the journal lists, and empties it. Refuses, before anything is deleted, when the directory
    /// holds something else.
    pub(super) fn clear(&self) -> Result<(), SinkError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |action, error| SinkError::io(action, &self.path, error);
        let mut text = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut text)).map_err(|error| failed("read", error))?;
        let mut lines = text.lines();
        let ours = text.is_empty() || lines.next() == Some(FIRST_LINE);
        let listed: HashSet<PathBuf> = lines
            .filter(|name| !name.contains('/'))
            .flat_map(|name| [self.directory.join(name), self.directory.join(part_name(name))])
            .collect();
        let found = entries(&self.directory)?;
        let foreign = |entry: &&PathBuf| {
            let file = fs::symlink_metadata(entry).is_ok_and(|found| found.is_file());
            !(file && ours && (**entry == self.path || listed.contains(*entry)))
        };
        if let Some(entry) = found.iter().find(foreign) {
            return Err(SinkError::NotEmpty { path: self.directory.clone(), entry: entry.clone() });
        }
        for entry in found.iter().filter(|entry| **entry != self.path) {
            fs::remove_file(entry).map_err(|error| SinkError::io("remove", entry, error))?;
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(|error| failed("empty", error))
    }

    fn append(&self, line: &str) -> Result<(), SinkError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{line}\n").as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|error| SinkError::io("write", &self.path, error))
    }
}

/// Takes an existing directory's rights from group and others.
fn restrict(directory: &Path) -> Result<(), SinkError> {
    let failed = |error| SinkError::io("restrict to its owner", directory, error);
    if fs::metadata(directory).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// The hidden name of a file that is still being written.
pub(super) fn part_name(name: &str) -> String {
    format!(".{name}.part")
}

/// Makes created, renamed and removed entries durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), SinkError> {
    File::open(directory)
        .and_then(|open| open.sync_all())
        .map_err(|error| SinkError::io("sync directory", directory, error))
}

/// All entries, in the order of their names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let failed = |error| SinkError::io("read directory", directory, error);
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    found.sort();
    Ok(found)
}
