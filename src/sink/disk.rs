//! A file whose bytes go to the disk while more are written.
//!
//! A kernel keeps written pages until many are dirty, so a sync at the end of a file of 256 MiB would wait for most of
//! them. A thread per file syncs what is there every [`STRIDE`] bytes instead; the last sync then has little to do.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes between two syncs.
const STRIDE: usize = 8 << 20;

/// An open file and the thread that syncs it, if enough was written to need one.
pub(super) struct Disk {
    file: Arc<File>,
    unsynced: usize,
    syncer: Option<Syncer>,
}

struct Syncer {
    due: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Disk {
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), unsynced: 0, syncer: None }
    }

    /// Returns when every byte is on the disk.
    pub(super) fn sync(mut self) -> io::Result<()> {
        self.join()?;
        self.file.sync_all()
    }

    /// Ends the thread. The kernel tells an error of writing back once, so the one that it got must not be lost.
    fn join(&mut self) -> io::Result<()> {
        let Some(Syncer { due, thread }) = self.syncer.take() else { return Ok(()) };
        drop(due);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs the file has ended")))
    }

    fn due(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        let syncer = match &mut self.syncer {
            Some(syncer) => syncer,
            none => none.insert(Syncer::start(Arc::clone(&self.file))?),
        };
        match syncer.due.try_send(()) {
            // One that waits will see these bytes too.
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Disconnected(())) => self.join(),
        }
    }
}

impl Syncer {
    fn start(file: Arc<File>) -> io::Result<Self> {
        let (due, asked) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("smelt-sync".to_owned())
            .spawn(move || asked.iter().try_for_each(|()| file.sync_data()))?;
        Ok(Self { due, thread })
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.file).write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= STRIDE {
            self.due()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Disk {
    /// A file that is dropped is removed; nothing is left running.
    fn drop(&mut self) {
        let _ = self.join();
    }
}
