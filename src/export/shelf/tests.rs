//! Lines of any length, put by any number of workers in any order.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::sink::{NullSink, Scratch, SinkError, StoredFile};

/// Keeps files in memory.
#[derive(Default)]
struct MemorySink;

struct MemoryFile {
    name: String,
    bytes: Vec<u8>,
    ended: bool,
}

impl Sink for MemorySink {
    type File = MemoryFile;

    fn create(&self, name: &str, _codec: Codec) -> Result<MemoryFile, SinkError> {
        Ok(MemoryFile { name: name.to_owned(), bytes: Vec::new(), ended: false })
    }

    fn scratch(&self) -> Result<Scratch, SinkError> {
        NullSink::default().scratch()
    }

    fn finish(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl SinkFile for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        assert!(!self.ended, "{}", self.name);
        self.bytes.write_all(bytes).expect("memory");
        Ok(())
    }

    fn raw_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn end(&mut self) -> Result<(), SinkError> {
        self.ended = true;
        Ok(())
    }

    fn seal(&mut self) -> Result<(), SinkError> {
        self.end()
    }

    fn commit(self) -> Result<StoredFile, SinkError> {
        Ok(StoredFile { name: self.name, bytes: 0, raw_bytes: 0, sha256: None })
    }
}

/// A line of so many bytes; its number is in it where there is room.
fn line(number: usize, length: usize) -> Vec<u8> {
    let mut line = format!("{number:x}").into_bytes();
    line.resize(length - 1, b'.');
    line.push(b'\n');
    line
}

/// What one worker puts at a time: lengths of lines, the first of which may have been spilled.
type Chunk = (bool, Vec<usize>);

fn chunks(longest: usize) -> impl Strategy<Value = Vec<Vec<Chunk>>> {
    let chunk = (prop::bool::weighted(0.2), prop::collection::vec(8..longest, 1..8));
    prop::collection::vec(prop::collection::vec(chunk, 0..8), 1..5)
}

/// The files that workers make, each a thread with a shelf of its own or with that of all.
fn filled(workers: &[Vec<Chunk>], largest: u64, shared: bool) -> Vec<Filled<MemoryFile>> {
    let store = Store::new(&MemorySink, Codec::None, largest, usize::MAX);
    let common = Shelf::new(&store);
    let mut files: Vec<Filled<MemoryFile>> = std::thread::scope(|scope| {
        let work = |number: usize, chunks: &[Chunk]| {
            let own = Shelf::new(&store);
            let shelf = if shared { &common } else { &own };
            for (at, (spilled, lengths)) in chunks.iter().enumerate() {
                let mut lines: Vec<Vec<u8>> =
                    lengths.iter().map(|length| line(number * 1000 + at * 10, *length)).collect();
                if *spilled {
                    let first = lines.remove(0);
                    let mut spill = Spill::default();
                    spill.push(&first[..3]).expect("a temporary file");
                    shelf.put_spilled("Patient", &mut spill, &first[3..]).expect("put");
                    assert!(spill.is_empty());
                }
                shelf.put("Patient", &lines.concat(), lines.len() as u64).expect("put");
            }
            own.end().expect("an end")
        };
        let threads: Vec<_> =
            workers.iter().enumerate().map(|(number, chunks)| scope.spawn(move || work(number, chunks))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a worker")).collect()
    });
    files.extend(common.end().expect("an end"));
    files
}

proptest! {
    // K-68 F-17
    #[test]
    fn no_file_is_larger_than_it_may_be_and_nothing_is_lost(
        workers in chunks(200), largest in 1_u64..400, shared in any::<bool>(),
    ) {
        let files = filled(&workers, largest, shared);
        let mut want: Vec<usize> = workers.iter().flatten().flat_map(|(_, lengths)| lengths.clone()).collect();
        let mut got: Vec<usize> = Vec::new();
        for file in &files {
            let lines: Vec<&[u8]> = file.file.bytes.split_inclusive(|byte| *byte == b'\n').collect();
            prop_assert!(file.file.bytes.len() as u64 <= largest || lines.len() == 1);
            prop_assert_eq!(file.count, lines.len() as u64);
            prop_assert!(file.file.ended && !lines.is_empty());
            got.extend(lines.iter().map(|line| line.len()));
        }
        want.sort_unstable();
        got.sort_unstable();
        prop_assert_eq!(got, want);
        let mut names: Vec<&str> = files.iter().map(|file| file.file.name.as_str()).collect();
        names.sort_unstable();
        let counted: Vec<String> = (1..=names.len()).map(|number| format!("Patient.{number:04}.ndjson")).collect();
        prop_assert_eq!(names, counted);
    }

    // K-68: what is left of the room is less than a line, so with a smallest size that far below the largest one file alone is small.
    #[test]
    fn one_file_alone_is_small(workers in chunks(100), minimum in 1_u64..300) {
        let files = filled(&workers, minimum + 100, true);
        let small = files.iter().filter(|file| (file.file.bytes.len() as u64) < minimum).count();
        prop_assert!(small <= 1, "{small} of {}", files.len());
    }
}

#[test]
fn files_are_not_made_without_end() {
    let store = Store::new(&MemorySink, Codec::None, 1, 3);
    let shelf = Shelf::new(&store);
    let lines = line(1, 10).repeat(4);
    assert!(matches!(shelf.put("Patient", &lines, 4), Err(ExportError::TooManyFiles(3))));
}
