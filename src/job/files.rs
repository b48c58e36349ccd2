//! The directories of jobs: `jobs/<id>/`, for the owner alone, removed without a trace (X-04, F-11).

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JobId;
use crate::bulk::ManifestFile;

/// A file of a job, open for reading. Removing the job does not take it away from who reads it (F-11).
#[derive(Debug)]
pub struct OpenFile {
    /// The bytes as they are stored.
    pub file: File,
    /// What the manifest says about it; its `url` is its name.
    pub meta: ManifestFile,
    /// When it was whole, as far as it is told: microseconds since 1970.
    pub whole_at: i64,
    /// To be kept while the file is read: the job does not expire meanwhile.
    pub lease: Lease,
}

/// Holds up the expiry of a job while it lives.
#[derive(Debug, Clone)]
pub struct Lease(#[expect(dead_code, reason = "counted, not read")] pub(super) Arc<()>);

/// Why a file is not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No such job, or it has no such file, or not yet.
    #[error("no such file")]
    NotFound,
    /// It should be there, and cannot be read.
    #[error("failed to open a file of a completed job")]
    Io(#[source] io::Error),
}

/// The directory of all job directories.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    root: PathBuf,
}

impl Directories {
    /// Makes it where it does not exist.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        if let Some(above) = root.parent().filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)?.sync_all()?;
        }
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn of(&self, id: JobId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// Makes new entries durable: a job is not completed while its directory could be lost.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }

    /// Removes a job's directory with everything in it; what is not there is no error.
    pub(super) fn remove(&self, id: JobId) {
        match fs::remove_dir_all(self.of(id)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The next start tries again.
            Err(error) => tracing::warn!(job = %id, %error, "files of a job could not be removed"),
        }
    }

    /// Removes every file of a job but these.
    pub(super) fn keep_files(&self, id: JobId, names: &HashSet<&str>) -> io::Result<()> {
        for entry in fs::read_dir(self.of(id))? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| !names.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the directories of all other jobs.
    pub(super) fn keep_only(&self, jobs: &HashSet<JobId>) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            match name.to_str().and_then(|name| name.parse::<JobId>().ok()) {
                Some(id) if jobs.contains(&id) => {}
                Some(id) => {
                    tracing::info!(job = %id, "files that belong to no job are removed");
                    self.remove(id);
                }
                None => tracing::warn!(?name, "the directory of jobs holds something that is no job; it is left alone"),
            }
        }
        Ok(())
    }

    /// Bytes a job takes on the disk now.
    pub(super) fn bytes(&self, id: JobId) -> u64 {
        let Ok(entries) = fs::read_dir(self.of(id)) else { return 0 };
        // A file that vanishes meanwhile takes none.
        entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|found| found.len()).sum()
    }
}
