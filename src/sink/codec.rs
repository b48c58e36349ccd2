//! Compression and digest of one file, on its way to the disk.

use std::fmt::Write as _;
use std::io::{self, Write};

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// How the bytes of a file are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// As they are.
    #[default]
    None,
    /// gzip, level 1, one member (some readers stop after the first).
    Gzip,
    /// Zstandard, level 1, one frame.
    Zstd,
}

impl Codec {
    /// What it adds to a file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Its name as an HTTP content coding; none when bytes are stored as they are.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Compresses what is written to it and hands it on.
pub(super) enum Compressor<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    pub(super) fn new(codec: Codec, target: W) -> io::Result<Self> {
        Ok(match codec {
            Codec::None => Self::None(target),
            Codec::Gzip => Self::Gzip(GzEncoder::new(target, flate2::Compression::fast())),
            Codec::Zstd => Self::Zstd(zstd::Encoder::new(target, 1)?),
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(target) => target.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// Ends the compressed stream.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(target) => Ok(target),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Counts and digests what passes.
pub(super) struct Digested<W> {
    target: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Digested<W> {
    pub(super) fn new(target: W) -> Self {
        Self { target, digest: Sha256::new(), bytes: 0 }
    }

    /// The target, the number of bytes, their SHA-256 in hex.
    pub(super) fn into_parts(self) -> (W, u64, String) {
        let mut hex = String::with_capacity(64);
        for byte in self.digest.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        (self.target, self.bytes, hex)
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.target.write(bytes)?;
        if let Some(taken) = bytes.get(..written) {
            self.digest.update(taken);
        }
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn check(codec: Codec, decode: impl Fn(&[u8]) -> Vec<u8>) {
        let line = b"{\"resourceType\":\"Patient\",\"id\":\"1\"}\n";
        let mut compressor = Compressor::new(codec, Digested::new(Vec::new())).unwrap();
        for _ in 0..1000 {
            compressor.write_all(line).unwrap();
        }
        let (stored, bytes, sha256) = compressor.finish().unwrap().into_parts();
        assert_eq!(bytes, stored.len() as u64);
        assert_eq!(decode(&stored), line.repeat(1000));
        let mut again = Digested::new(io::sink());
        again.write_all(&stored).unwrap();
        assert_eq!(again.into_parts().2, sha256);
    }

    #[test]
    fn what_is_compressed_comes_back() {
        check(Codec::None, <[u8]>::to_vec);
        check(Codec::Gzip, |stored| {
            // GzDecoder reads one member only, so this also proves that there is just one.
            let mut raw = Vec::new();
            flate2::read::GzDecoder::new(stored).read_to_end(&mut raw).unwrap();
            raw
        });
        check(Codec::Zstd, |stored| zstd::decode_all(stored).unwrap());
    }

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        let (_, bytes, sha256) = Digested::new(io::sink()).into_parts();
        assert_eq!(bytes, 0);
        assert_eq!(sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
