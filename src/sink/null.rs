//! Counts and discards: dry runs and benches.

use super::{Codec, Names, Sink, SinkError, SinkFile, StoredFile};

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
