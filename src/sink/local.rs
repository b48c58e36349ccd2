//! Files in a directory of this machine.
//!
//! A file is written aside as `.NAME.part` (mode 0600), synced, renamed, and the directory is synced. Compression,
//! digest and disk have a thread of their own per open file, fed through a short queue of chunks that are used again:
//! the mapper is not stalled, and a file holds at most [`CHUNKS`] × [`CHUNK`] bytes in memory (plus the state of the
//! codec, under 2 MiB).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::codec::{Compressor, Digested};
use super::disk::Disk;
use super::journal::{Journal, part_name, sync_directory};
use super::{Codec, Names, Scratch, Sink, SinkError, SinkFile, StoredFile};

/// Bytes handed to the writer thread at a time.
const CHUNK: usize = 256 * 1024;

/// Chunks that exist per file: one being filled, two queued, one being written.
const CHUNKS: usize = 4;

/// An output directory.
#[derive(Debug)]
pub struct LocalSink {
    directory: PathBuf,
    journal: Journal,
    names: Names,
    /// Scratch files made so far.
    scratches: AtomicU32,
}

impl LocalSink {
    /// Takes `directory` for one export. It is created with mode 0700 if it does not exist; an existing one must be
    /// empty, or hold only what an unfinished export of ours left behind, which is then removed.
    pub fn open(directory: &Path) -> Result<Self, SinkError> {
        Ok(Self {
            directory: directory.to_owned(),
            journal: Journal::open(directory)?,
            names: Names::default(),
            scratches: AtomicU32::new(0),
        })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes every file made here: for an export that was stopped or has failed.
    pub fn discard(self) -> Result<(), SinkError> {
        self.journal.clear()?;
        self.journal.close()
    }
}

impl Sink for LocalSink {
    type File = LocalFile;

    fn create(&self, name: &str, codec: Codec) -> Result<LocalFile, SinkError> {
        let name = format!("{name}{}", codec.suffix());
        self.names.claim(&name)?;
        self.journal.add(&name)?;
        let path = self.directory.join(&name);
        let (part, file) = Part::create(self.directory.join(part_name(&name)))?;
        let failed = |error| SinkError::io("start writing", &path, error);
        let compressor = Compressor::new(codec, Digested::new(Disk::new(file))).map_err(failed)?;
        let (orders, received) = sync_channel(CHUNKS - 2);
        let (used, unused) = sync_channel(CHUNKS);
        let writer = Writer { path: path.clone(), part, compressor };
        let thread = thread::Builder::new()
            .name("smelt-file".to_owned())
            .spawn(move || writer.run(&received, &used))
            .map_err(failed)?;
        let chunk = Vec::with_capacity(CHUNK);
        Ok(LocalFile {
            name,
            path,
            raw_bytes: 0,
            chunk,
            made: 1,
            unused,
            ended: false,
            running: Some((orders, thread)),
            sealed: None,
        })
    }

    fn scratch(&self) -> Result<Scratch, SinkError> {
        let name = format!("scratch.{}", self.scratches.fetch_add(1, Ordering::Relaxed));
        self.names.claim(&name)?;
        self.journal.add(&name)?;
        Scratch::create(self.directory.join(part_name(&name)))
    }

    fn finish(&self) -> Result<(), SinkError> {
        self.journal.close()
    }
}

/// What the writer thread is told. The channel closing without `Seal` means: drop the file.
enum Order {
    Write(Vec<u8>),
    Seal,
}

/// A whole and durable file, still under its hidden name; dropped, it is removed.
#[derive(Debug)]
struct Sealed {
    part: Part,
    bytes: u64,
    sha256: String,
}

type Written = Option<Sealed>;
type Running = (SyncSender<Order>, JoinHandle<Result<Written, SinkError>>);

/// A file of a [`LocalSink`].
#[derive(Debug)]
pub struct LocalFile {
    name: String,
    path: PathBuf,
    raw_bytes: u64,
    /// Being filled, never beyond [`CHUNK`].
    chunk: Vec<u8>,
    /// Chunks made so far.
    made: usize,
    /// Chunks that come back from the writer thread.
    unused: Receiver<Vec<u8>>,
    /// The writer thread was told that nothing more comes.
    ended: bool,
    /// None once sealed, or after an error.
    running: Option<Running>,
    sealed: Option<Sealed>,
}

impl LocalFile {
    fn send(&mut self, order: Order) -> Result<(), SinkError> {
        match &self.running {
            None => Err(self.broken()),
            Some((orders, _)) if orders.send(order).is_ok() => Ok(()),
            // The thread has ended early, so it has an error to tell.
            Some(_) => Err(self.join().err().unwrap_or_else(|| self.broken())),
        }
    }

    fn hand_over(&mut self) -> Result<(), SinkError> {
        let empty = if self.made < CHUNKS {
            self.made += 1;
            Vec::with_capacity(CHUNK)
        } else {
            // An error means that the thread has ended; the send below then finds out why.
            self.unused.recv().unwrap_or_default()
        };
        let chunk = std::mem::replace(&mut self.chunk, empty);
        self.send(Order::Write(chunk))
    }

    /// Ends the thread and gives its result.
    fn join(&mut self) -> Result<Written, SinkError> {
        let Some((orders, thread)) = self.running.take() else { return Err(self.broken()) };
        drop(orders);
        thread.join().unwrap_or_else(|_| Err(self.broken()))
    }

    fn broken(&self) -> SinkError {
        SinkError::Broken { path: self.path.clone() }
    }
}

impl SinkFile for LocalFile {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), SinkError> {
        if self.ended {
            return Err(self.broken());
        }
        self.raw_bytes += bytes.len() as u64;
        loop {
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK.saturating_sub(self.chunk.len())));
            self.chunk.extend_from_slice(fits);
            if rest.is_empty() {
                return if self.running.is_some() { Ok(()) } else { Err(self.broken()) };
            }
            bytes = rest;
            self.hand_over()?;
        }
    }

    fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    fn end(&mut self) -> Result<(), SinkError> {
        if !self.ended {
            self.ended = true;
            let last = std::mem::take(&mut self.chunk);
            self.send(Order::Write(last))?;
            self.send(Order::Seal)?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), SinkError> {
        if self.sealed.is_none() {
            self.end()?;
            self.sealed = Some(self.join()?.ok_or_else(|| self.broken())?);
            // Many whole files may wait for the end of the export.
            self.unused.try_iter().for_each(drop);
        }
        Ok(())
    }

    fn commit(mut self) -> Result<StoredFile, SinkError> {
        self.seal()?;
        let Some(Sealed { part, bytes, sha256 }) = self.sealed.take() else { return Err(self.broken()) };
        part.rename(&self.path)?;
        let name = std::mem::take(&mut self.name);
        Ok(StoredFile { name, bytes, raw_bytes: self.raw_bytes, sha256: Some(sha256) })
    }
}

impl Drop for LocalFile {
    /// Waits for the writer thread, so that nothing is left when this returns.
    fn drop(&mut self) {
        if self.running.is_some() {
            // Whatever went wrong, nobody wants the file any more.
            let _ = self.join();
        }
    }
}

/// The writer thread's half of a file.
struct Writer {
    path: PathBuf,
    part: Part,
    compressor: Compressor<Digested<Disk>>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>, used: &SyncSender<Vec<u8>>) -> Result<Written, SinkError> {
        loop {
            match orders.recv() {
                Ok(Order::Write(mut chunk)) => {
                    self.compressor.write_all(&chunk).map_err(|error| SinkError::io("write", &self.path, error))?;
                    chunk.clear();
                    // Fails only when the file was dropped; then the next receive ends the loop.
                    let _ = used.try_send(chunk);
                }
                Ok(Order::Seal) => return self.seal().map(Some),
                Err(_) => return Ok(None),
            }
        }
    }

    fn seal(self) -> Result<Sealed, SinkError> {
        let Self { path, part, compressor } = self;
        let failed = |action| move |error| (action, error);
        let written = (|| {
            let (disk, bytes, sha256) = compressor.finish().map_err(failed("write"))?.into_parts();
            disk.sync().map_err(failed("sync"))?;
            Ok((bytes, sha256))
        })();
        let (bytes, sha256) = written.map_err(|(action, error)| SinkError::io(action, &path, error))?;
        Ok(Sealed { part, bytes, sha256 })
    }
}

/// A file's hidden name; the file is removed unless it was renamed.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    renamed: bool,
}

impl Part {
    fn create(path: PathBuf) -> Result<(Self, File), SinkError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| SinkError::io("create", &path, error))?;
        Ok((Self { path, renamed: false }, file))
    }

    fn rename(mut self, path: &Path) -> Result<(), SinkError> {
        fs::rename(&self.path, path).map_err(|error| SinkError::io("rename to", path, error))?;
        self.renamed = true;
        path.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.renamed {
            // If this fails the journal still lists the file, so the next attempt clears it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sink::contract;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn store(sink: &LocalSink, name: &str, bytes: &[u8]) -> StoredFile {
        let mut file = sink.create(name, Codec::None).unwrap();
        file.write(bytes).unwrap();
        file.commit().unwrap()
    }

    #[test]
    fn keeps_the_contract() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        contract::holds(&LocalSink::open(&out).unwrap(), || {
            let visible = names(&out).into_iter().filter(|name| !name.starts_with('.'));
            Some(visible.map(|name| (name.clone(), fs::read(out.join(name)).unwrap())).collect())
        });
        assert!(!names(&out).iter().any(|name| name.starts_with('.')), "{:?}", names(&out));
    }

    //
    #[test]
    fn only_the_owner_may_read() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("a/b");
        let sink = LocalSink::open(&out).unwrap();
        store(&sink, "Patient.001.ndjson", b"{}\n");
        assert_eq!((mode(&out), mode(&out.join("Patient.001.ndjson"))), (0o700, 0o600));

        let prepared = home.path().join("prepared");
        fs::create_dir(&prepared).unwrap();
        fs::set_permissions(&prepared, fs::Permissions::from_mode(0o755)).unwrap();
        LocalSink::open(&prepared).unwrap();
        assert_eq!(mode(&prepared), 0o700);
    }

    #[test]
    fn a_complete_export_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        store(&sink, "Patient.001.ndjson", b"{}\n");
        sink.finish().unwrap();
        drop(sink);
        assert_eq!(names(home.path()), ["Patient.001.ndjson"]);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = LocalSink::open(home.path()).unwrap_err();
        assert!(matches!(error, SinkError::NotEmpty { .. }), "{error}");
        assert!(error.to_string().ends_with("Patient.001.ndjson"), "{error}");
        assert!(error.help().is_some());
        assert_eq!(mode(home.path()), 0o755, "a refused directory is not touched");
    }

    #[test]
    fn an_unfinished_export_is_cleared() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        store(&sink, "Patient.001.ndjson", b"{}\n");
        // As after a kill: the hidden file of an open one stays.
        fs::write(home.path().join(".Patient.001.ndjson.part"), b"{").unwrap();
        drop(sink);
        let sink = LocalSink::open(home.path()).unwrap();
        assert_eq!(names(home.path()), [".smelt-export"]);
        store(&sink, "Patient.001.ndjson", b"{}\n");
        sink.finish().unwrap();
    }

    //
    #[test]
    fn scratch_files_are_the_owners_alone_and_leave_nothing() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        let (first, second) = (sink.scratch().unwrap(), sink.scratch().unwrap());
        assert_eq!(names(home.path()), [".scratch.0.part", ".scratch.1.part", ".smelt-export"]);
        assert_eq!(mode(first.path()), 0o600);
        drop(first);
        // As after a kill.
        let left = second.path().to_owned();
        drop(second);
        fs::write(left, b"x").unwrap();
        drop(sink);
        LocalSink::open(home.path()).unwrap();
        assert_eq!(names(home.path()), [".smelt-export"]);
    }

    #[test]
    fn an_unfinished_export_with_a_strange_file_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        store(&sink, "Patient.001.ndjson", b"{}\n");
        fs::write(home.path().join("notes.txt"), b"mine").unwrap();
        drop(sink);
        let error = LocalSink::open(home.path()).unwrap_err();
        assert!(error.to_string().ends_with("notes.txt"), "{error}");
        assert_eq!(names(home.path()), [".smelt-export", "Patient.001.ndjson", "notes.txt"]);
    }

    #[test]
    fn a_directory_takes_one_export_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let _first = LocalSink::open(home.path()).unwrap();
        assert!(matches!(LocalSink::open(home.path()), Err(SinkError::InUse { .. })));
    }

    #[test]
    fn a_discarded_export_leaves_an_empty_directory() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        store(&sink, "Patient.001.ndjson", b"{}\n");
        sink.discard().unwrap();
        assert_eq!(names(home.path()), [""; 0]);
    }

    #[test]
    fn a_full_disk_names_the_file_and_is_told_at_the_latest_by_commit() {
        let writer = |path: &str| {
            let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let part = Part { path: PathBuf::from(path), renamed: true };
            let compressor = Compressor::new(Codec::None, Digested::new(Disk::new(file))).unwrap();
            Writer { path: PathBuf::from(path), part, compressor }
        };
        let (orders, received) = sync_channel(CHUNKS - 2);
        let (used, unused) = sync_channel(CHUNKS);
        let thread = thread::spawn(move || writer("out/Patient.001.ndjson").run(&received, &used));
        let mut file = LocalFile {
            name: "Patient.001.ndjson".to_owned(),
            path: PathBuf::from("out/Patient.001.ndjson"),
            raw_bytes: 0,
            chunk: Vec::new(),
            made: 1,
            unused,
            ended: false,
            running: Some((orders, thread)),
            sealed: None,
        };
        let error = (0..10)
            .find_map(|_| file.write(&vec![b'x'; CHUNK]).err())
            .or_else(|| file.commit().err())
            .expect("a full disk is an error");
        assert_eq!(error.to_string(), "no space left to write out/Patient.001.ndjson");
        assert!(matches!(error, SinkError::Full { .. }));
    }

    #[test]
    fn memory_per_file_is_bounded() {
        let home = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(home.path()).unwrap();
        let mut file = sink.create("big", Codec::Gzip).unwrap();
        file.write(&vec![b'x'; 40 * CHUNK + 7]).unwrap();
        assert_eq!(file.made, CHUNKS);
        assert!(file.chunk.capacity() <= CHUNK);
        file.seal().unwrap();
        assert_eq!((file.chunk.capacity(), file.unused.try_iter().count()), (0, 0), "a whole file holds nothing");
        assert_eq!(file.commit().unwrap().raw_bytes, 40 * CHUNK as u64 + 7);
    }
}
