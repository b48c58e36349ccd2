//! Partitions become blocks.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use super::super::ExportError;
use super::super::phase::first_failure;
use super::super::shelf::Filled;
use super::blocks::{Blocks, Resources};
use super::context::Context;
use super::spool::{Head, Partition, Spool, part_of};
use super::{Sizes, Target};
use crate::bulk::report::BLOCKS;
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use crate::sink::Sink;

/// What an organized export has made.
pub(in super::super) struct Made<F> {
    /// Files of blocks. One that continues stands right before the one it continues in.
    pub(in super::super) files: Vec<Filled<F>>,
    /// By part: resources that no block refers to, and copies beyond the first.
    pub(in super::super) context: Vec<(u64, u64)>,
    /// What was left out.
    pub(in super::super) told: Vec<OperationOutcome>,
}

/// Writes the blocks of everything that was set aside. Blocks; `workers` threads share the work.
pub(in super::super) fn write<S: Sink>(
    target: &Target<'_, S>,
    spool: Spool,
    workers: usize,
) -> Result<Made<S::File>, ExportError> {
    let Spool { kinds, partitions, context, nobodys, sizes } = spool;
    let context = context.into_inner().unwrap_or_else(PoisonError::into_inner);
    let context = Context::new(context, &kinds, target)?;
    let partitions: Vec<Partition> = partitions
        .into_iter()
        .map(|partition| partition.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect();
    let left = Mutex::new(partitions.into_iter());
    let work = || -> Result<_, ExportError> {
        let mut blocks = Blocks::new(target, &kinds, context.as_ref());
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(partition) = next else { return blocks.end() };
            partition_to_blocks(target, sizes, partition, &mut blocks)?;
        }
    };
    let done: Vec<Result<_, ExportError>> = std::thread::scope(|scope| {
        let spawn = |number: usize| {
            let work = || work().inspect_err(|_| target.cancel.cancel());
            std::thread::Builder::new().name(format!("smelt-blocks-{number}")).spawn_scoped(scope, work)
        };
        let threads: Vec<_> = (0..workers.max(1)).map(spawn).collect();
        let join = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| match thread {
            Ok(thread) => thread.join().unwrap_or(Err(ExportError::WorkerDied)),
            Err(error) => Err(ExportError::Runtime(error)),
        };
        threads.into_iter().map(join).collect()
    });
    let mut made = Made { files: Vec::new(), context: vec![(0, 0); kinds.len()], told: Vec::new() };
    let mut copies = vec![0; kinds.len()];
    for filled in first_failure(done)? {
        made.files.extend(filled.files);
        copies.iter_mut().zip(filled.copies).for_each(|(sum, count)| *sum += count);
    }
    let unused = context.as_ref().map_or_else(|| Ok(vec![0; kinds.len()]), |context| context.unused(kinds.len()))?;
    let mut omitted: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (number, kind) in kinds.iter().enumerate() {
        let of = |counts: &Vec<u64>| counts.get(number).copied().unwrap_or_default();
        let nobodys = nobodys.get(number).map_or(0, |count| count.load(Relaxed));
        let (alone, all) = omitted.entry(&kind.resource_type).or_default();
        *alone += of(&unused);
        *all += nobodys;
        if let Some(context) = made.context.get_mut(number) {
            *context = (of(&unused), of(&copies));
        }
    }
    made.told = omitted.into_iter().flat_map(|(kind, counts)| told(kind, counts)).collect();
    target.progress.finish(BLOCKS);
    Ok(made)
}

/// Says what of a type stands in no block: resources that none refers to, and resources without a patient.
fn told(kind: &str, (alone, nobodys): (u64, u64)) -> Vec<OperationOutcome> {
    let one = |count: u64, severity, why: &str| {
        let resources = if count == 1 { "resource was" } else { "resources were" };
        let text = format!("{count} {kind} {resources} left out: {why}");
        (count > 0).then(|| OperationOutcome::new(Issue::new(severity, IssueType::Incomplete).details(text)))
    };
    let alone = one(alone, Severity::Information, "not referred to in any patient's block");
    let nobodys = one(nobodys, Severity::Warning, "without a patient, in whose block to stand");
    alone.into_iter().chain(nobodys).collect()
}

/// Writes the blocks of one partition. What is too large to be sorted is partitioned again, down to single patients, and
/// those by type.
fn partition_to_blocks<S: Sink>(
    target: &Target<'_, S>,
    sizes: Sizes,
    partition: Partition,
    blocks: &mut Blocks<'_, S>,
) -> Result<(), ExportError> {
    let mut left = vec![(partition, 0)];
    while let Some((partition, depth)) = left.pop() {
        if partition.bytes() <= sizes.sorted {
            sorted(&partition.read()?, blocks)?;
        } else if partition.is_mixed() {
            let count = (partition.bytes() / sizes.sorted.max(1)).saturating_mul(2).clamp(8, 32);
            let parts = divide(target, sizes, &partition, |head| part_of(&head.id, depth + 1, count) as u16)?;
            left.extend(parts.into_values().map(|part| (part, depth + 1)));
        } else {
            let parts = divide(target, sizes, &partition, |head| head.number)?;
            let (id, bytes) = (partition.id().to_vec(), partition.resource_bytes());
            drop(partition);
            blocks.block(&id, bytes, &ByType(parts))?;
        }
    }
    Ok(())
}

/// Divides a partition, keeping the order of its records.
fn divide<S: Sink>(
    target: &Target<'_, S>,
    sizes: Sizes,
    partition: &Partition,
    which: impl Fn(&Head) -> u16,
) -> Result<BTreeMap<u16, Partition>, ExportError> {
    let mut parts: BTreeMap<u16, Partition> = BTreeMap::new();
    let mut reader = partition.reader_of_all();
    while let Some(head) = Head::read(&mut reader)? {
        target.go_on()?;
        let part = parts.entry(which(&head)).or_default();
        part.begin(target.store.sink, sizes.gathered, &head.id, head.number, head.len)?;
        super::blocks::copy(head.len, &mut reader, &mut |bytes| Ok(part.append(target.store.sink, bytes)?))?;
    }
    Ok(parts)
}

/// A record in memory.
struct Record<'a> {
    id: &'a [u8],
    rank: u16,
    resource: &'a [u8],
}

/// Sorts records and writes the blocks they make.
fn sorted<S: Sink>(all: &[u8], blocks: &mut Blocks<'_, S>) -> Result<(), ExportError> {
    let mut records = Vec::new();
    let mut rest = all;
    while let Some(head) = Head::read(&mut rest)? {
        let from = all.len() - rest.len();
        let (Some(resource), Some(id)) = (rest.get(..head.len as usize), all.get(from - head.id.len()..from)) else {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        };
        records.push(Record { id, rank: head.number, resource });
        rest = rest.get(resource.len()..).unwrap_or_default();
    }
    // Stable: resources of one type stay in the order they came.
    records.sort_by(|left, right| (left.id, left.rank).cmp(&(right.id, right.rank)));
    for of_patient in records.chunk_by(|left, right| left.id == right.id) {
        let Some(first) = of_patient.first() else { continue };
        let bytes = of_patient.iter().map(|record| record.resource.len() as u64).sum();
        blocks.block(first.id, bytes, &InMemory(of_patient))?;
    }
    Ok(())
}

struct InMemory<'a>(&'a [Record<'a>]);

impl Resources for InMemory<'_> {
    fn each(&self, take: &mut dyn FnMut(u64, &mut dyn BufRead) -> Result<(), ExportError>) -> Result<(), ExportError> {
        self.0.iter().try_for_each(|record| take(record.resource.len() as u64, &mut &record.resource[..]))
    }
}

/// The resources of a patient with too many of them to be sorted in memory.
struct ByType(BTreeMap<u16, Partition>);

impl Resources for ByType {
    fn each(&self, take: &mut dyn FnMut(u64, &mut dyn BufRead) -> Result<(), ExportError>) -> Result<(), ExportError> {
        for partition in self.0.values() {
            let mut reader = partition.reader_of_all();
            while let Some(head) = Head::read(&mut reader)? {
                take(head.len, &mut (&mut reader).take(head.len))?;
            }
        }
        Ok(())
    }
}
