//! Sets of keys of any number in little memory: sorted in temporary files without a name, and asked there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes of keys that are sorted at a time.
const BUFFER: usize = 8 << 20;

/// Most files that are open at a time; so many are made into one.
const MOST_RUNS: usize = 64;

/// Keys that are read at a time when a set is asked.
const BLOCK: u64 = 256;

/// Most keys of a set that are remembered, to find the others.
const SAMPLES: usize = 1 << 16;

/// What stands for a resource: a digest of its type and id, and the number of its type.
pub(super) type Key = [u8; 16];

/// Takes keys in any order, each any number of times.
pub(super) struct Sorter<const N: usize> {
    keys: Vec<[u8; N]>,
    runs: Vec<File>,
    most: usize,
}

impl<const N: usize> Default for Sorter<N> {
    fn default() -> Self {
        Self { keys: Vec::new(), runs: Vec::new(), most: BUFFER / N }
    }
}

impl<const N: usize> Sorter<N> {
    /// Adds keys.
    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = [u8; N]>) -> io::Result<()> {
        for key in keys {
            if self.keys.len() >= self.most {
                self.make_room()?;
            }
            self.keys.push(key);
        }
        Ok(())
    }

    fn make_room(&mut self) -> io::Result<()> {
        self.order();
        // Few keys that come often never leave the memory.
        if self.keys.len() > self.most / 2 {
            self.spill()?;
            if self.runs.len() >= MOST_RUNS {
                let mut all = Sorted::<N>::new(std::mem::take(&mut self.runs), Vec::new())?;
                let mut run = BufWriter::new(tempfile::tempfile()?);
                while let Some(key) = all.next()? {
                    run.write_all(&key)?;
                }
                self.runs.push(rewound(run)?);
            }
        }
        Ok(())
    }

    fn order(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut run = BufWriter::new(tempfile::tempfile()?);
        self.keys.iter().try_for_each(|key| run.write_all(key))?;
        self.keys.clear();
        self.runs.push(rewound(run)?);
        Ok(())
    }

    /// All of them in order, each once.
    pub(super) fn sorted(mut self) -> io::Result<Sorted<N>> {
        self.order();
        Sorted::new(self.runs, self.keys)
    }
}

fn rewound(run: BufWriter<File>) -> io::Result<File> {
    let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// Keys in order of their bytes.
pub(super) struct Sorted<const N: usize> {
    files: Vec<BufReader<File>>,
    rest: std::vec::IntoIter<[u8; N]>,
    /// The next key of each file, and of the rest, which has the number of files.
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
    last: Option<[u8; N]>,
}

impl<const N: usize> Sorted<N> {
    fn new(files: Vec<File>, rest: Vec<[u8; N]>) -> io::Result<Self> {
        let files: Vec<_> = files.into_iter().map(BufReader::new).collect();
        let mut sorted = Self { files, rest: rest.into_iter(), heap: BinaryHeap::new(), last: None };
        (0..=sorted.files.len()).try_for_each(|run| sorted.advance(run))?;
        Ok(sorted)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        let next = match self.files.get_mut(run) {
            Some(file) => {
                let mut key = [0; N];
                let more = !file.fill_buf()?.is_empty();
                if more {
                    file.read_exact(&mut key)?;
                }
                more.then_some(key)
            }
            None => self.rest.next(),
        };
        self.heap.extend(next.map(|key| Reverse((key, run))));
        Ok(())
    }

    /// The next key.
    pub(super) fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        while let Some(Reverse((key, run))) = self.heap.pop() {
            self.advance(run)?;
            if self.last != Some(key) {
                self.last = Some(key);
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

/// Keys in a file; any number of threads may ask for one at a time.
#[derive(Debug)]
pub(super) struct KeySet {
    file: File,
    len: u64,
    /// Every so many-th key.
    samples: Vec<Key>,
    every: u64,
}

impl KeySet {
    /// Keeps those of `keys` that are wanted.
    pub(super) fn new(keys: &mut Sorted<16>, mut wanted: impl FnMut(&Key) -> io::Result<bool>) -> io::Result<Self> {
        let mut file = BufWriter::new(tempfile::tempfile()?);
        let (mut len, mut samples, mut every) = (0, Vec::new(), BLOCK);
        while let Some(key) = keys.next()? {
            if !wanted(&key)? {
                continue;
            }
            if len % every == 0 {
                if samples.len() == SAMPLES {
                    samples = samples.into_iter().step_by(2).collect();
                    every *= 2;
                }
                if len % every == 0 {
                    samples.push(key);
                }
            }
            file.write_all(&key)?;
            len += 1;
        }
        Ok(Self { file: rewound(file)?, len, samples, every })
    }

    /// All keys of several sets, which nobody asks meanwhile.
    pub(super) fn union(sets: &[Arc<Self>]) -> io::Result<Self> {
        let file = |set: &Arc<Self>| {
            let mut file = set.file.try_clone()?;
            file.rewind()?;
            Ok(file)
        };
        let files = sets.iter().map(file).collect::<io::Result<_>>()?;
        Self::new(&mut Sorted::new(files, Vec::new())?, |_| Ok(true))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether a key is in it.
    pub(super) fn contains(&self, key: &Key) -> io::Result<bool> {
        let Some(sample) = self.samples.partition_point(|sample| sample <= key).checked_sub(1) else {
            return Ok(false);
        };
        let mut from = sample as u64 * self.every;
        let mut to = (from + self.every).min(self.len);
        while to - from > BLOCK {
            let middle = from + (to - from) / 2;
            let mut found = [0; 16];
            self.file.read_exact_at(&mut found, middle * 16)?;
            if found <= *key { from = middle } else { to = middle }
        }
        let mut block = [0; BLOCK as usize * 16];
        let block = block.get_mut(..(to - from) as usize * 16).unwrap_or_default();
        self.file.read_exact_at(block, from * 16)?;
        let (keys, _) = block.as_chunks::<16>();
        Ok(keys.binary_search(key).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        key[12..].copy_from_slice(&number.to_be_bytes());
        key
    }

    proptest! {
        #[test]
        fn keys_come_in_order_and_once(numbers in prop::collection::vec(0u32..300, 0..2000), most in 1usize..64) {
            let mut sorter = Sorter::<16> { most, ..Sorter::default() };
            sorter.extend(numbers.iter().copied().map(key)).unwrap();
            prop_assert!(sorter.runs.len() <= MOST_RUNS && sorter.keys.len() <= most);
            let mut sorted = sorter.sorted().unwrap();
            let mut found = Vec::new();
            while let Some(key) = sorted.next().unwrap() {
                found.push(key);
            }
            let want: BTreeSet<Key> = numbers.into_iter().map(key).collect();
            prop_assert_eq!(found, Vec::from_iter(want));
        }
    }

    #[test]
    fn a_set_knows_its_keys() {
        for count in [0, 1, 255, 256, 257, 70_000] {
            let mut sorter = Sorter::<16>::default();
            sorter.extend((0..count * 2).map(key)).unwrap();
            let even = |key: &Key| Ok(key[15].is_multiple_of(2));
            let set = KeySet::new(&mut sorter.sorted().unwrap(), even).unwrap();
            assert_eq!(set.len(), u64::from(count));
            for number in (0..count * 2 + 100).step_by(count as usize / 300 + 1) {
                let there = number % 2 == 0 && number < count * 2;
                assert_eq!(set.contains(&key(number)).unwrap(), there, "{number} of {count}");
            }
        }
    }

    #[test]
    fn sets_are_joined() {
        let of = |numbers: std::ops::Range<u32>| {
            let mut sorter = Sorter::<16>::default();
            sorter.extend(numbers.map(key)).unwrap();
            Arc::new(KeySet::new(&mut sorter.sorted().unwrap(), |_| Ok(true)).unwrap())
        };
        let all = KeySet::union(&[of(0..10), of(5..700), of(0..0)]).unwrap();
        assert_eq!(all.len(), 700);
        assert!(all.contains(&key(699)).unwrap() && !all.contains(&key(700)).unwrap());
    }

    #[test]
    fn samples_are_bounded_and_still_find() {
        let count = SAMPLES as u32 * BLOCK as u32 + 1000;
        let mut keys = Sorted { files: Vec::new(), rest: Vec::new().into_iter(), heap: BinaryHeap::new(), last: None };
        let mut all: Vec<Key> = (0..count).map(|number| u128::from(number * 2).to_be_bytes()).collect();
        all.sort_unstable();
        keys.rest = all.into_iter();
        keys.advance(0).unwrap();
        let set = KeySet::new(&mut keys, |_| Ok(true)).unwrap();
        assert!(set.samples.len() <= SAMPLES && set.every == BLOCK * 2);
        for number in (0..count * 2 + 50).step_by(9_973) {
            let found = set.contains(&u128::from(number).to_be_bytes()).unwrap();
            assert_eq!(found, number % 2 == 0 && number < count * 2, "{number}");
        }
    }
}
