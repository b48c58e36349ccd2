//! Bodies that come from a file: read chunk by chunk, each on a thread that may wait, and only when the client has
//! taken the one before. What a download holds is one chunk, however slow it is.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::bulk::accept::Coding;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// How the bytes of an answer come out of a stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// To be unpacked on the way.
    pub(super) unpack: Option<Coding>,
    /// Bytes to leave out at the start, after unpacking.
    pub(super) skip: u64,
    /// Bytes to send.
    pub(super) length: u64,
}

type Source = Box<dyn Read + Send>;

/// The body.
pub(super) struct FileBody<H> {
    state: State,
    left: u64,
    size: u64,
    /// Counts bytes as they are handed on.
    sent: Box<dyn Fn(u64)>,
    /// Held until the body is gone.
    _hold: H,
}

enum State {
    /// Not opened yet: seeking and unpacking may wait for the disk.
    Fresh(File, Slice),
    Idle(Source),
    Reading(JoinHandle<io::Result<(Source, Bytes)>>),
    Done,
}

impl<H> FileBody<H> {
    /// The bytes of `slice`; `hold` lives as long as the body.
    pub(super) fn new(file: File, slice: Slice, sent: impl Fn(u64) + 'static, hold: H) -> Self {
        Self {
            state: State::Fresh(file, slice),
            left: slice.length,
            size: slice.length,
            sent: Box::new(sent),
            _hold: hold,
        }
    }
}

impl<H: Unpin> MessageBody for FileBody<H> {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                _ if this.left == 0 => return Poll::Ready(None),
                State::Fresh(file, slice) => {
                    let left = this.left;
                    this.state = State::Reading(spawn_blocking(move || read(open(file, slice)?, left)));
                }
                State::Idle(source) => {
                    let left = this.left;
                    this.state = State::Reading(spawn_blocking(move || read(source, left)));
                }
                State::Reading(mut reading) => match Pin::new(&mut reading).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Ok((source, chunk)))) => {
                        this.left = this.left.saturating_sub(chunk.len() as u64);
                        this.state = State::Idle(source);
                        (this.sent)(chunk.len() as u64);
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    Poll::Ready(Ok(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Err(stopped)) => return Poll::Ready(Some(Err(io::Error::other(stopped)))),
                },
            }
        }
    }
}

/// The file at the first byte that is wanted.
fn open(mut file: File, slice: Slice) -> io::Result<Source> {
    let start = if slice.unpack.is_none() { slice.skip } else { 0 };
    file.seek(SeekFrom::Start(start))?;
    let mut source: Source = match slice.unpack {
        None | Some(Coding::Identity) => return Ok(Box::new(file)),
        Some(Coding::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        Some(Coding::Zstd) => Box::new(zstd::Decoder::new(file)?),
    };
    let skipped = io::copy(&mut source.by_ref().take(slice.skip), &mut io::sink())?;
    if skipped < slice.skip { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(source) }
}

/// The next chunk; an end before `left` bytes is an error, so that the client sees a broken answer and no short file.
fn read(mut source: Source, left: u64) -> io::Result<(Source, Bytes)> {
    let want = left.min(CHUNK as u64);
    let mut chunk = Vec::with_capacity(want as usize);
    source.by_ref().take(want).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < want {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((source, Bytes::from(chunk)))
}

/// The body of an answer to `HEAD`: a size, and nothing to send.
pub(super) struct NoBody(pub(super) u64);

impl MessageBody for NoBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use actix_web::body::to_bytes;

    use super::*;

    fn stored(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    async fn sent(bytes: &[u8], slice: Slice) -> (Result<Vec<u8>, String>, u64) {
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let add = move |n| {
            counting.fetch_add(n, Ordering::Relaxed);
        };
        let body = to_bytes(FileBody::new(stored(bytes), slice, add, ())).await;
        (body.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string()), count.load(Ordering::Relaxed))
    }

    // F-06 F-12
    #[actix_web::test]
    async fn slices_of_every_form() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&plain);
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for (bytes, unpack) in [(&plain, None), (&packed, Some(Coding::Gzip)), (&zstd, Some(Coding::Zstd))] {
            for (skip, length) in [(0, plain.len()), (0, 0), (0, 1), (70_000, 100_000), (plain.len() - 1, 1)] {
                let slice = Slice { unpack, skip: skip as u64, length: length as u64 };
                let (body, count) = sent(bytes, slice).await;
                assert!(body.unwrap() == plain[skip..skip + length], "{slice:?}");
                assert_eq!(count, length as u64);
            }
        }
        let slice = Slice { unpack: None, skip: 0, length: packed.len() as u64 };
        assert!(sent(&packed, slice).await.0.unwrap() == packed, "as stored");
    }

    #[actix_web::test]
    async fn a_file_that_ends_too_early_is_no_short_answer() {
        let packed = gzip(&[7; 1000]);
        for (bytes, unpack, skip) in [
            (&[7; 10][..], None, 0),
            (&packed[..], Some(Coding::Gzip), 0),
            (&packed[..], Some(Coding::Gzip), 2000),
            (&packed[..packed.len() - 9], Some(Coding::Gzip), 0),
            (b"no gzip", Some(Coding::Gzip), 0),
        ] {
            let slice = Slice { unpack, skip, length: 1001 };
            assert!(sent(bytes, slice).await.0.is_err(), "{slice:?}");
        }
    }
}
