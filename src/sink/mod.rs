//! Where bytes land: names, sizes, digests.
//!
//! A sink does not know what a row or a resource is. Its one promise: a file is visible under its name only when
//! `SinkFile::commit` has returned, whole and durable; a file dropped before leaves nothing.
//!
//! Calls block: an export worker is a thread of its own. Every sink passes the tests of `contract.rs`.

mod codec;
#[cfg(test)]
mod contract;
mod disk;
mod journal;
mod local;
mod null;
mod scratch;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use codec::Codec;
pub use local::{LocalFile, LocalSink};
pub use null::{NullFile, NullSink};
pub use scratch::Scratch;

/// A place that keeps files. Files may be open at the same time, on several threads.
pub trait Sink: Send + Sync {
    /// A file being written.
    type File: SinkFile;

    /// Opens `name` for writing; what is stored is called `name` plus [`Codec::suffix`].
    ///
    /// A name is one plain path segment without a leading dot, and is used once per sink.
    fn create(&self, name: &str, codec: Codec) -> Result<Self::File, SinkError>;

    /// An empty file for what the export has to set aside, where its files will be.
    fn scratch(&self) -> Result<Scratch, SinkError>;

    /// Says that the last file is committed: what is here is one complete export.
    fn finish(&self) -> Result<(), SinkError>;
}

/// A file being written. Dropping it without [`commit`](SinkFile::commit) leaves nothing visible.
pub trait SinkFile: Send {
    /// Appends bytes. It may return before they are stored; an error met later is returned by a later call.
    /// After an error the file can only be dropped.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Bytes written so far, before compression.
    fn raw_bytes(&self) -> u64;

    /// Says that nothing more is written, and begins to make the file durable. Does not wait for it.
    /// Writing afterwards is an error.
    fn end(&mut self) -> Result<(), SinkError>;

    /// Waits until the file is whole and durable, ending it if need be, without making it visible: files of one export
    /// are committed together, when all of them are sealed.
    fn seal(&mut self) -> Result<(), SinkError>;

    /// Makes the file durable if it is not sealed yet, then visible.
    fn commit(self) -> Result<StoredFile, SinkError>;
}

/// A committed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Name as stored, suffix of the codec included.
    pub name: String,
    /// Size as stored, in bytes.
    pub bytes: u64,
    /// Size before compression, in bytes.
    pub raw_bytes: u64,
    /// SHA-256 over the stored bytes, in lower-case hex; none where nothing is stored.
    pub sha256: Option<String>,
}

/// Why a file could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The disk or the quota is full.
    #[error("no space left to write {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The system refused something else.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The output directory holds files that are not a former attempt of ours.
    #[error("output directory {} is not empty: it holds {}", path.display(), entry.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One entry that stands there.
        entry: PathBuf,
    },
    /// The output path is something else than a directory.
    #[error("output path {} is not a directory", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another process is writing to the directory.
    #[error("another export is writing to {}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Not a plain file name.
    #[error("`{name}` is not a plain file name")]
    Name {
        /// The name.
        name: String,
    },
    /// The name was used before.
    #[error("file `{name}` exists already in this export")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The file was written to after an error, or its writer thread died.
    #[error("writing {} had failed before", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

impl SinkError {
    /// What the operator can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Full { .. } => {
                "Free space there, or choose another `--out`; nothing incomplete stays under its name."
            }
            Self::NotEmpty { .. } => {
                "Choose an empty or new directory; only what an unfinished export left behind is ever replaced."
            }
            Self::NotDirectory { .. } => "Choose a directory; it is created if it does not exist.",
            Self::InUse { .. } => "Wait for it to end, or choose another directory.",
            Self::Io { .. } | Self::Name { .. } | Self::Duplicate { .. } | Self::Broken { .. } => return None,
        })
    }

    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

/// The names a sink has given out.
#[derive(Debug, Default)]
struct Names(Mutex<HashSet<String>>);

impl Names {
    /// Checks `name` and takes it.
    fn claim(&self, name: &str) -> Result<(), SinkError> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\n', '\0']) {
            return Err(SinkError::Name { name: name.to_owned() });
        }
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if fresh { Ok(()) } else { Err(SinkError::Duplicate { name: name.to_owned() }) }
    }
}
