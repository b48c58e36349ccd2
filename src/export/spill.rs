//! Where a resource waits that has outgrown the encode buffer: a temporary file without a name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use crate::encode::{Output, Spill as Order};

/// A resource's bytes so far. Nothing of it is visible to anybody, whatever happens to the process.
#[derive(Debug, Default)]
pub(super) struct Spill {
    file: Option<File>,
    len: u64,
}

/// A file that may not be there; then it is empty.
struct Part<'a> {
    file: Option<&'a File>,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }
}

impl Spill {
    /// Does what the encoder has ordered; the bytes of the whole resource that begins here, if there is one.
    pub(super) fn follow(&mut self, output: &mut Output) -> io::Result<u64> {
        let mut begun = 0;
        while let Some(order) = output.spill() {
            match order {
                Order::Cut(len) => self.cut(len)?,
                Order::Whole(len) => begun = len,
            }
        }
        Ok(begun)
    }

    /// Takes over what is open of a resource, when it is `most` bytes or more. The memory of `buffer` takes turns with
    /// the output's.
    pub(super) fn relieve(&mut self, output: &mut Output, most: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        if output.open_len() >= most {
            *buffer = output.take_open(std::mem::take(buffer));
            self.push(buffer)?;
        }
        Ok(())
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything beyond `len`.
    pub(super) fn cut(&mut self, len: u64) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| len < self.len) {
            file.set_len(len)?;
            file.seek(SeekFrom::Start(len))?;
            self.len = len;
        }
        Ok(())
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// True when nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads it from its start to its end.
    pub(super) fn reader(&mut self) -> io::Result<impl BufRead + '_> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
        }
        let len = self.len;
        Ok(BufReader::new(Part { file: self.file.as_ref() }.take(len)))
    }

    /// Hands everything over in chunks, and is empty.
    pub(super) fn drain<E: From<io::Error>>(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Some(file) = self.file.as_mut().filter(|_| self.len > 0) else { return Ok(()) };
        file.seek(SeekFrom::Start(0))?;
        let mut chunk = vec![0; 256 * 1024];
        let mut left = self.len;
        while left > 0 {
            let take = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut chunk[..take])?;
            write(&chunk[..take])?;
            left -= take as u64;
        }
        self.cut(0)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_and_not_cut_comes_back() {
        let mut spill = Spill::default();
        let text: Vec<u8> = (0..700_000u32).map(|n| n as u8).collect();
        spill.push(&text).unwrap();
        spill.cut(600_000).unwrap();
        spill.push(b"end").unwrap();
        let mut out = Vec::new();
        spill
            .drain::<io::Error>(|bytes| {
                out.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        assert_eq!(out, [&text[..600_000], b"end"].concat());
        assert_eq!(spill.len, 0);
        spill.push(b"x").unwrap();
        assert_eq!(spill.len, 1);
    }
}
