//! Counts and discards: dry runs and benches.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Codec, Names, Scratch, Sink, SinkError, SinkFile, StoredFile};

/// A sink that stores nothing.
#[derive(Debug, Default)]
pub struct NullSink {
    names: Names,
}

/// A file of a [`NullSink`].
#[derive(Debug)]
pub struct NullFile {
    name: String,
    bytes: u64,
}

impl Sink for NullSink {
    type File = NullFile;

    fn create(&self, name: &str, codec: Codec) -> Result<NullFile, SinkError> {
        let name = format!("{name}{}", codec.suffix());
        self.names.claim(&name)?;
        Ok(NullFile { name, bytes: 0 })
    }

    /// In the system's directory for temporary files: there is no other.
    fn scratch(&self) -> Result<Scratch, SinkError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!(".smelt-scratch-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Scratch::create(std::env::temp_dir().join(name))
    }

    fn finish(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl SinkFile for NullFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn raw_bytes(&self) -> u64 {
        self.bytes
    }

    fn end(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn seal(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Nothing is compressed, so the stored size is said to be the raw one.
    fn commit(self) -> Result<StoredFile, SinkError> {
        Ok(StoredFile { name: self.name, bytes: self.bytes, raw_bytes: self.bytes, sha256: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::contract;

    #[test]
    fn keeps_the_contract() {
        contract::holds(&NullSink::default(), || None);
    }
}
