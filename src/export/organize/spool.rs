//! Resources that are set aside: partitions of records, in memory while they are small, else in files of their own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::plan::Part;
use super::{Place, SIZES, Sizes};
use crate::bulk::manifest::type_rank;
use crate::sink::{Scratch, Sink, SinkError};

/// Bytes of a resource that are expected where nothing is known but rows.
const EXPECTED: u64 = 1024;

/// What is known of the resources of one mapping; its position is that of the mapping's tally.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) resource_type: String,
    /// Where its type stands in a block.
    pub(super) rank: u16,
    /// It stands in blocks that refer to it.
    pub(super) context: bool,
}

/// Everything that is set aside while rows are read. Workers share it.
#[derive(Debug)]
pub(in super::super) struct Spool {
    pub(super) kinds: Vec<Kind>,
    pub(super) partitions: Vec<Mutex<Partition>>,
    /// The context: records with the id of the resource and the position of its kind.
    pub(super) context: Mutex<Partition>,
    /// Resources that belong to no patient, by kind.
    pub(super) nobodys: Vec<AtomicU64>,
    pub(super) sizes: Sizes,
}

impl Spool {
    /// An empty one for these parts; none when output is not organized.
    pub(in super::super) fn of(parts: &[Part<'_>]) -> Option<Self> {
        let places: Vec<_> = parts.iter().filter_map(|part| Some((part.place.as_ref()?, part))).collect();
        if places.is_empty() {
            return None;
        }
        let kinds =
            places.iter().map(|(place, part)| (part.mapping.resource_type.clone(), matches!(place, Place::Context(_))));
        let rows = places.iter().filter(|(place, _)| matches!(place, Place::Block(_))).map(|(_, part)| part.estimate);
        Some(Self::new(&kinds.collect::<Vec<_>>(), rows.sum::<u64>().saturating_mul(EXPECTED), SIZES))
    }

    /// For resources of these types (context or not) and about so many bytes.
    pub(super) fn new(types: &[(String, bool)], bytes: u64, sizes: Sizes) -> Self {
        let mut order: Vec<&String> = types.iter().map(|(name, _)| name).collect();
        order.sort_by_key(|name| (type_rank(name), *name));
        order.dedup();
        let rank = |name: &String| order.iter().position(|known| *known == name).unwrap_or_default() as u16;
        let kinds = types
            .iter()
            .map(|(name, context)| Kind { resource_type: name.clone(), rank: rank(name), context: *context })
            .collect();
        // Half full on average, since an estimate may be wrong and hashes are not even.
        let count = (bytes.saturating_mul(2) / sizes.sorted.max(1)).clamp(1, sizes.most);
        Self {
            kinds,
            partitions: (0..count).map(|_| Mutex::default()).collect(),
            context: Mutex::default(),
            nobodys: types.iter().map(|_| AtomicU64::new(0)).collect(),
            sizes,
        }
    }

    /// The partition for the next resource of a kind, with the head of its record: `len` bytes must follow, by
    /// [`Partition::append`]. `None` when it belongs to nobody, which is counted.
    pub(super) fn record<S: Sink>(
        &self,
        sink: &S,
        kind: usize,
        id: Option<&[u8]>,
        len: u64,
    ) -> Result<Option<MutexGuard<'_, Partition>>, SinkError> {
        let Some(Kind { rank, context, .. }) = self.kinds.get(kind) else { return Ok(None) };
        let Some(id) = id else {
            if let Some(count) = self.nobodys.get(kind) {
                count.fetch_add(1, Relaxed);
            }
            return Ok(None);
        };
        let (partition, number) = if *context {
            (&self.context, kind as u16)
        } else {
            let at = part_of(id, 0, self.partitions.len() as u64);
            match self.partitions.get(at) {
                Some(partition) => (partition, *rank),
                None => return Ok(None),
            }
        };
        let mut partition = partition.lock().unwrap_or_else(PoisonError::into_inner);
        partition.begin(sink, self.sizes.gathered, id, number, len)?;
        Ok(Some(partition))
    }
}

/// Which of `count` partitions an id belongs to; another one for each `depth`.
pub(super) fn part_of(id: &[u8], depth: u32, count: u64) -> usize {
    let mut hasher = DefaultHasher::new();
    (depth, id).hash(&mut hasher);
    (hasher.finish() % count.max(1)) as usize
}

/// What stands before a resource that is set aside.
#[derive(Debug)]
pub(super) struct Head {
    /// A resource id, so at most 64 bytes.
    pub(super) id: Vec<u8>,
    /// The rank of its type, or the position of its kind.
    pub(super) number: u16,
    /// Bytes of the resource.
    pub(super) len: u64,
}

/// Bytes of a head without its id.
const HEAD: usize = 11;

impl Head {
    pub(super) fn bytes(&self) -> u64 {
        (HEAD + self.id.len()) as u64
    }

    /// Reads the next head; the resource follows. `None` at the end.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        if from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let ([mut id_len], mut number, mut len) = ([0; 1], [0; 2], [0; 8]);
        from.read_exact(std::slice::from_mut(&mut id_len))?;
        from.read_exact(&mut number)?;
        from.read_exact(&mut len)?;
        let mut id = vec![0; id_len.into()];
        from.read_exact(&mut id)?;
        Ok(Some(Self { id, number: u16::from_le_bytes(number), len: u64::from_le_bytes(len) }))
    }
}

/// Records in the order they came.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The last ones, or all while they are few.
    gathered: Vec<u8>,
    file: Option<Scratch>,
    most: usize,
    bytes: u64,
    records: u64,
    /// The id of the first record, and whether another has a different one.
    first: Vec<u8>,
    mixed: bool,
}

impl Partition {
    /// Begins a record; `len` bytes of its resource are appended next. Of all records `most` bytes stay in memory.
    pub(super) fn begin<S: Sink>(
        &mut self,
        sink: &S,
        most: usize,
        id: &[u8],
        number: u16,
        len: u64,
    ) -> Result<(), SinkError> {
        self.most = most;
        if self.records == 0 {
            self.first = id.to_vec();
        } else if !self.mixed {
            self.mixed = self.first != id;
        }
        self.records += 1;
        for part in [&[id.len() as u8][..], &number.to_le_bytes(), &len.to_le_bytes(), id] {
            self.append(sink, part)?;
        }
        Ok(())
    }

    /// Appends bytes of the resource that was begun.
    pub(super) fn append<S: Sink>(&mut self, sink: &S, bytes: &[u8]) -> Result<(), SinkError> {
        self.bytes += bytes.len() as u64;
        if self.gathered.len() + bytes.len() <= self.most {
            self.gathered.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(sink.scratch()?),
        };
        file.append(&self.gathered)?;
        self.gathered.clear();
        if bytes.len() < self.most {
            self.gathered.extend_from_slice(bytes);
            return Ok(());
        }
        file.append(bytes)
    }

    /// Bytes of its records.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many records it has.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// True when its records have more than one id.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// The id of its first record.
    pub(super) fn id(&self) -> &[u8] {
        &self.first
    }

    /// Bytes of the resources in it, where all have one id.
    pub(super) fn resource_bytes(&self) -> u64 {
        self.bytes - self.records * (HEAD + self.first.len()) as u64
    }

    /// All its bytes.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut all = vec![0; self.bytes as usize];
        self.read_at(&mut all, 0)?;
        Ok(all)
    }

    /// Fills `buffer` with its bytes at a place.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let in_file = self.file.as_ref().map_or(0, Scratch::bytes);
        let of_file = usize::try_from(in_file.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let (front, back) = buffer.split_at_mut(of_file);
        if let Some(file) = self.file.as_ref().filter(|_| !front.is_empty()) {
            file.read_at(front, at).map_err(io::Error::other)?;
        }
        let start = usize::try_from((at + front.len() as u64).saturating_sub(in_file)).unwrap_or(usize::MAX);
        let found = self.gathered.get(start..).and_then(|rest| rest.get(..back.len()));
        back.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Reads `len` bytes from a place on.
    pub(super) fn reader(&self, at: u64, len: u64) -> impl BufRead + '_ {
        let end = (at + len).min(self.bytes);
        BufReader::with_capacity(64 << 10, Reader { partition: self, at, end })
    }

    /// Reads all of it.
    pub(super) fn reader_of_all(&self) -> impl BufRead + '_ {
        self.reader(0, self.bytes)
    }
}

struct Reader<'a> {
    partition: &'a Partition,
    at: u64,
    end: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(wanted) = buffer.get_mut(..len) else { return Ok(0) };
        self.partition.read_at(wanted, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}
