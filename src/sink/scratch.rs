//! A file for what an export has to set aside: written and read by it alone, and gone when it is dropped.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;

use super::SinkError;

/// A file that nobody else sees. It is not synced: what is in it is not worth anything after a crash.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Scratch {
    /// A new file, for its owner alone.
    pub(super) fn create(path: PathBuf) -> Result<Self, SinkError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| SinkError::io("create", &path, error))?;
        Ok(Self { file, path, bytes: 0 })
    }

    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.write_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Appends this many zeros, which take no space until they are overwritten.
    pub fn append_zeros(&mut self, count: u64) -> Result<(), SinkError> {
        self.bytes += count;
        self.file.set_len(self.bytes).map_err(|error| SinkError::io("write", &self.path, error))
    }

    /// Overwrites bytes at a place.
    pub fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), SinkError> {
        self.file.write_all_at(bytes, at).map_err(|error| SinkError::io("write", &self.path, error))
    }

    /// Fills `buffer` with the bytes at a place.
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<(), SinkError> {
        self.file.read_exact_at(buffer, at).map_err(|error| SinkError::io("read", &self.path, error))
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If this fails the journal still lists the file, so the next attempt clears it.
        let _ = fs::remove_file(&self.path);
    }
}
