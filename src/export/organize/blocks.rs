//! Writes blocks to files: a header, the patient, what belongs to it, what that refers to (F-20 to F-22).

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read as _};

use super::super::ExportError;
use super::super::shelf::Filled;
use super::Target;
use super::context::{Context, Found};
use super::spool::Kind;
use crate::bulk::report::BLOCKS;
use crate::encode::references_read;
use crate::sink::{Sink, SinkFile as _};

/// What belongs to one patient, in the order of its block. It is read once or twice.
pub(super) trait Resources {
    /// Hands over the length and the bytes of each resource.
    fn each(&self, take: &mut dyn FnMut(u64, &mut dyn BufRead) -> Result<(), ExportError>) -> Result<(), ExportError>;
}

/// The files that one worker fills.
pub(super) struct Blocks<'a, S: Sink> {
    target: &'a Target<'a, S>,
    kinds: &'a [Kind],
    context: Option<&'a Context>,
    open: Option<Open<S::File>>,
    whole: Vec<Filled<S::File>>,
    /// How often context was written, by kind.
    copies: Vec<u64>,
    buffer: Vec<u8>,
}

/// What one worker has filled.
pub(super) struct Written<F> {
    /// All files, whole.
    pub(super) files: Vec<Filled<F>>,
    /// How often context was written, by kind.
    pub(super) copies: Vec<u64>,
}

struct Open<F> {
    file: F,
    count: u64,
    /// Resources of the block that is being written.
    of_block: u64,
}

impl<'a, S: Sink> Blocks<'a, S> {
    pub(super) fn new(target: &'a Target<'a, S>, kinds: &'a [Kind], context: Option<&'a Context>) -> Self {
        let copies = vec![0; kinds.len()];
        Self { target, kinds, context, open: None, whole: Vec::new(), copies, buffer: Vec::new() }
    }

    /// Writes the block of a patient, whose resources have `bytes`. A file that it does not fit into is ended before it;
    /// one that is larger than a file is cut between two resources (F-21).
    pub(super) fn block(&mut self, id: &[u8], bytes: u64, resources: &dyn Resources) -> Result<(), ExportError> {
        let header = header(id);
        let context = self.gather(resources)?;
        let all = header.len() as u64 + bytes + context.iter().map(|found| found.len).sum::<u64>();
        if self.open.as_ref().is_some_and(|open| open.file.raw_bytes() + all > self.target.store.largest) {
            self.close(false)?;
        }
        self.begin(&header)?;
        let mut members = 0;
        resources.each(&mut |len, reader| {
            members += 1;
            self.resource(&header, len, reader)
        })?;
        if let Some(store) = self.context {
            let mut resource = std::mem::take(&mut self.buffer);
            for found in &context {
                store.read(found, &mut resource)?;
                self.resource(&header, found.len, &mut &resource[..])?;
                store.mark(found)?;
                if let Some(copies) = self.copies.get_mut(usize::from(found.kind)) {
                    *copies += 1;
                }
            }
            self.buffer = resource;
        }
        self.target.progress.add(BLOCKS, members, 0);
        Ok(())
    }

    /// The context that the resources refer to, and that this refers to in turn, each once.
    fn gather(&mut self, resources: &dyn Resources) -> Result<Vec<Found>, ExportError> {
        let Some(store) = self.context else { return Ok(Vec::new()) };
        let mut all: Vec<Found> = Vec::new();
        let (mut seen, mut new, mut chunk) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut look = |resource: &mut dyn BufRead, all: &mut Vec<Found>| {
            references_read(resource, &mut chunk, |name, id| {
                let reference = format!("{name}/{id}");
                if store.types().contains(name) && seen.insert(reference.clone()) {
                    new.push(reference);
                }
            })?;
            for reference in new.drain(..) {
                all.extend(store.find(&reference)?);
            }
            Ok::<_, ExportError>(())
        };
        resources.each(&mut |len, reader| look(&mut reader.take(len), &mut all))?;
        let mut next = 0;
        while let Some(found) = all.get(next).copied() {
            store.read(&found, &mut self.buffer)?;
            look(&mut &self.buffer[..], &mut all)?;
            next += 1;
        }
        let rank = |found: &Found| self.kinds.get(usize::from(found.kind)).map(|kind| kind.rank);
        all.sort_by_key(rank);
        Ok(all)
    }

    /// Begins a block, or its next part, in the open file or a new one.
    fn begin(&mut self, header: &[u8]) -> Result<(), ExportError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open { file: self.target.create()?, count: 0, of_block: 0 }),
        };
        open.of_block = 0;
        Ok(open.file.write(header)?)
    }

    fn resource(&mut self, header: &[u8], len: u64, reader: &mut dyn BufRead) -> Result<(), ExportError> {
        self.target.go_on()?;
        let full = |open: &Open<S::File>| open.of_block > 0 && open.file.raw_bytes() + len > self.target.store.largest;
        if self.open.as_ref().is_some_and(full) {
            self.close(true)?;
            self.begin(header)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        copy(len, reader, &mut |bytes| Ok(open.file.write(bytes)?))?;
        open.count += 1;
        open.of_block += 1;
        Ok(())
    }

    fn close(&mut self, continues: bool) -> Result<(), ExportError> {
        if let Some(Open { mut file, count, .. }) = self.open.take() {
            file.end()?;
            // As of files of one type: one more becomes durable while the next is written.
            if let Some(before) = self.whole.last_mut() {
                before.file.seal()?;
            }
            self.whole.push(Filled { base: BLOCKS.to_owned(), continues, count, file });
        }
        Ok(())
    }

    /// Ends the last file.
    pub(super) fn end(mut self) -> Result<Written<S::File>, ExportError> {
        self.close(false)?;
        if let Some(last) = self.whole.last_mut() {
            last.file.seal()?;
        }
        Ok(Written { files: self.whole, copies: self.copies })
    }
}

/// The line that begins a block. An id has nothing that JSON escapes.
fn header(id: &[u8]) -> Vec<u8> {
    let before =
        br#"{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/"#;
    [before, id, b"\"}}]}\n"].concat()
}

/// Hands over exactly `len` bytes.
pub(super) fn copy(
    len: u64,
    reader: &mut dyn BufRead,
    take: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut left = len;
    while left > 0 {
        let bytes = reader.fill_buf()?;
        let wanted = bytes.get(..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))).unwrap_or_default();
        if wanted.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        take(wanted)?;
        let taken = wanted.len();
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}
