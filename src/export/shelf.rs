//! The files that workers fill: one open per type, none larger than it may be (F-17, K-68).
//!
//! A worker has a shelf of its own. Where files have a smallest size all workers share one: then a type has one file
//! that may stay below it, the one that is open at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ExportError;
use super::listing::{Listing, OUTCOMES};
use super::spill::Spill;
use crate::sink::{Codec, Sink, SinkFile};

/// Base name of files with deletions, whatever type they are of.
pub(super) const DELETED: &str = "deleted";

/// Where files come from.
pub(super) struct Store<'a, S> {
    pub(super) sink: &'a S,
    codec: Codec,
    /// Bytes that a file may have, unless it is one resource.
    pub(super) largest: u64,
    /// How many files there may be.
    most: usize,
    /// Where whole files go while the export goes on.
    early: Option<&'a Mutex<Listing>>,
    /// Files made so far, by base name.
    made: Mutex<HashMap<String, usize>>,
}

impl<'a, S: Sink> Store<'a, S> {
    pub(super) fn new(sink: &'a S, codec: Codec, largest: u64, most: usize) -> Self {
        Self { sink, codec, largest, most, early: None, made: Mutex::default() }
    }

    /// Lists resources as soon as a file of them is whole.
    pub(super) fn early(self, listing: &'a Mutex<Listing>) -> Self {
        Self { early: Some(listing), ..self }
    }

    /// A new file of this base name, with its next number.
    pub(super) fn create(&self, base: &str) -> Result<S::File, ExportError> {
        let number = {
            let mut made = lock(&self.made);
            if made.values().sum::<usize>() >= self.most {
                return Err(ExportError::TooManyFiles(self.most));
            }
            let number = made.entry(base.to_owned()).or_default();
            *number += 1;
            *number
        };
        Ok(self.sink.create(&format!("{base}.{number:04}.ndjson"), self.codec)?)
    }
}

/// A file being filled, or a whole one.
pub(super) struct Filled<F> {
    /// The type of its resources, [`DELETED`], or [`BLOCKS`](crate::bulk::report::BLOCKS).
    pub(super) base: String,
    /// Its last block goes on in the file that follows it.
    pub(super) continues: bool,
    /// Lines in it.
    pub(super) count: u64,
    pub(super) file: F,
}

type Slot<F> = Arc<Mutex<Option<Filled<F>>>>;

/// Open files by base name, and those that are whole: durable, but for the last, and not yet visible.
pub(super) struct Shelf<'a, S: Sink> {
    store: &'a Store<'a, S>,
    open: Mutex<HashMap<String, Slot<S::File>>>,
    whole: Mutex<Vec<Filled<S::File>>>,
}

impl<'a, S: Sink> Shelf<'a, S> {
    /// An empty one.
    pub(super) fn new(store: &'a Store<'a, S>) -> Self {
        Self { store, open: Mutex::default(), whole: Mutex::default() }
    }

    /// Writes whole lines.
    pub(super) fn put(&self, base: &str, mut lines: &[u8], mut count: u64) -> Result<(), ExportError> {
        let slot = self.slot(base);
        let mut slot = lock(&slot);
        while count > 0 {
            let (fit, rest) = lines.split_at(self.fitting(slot.as_ref(), lines));
            let written = if rest.is_empty() { count } else { newlines(fit) };
            if written > 0 {
                let open = self.filled(&mut slot, base)?;
                open.file.write(fit)?;
                open.count += written;
                (lines, count) = (rest, count - written);
                continue;
            }
            let (line, rest) = lines.split_at(first_line(lines));
            self.line(&mut slot, base, line.len() as u64, |file| Ok(file.write(line)?))?;
            (lines, count) = (rest, count - 1);
        }
        Ok(())
    }

    /// Writes one line that begins in a spill, which is empty then, and has its end here.
    pub(super) fn put_spilled(&self, base: &str, spill: &mut Spill, end: &[u8]) -> Result<(), ExportError> {
        let slot = self.slot(base);
        let length = spill.len() + end.len() as u64;
        self.line(&mut lock(&slot), base, length, |file| {
            spill.drain::<ExportError>(|bytes| Ok(file.write(bytes)?))?;
            Ok(file.write(end)?)
        })
    }

    /// Ends the file of a type of which no more comes.
    pub(super) fn finish(&self, base: &str) -> Result<(), ExportError> {
        let open = lock(&self.slot(base)).take();
        open.map_or(Ok(()), |open| self.close(open))
    }

    /// Ends every file; all that are whole and not listed.
    pub(super) fn end(&self) -> Result<Vec<Filled<S::File>>, ExportError> {
        let open: Vec<Slot<S::File>> = lock(&self.open).drain().map(|(_, slot)| slot).collect();
        for slot in open {
            if let Some(open) = lock(&slot).take() {
                self.close(open)?;
            }
        }
        let mut whole = std::mem::take(&mut *lock(&self.whole));
        if let Some(last) = whole.last_mut() {
            last.file.seal()?;
        }
        Ok(whole)
    }

    fn slot(&self, base: &str) -> Slot<S::File> {
        let mut open = lock(&self.open);
        match open.get(base) {
            Some(slot) => Arc::clone(slot),
            None => Arc::clone(open.entry(base.to_owned()).or_default()),
        }
    }

    /// Bytes of the whole lines that the open file, or a new one, has room for.
    fn fitting(&self, open: Option<&Filled<S::File>>, lines: &[u8]) -> usize {
        let room = self.store.largest.saturating_sub(open.map_or(0, |open| open.file.raw_bytes()));
        match lines.get(..usize::try_from(room).unwrap_or(usize::MAX)) {
            Some(fit) if fit.len() < lines.len() => fit.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
            _ => lines.len(),
        }
    }

    /// Writes one line where there is room for it: in a file of its own if it is larger than a file may be. The open
    /// file goes on after that one, so that it does not stay small.
    fn line(
        &self,
        slot: &mut Option<Filled<S::File>>,
        base: &str,
        length: u64,
        write: impl FnOnce(&mut S::File) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let largest = self.store.largest;
        if length > largest {
            let mut alone =
                Filled { base: base.to_owned(), continues: false, count: 1, file: self.store.create(base)? };
            write(&mut alone.file)?;
            return self.close(alone);
        }
        if let Some(full) = slot.take_if(|open| open.file.raw_bytes() + length > largest) {
            self.close(full)?;
        }
        let open = self.filled(slot, base)?;
        write(&mut open.file)?;
        open.count += 1;
        Ok(())
    }

    fn filled<'s>(
        &self,
        slot: &'s mut Option<Filled<S::File>>,
        base: &str,
    ) -> Result<&'s mut Filled<S::File>, ExportError> {
        match slot {
            Some(open) => Ok(open),
            None => Ok(slot.insert(Filled {
                base: base.to_owned(),
                continues: false,
                count: 0,
                file: self.store.create(base)?,
            })),
        }
    }

    fn close(&self, mut full: Filled<S::File>) -> Result<(), ExportError> {
        if let Some(listing) = self.store.early.filter(|_| ![DELETED, OUTCOMES].contains(&full.base.as_str())) {
            full.file.seal()?;
            let mut listing = lock(listing);
            listing.add(full)?;
            listing.publish();
            return Ok(());
        }
        full.file.end()?;
        let mut whole = lock(&self.whole);
        // While it becomes durable the next one is written; more than one behind would be memory without bound.
        if let Some(before) = whole.last_mut() {
            before.file.seal()?;
        }
        whole.push(full);
        Ok(())
    }
}

fn newlines(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// Length of the first line.
fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
