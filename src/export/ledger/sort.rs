//! Sorts any number of ids in little memory: full buffers are sorted and written to unnamed temporary files, which are
//! then read side by side.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Seek as _};

/// Bytes of ids and their places that are sorted at a time.
const BUFFER: usize = 8 << 20;

/// Bytes of a place.
const SPAN: usize = size_of::<(u32, u32)>();

/// Bytes that may stay in memory once all are known.
const SMALL: usize = 64 << 10;

/// Files that may stay open then.
const WAITING_RUNS: usize = 8;

/// Most files that are open at a time; so many are made into one.
const MOST_RUNS: usize = 64;

/// Takes ids in any order.
pub(super) struct Sorter {
    bytes: Vec<u8>,
    /// Where each id of `bytes` begins and ends.
    spans: Vec<(u32, u32)>,
    runs: Vec<File>,
    buffer: usize,
}

impl Default for Sorter {
    fn default() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new(), runs: Vec::new(), buffer: BUFFER }
    }
}

impl Sorter {
    #[cfg(test)]
    pub(super) fn with_buffer(buffer: usize) -> Self {
        Self { buffer, ..Self::default() }
    }

    /// Adds an id, which has no line break.
    pub(super) fn add(&mut self, id: &[u8]) -> io::Result<()> {
        if !self.spans.is_empty() && self.bytes.len() + self.spans.len() * SPAN + id.len() > self.buffer {
            self.spill()?;
            if self.runs.len() >= MOST_RUNS {
                self.join()?;
            }
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(id);
        self.spans.push((start, self.bytes.len() as u32));
        Ok(())
    }

    /// Moves what is in memory to a file.
    fn spill(&mut self) -> io::Result<()> {
        let mut run = BufWriter::new(tempfile::tempfile()?);
        self.in_order().try_for_each(|id| line(&mut run, id))?;
        self.runs.push(rewound(run)?);
        self.bytes.clear();
        self.spans.clear();
        Ok(())
    }

    /// Makes one file of all.
    fn join(&mut self) -> io::Result<()> {
        let mut all = Sorted::new(std::mem::take(&mut self.runs), Vec::new())?;
        let mut run = BufWriter::new(tempfile::tempfile()?);
        while let Some(id) = all.next()? {
            line(&mut run, &id)?;
        }
        self.runs.push(rewound(run)?);
        Ok(())
    }

    fn in_order(&mut self) -> impl Iterator<Item = &[u8]> {
        let bytes = &self.bytes;
        let of = |(start, end): &(u32, u32)| bytes.get(*start as usize..*end as usize).unwrap_or_default();
        self.spans.sort_unstable_by(|left, right| of(left).cmp(of(right)));
        self.spans.iter().map(of)
    }

    /// All of them in order, each once.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        // Those of many mappings wait side by side, without memory and with few files.
        if self.bytes.len() > SMALL {
            self.spill()?;
        }
        if self.runs.len() > WAITING_RUNS {
            self.join()?;
        }
        let mut last = Vec::with_capacity(self.bytes.len() + self.spans.len());
        self.in_order().try_for_each(|id| line(&mut last, id))?;
        Sorted::new(self.runs, last)
    }
}

fn line(to: &mut impl io::Write, id: &[u8]) -> io::Result<()> {
    to.write_all(id)?;
    to.write_all(b"\n")
}

fn rewound(run: BufWriter<File>) -> io::Result<File> {
    let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

type Run = Box<dyn BufRead + Send>;

/// Ids in order of their bytes.
pub(super) struct Sorted {
    runs: Vec<Run>,
    /// The next id of each run.
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    last: Option<Vec<u8>>,
}

impl Sorted {
    fn new(files: Vec<File>, last: Vec<u8>) -> io::Result<Self> {
        let mut runs: Vec<Run> = files.into_iter().map(|file| Box::new(BufReader::new(file)) as Run).collect();
        runs.push(Box::new(Cursor::new(last)));
        let mut sorted = Self { runs, heap: BinaryHeap::new(), last: None };
        (0..sorted.runs.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let Some(reader) = self.runs.get_mut(run) else { return Ok(()) };
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? > 0 {
            line.pop();
            self.heap.push(Reverse((line, run)));
        }
        Ok(())
    }

    /// The next id.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while let Some(Reverse((id, run))) = self.heap.pop() {
            self.advance(run)?;
            if self.last.as_ref() != Some(&id) {
                self.last = Some(id.clone());
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}
