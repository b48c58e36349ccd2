//! What a worker does with resources of an organized export: each is set aside for its patient.

use std::io::{BufRead, BufReader, Read as _};

use super::super::ExportError;
use super::super::failures::Tally;
use super::super::sift::{CLOSE, mark};
use super::super::spill::Spill;
use super::super::worker::{Shared, Task};
use super::Spool;
use crate::encode::{Encoder, Output};
use crate::fhir::id::is_id;
use crate::sink::Sink;

/// Moves what the encoder has made to the partitions, and what is open and large to the spill. The memory of `buffer`
/// takes turns with the output's.
#[expect(clippy::too_many_arguments, reason = "the state of one worker and one task")]
pub(in super::super) fn take<S: Sink>(
    shared: &Shared<'_, S>,
    spool: &Spool,
    task: &Task,
    encoder: &mut Encoder,
    output: &mut Output,
    tally: &mut Tally,
    spill: &mut Spill,
    buffer: &mut Vec<u8>,
) -> Result<(), ExportError> {
    let report = encoder.report();
    let mut begun = spill.follow(output)?;
    let settled = output.take_settled(std::mem::take(buffer));
    let mut written = 0;
    for line in settled.bytes.split_inclusive(|byte| *byte == b'\n') {
        let len = begun + line.len() as u64;
        // Only the first may have its beginning in the spill.
        let kept = if begun > 0 {
            begun = 0;
            let kept = put_spilled(shared, spool, task, len, spill, line)?;
            spill.cut(0)?;
            kept
        } else {
            let (prefix, resource) = line.split_at(prefix_len(line));
            let wanted = task.only.as_ref().is_none_or(|only| only.wants(resource));
            match mark(resource)? {
                _ if !wanted => None,
                None => put(shared, spool, task, prefix, len, resource)?,
                Some(at) => put(shared, spool, task, prefix, cut_len(prefix, at), cut(resource, at))?,
            }
        };
        match kept {
            Some(bytes) => written += bytes,
            None => tally.filtered += 1,
        }
    }
    *buffer = settled.bytes;
    spill.relieve(output, shared.chunk_bytes, buffer)?;
    shared.progress.add(&task.compiled.program.resource_type, report.rows_read, written);
    tally.counts.merge(report);
    Ok(())
}

/// Bytes up to the tab that stands before a resource.
fn prefix_len(line: &[u8]) -> usize {
    line.iter().position(|byte| *byte == b'\t').map_or(0, |at| at + 1)
}

/// Sets a resource aside whose beginning is in the spill, and whose end is `rest`, if it is wanted. See [`put`].
fn put_spilled<S: Sink>(
    shared: &Shared<'_, S>,
    spool: &Spool,
    task: &Task,
    len: u64,
    spill: &mut Spill,
    rest: &[u8],
) -> Result<Option<u64>, ExportError> {
    let mut prefix = Vec::new();
    if let Some(only) = &task.only {
        let mut resource = BufReader::new(spill.reader()?.chain(rest));
        resource.read_until(b'\t', &mut prefix)?;
        if !only.wants(resource) {
            return Ok(None);
        }
        prefix.clear();
    }
    let mut resource = BufReader::new(spill.reader()?.chain(rest));
    resource.read_until(b'\t', &mut prefix)?;
    let marked = mark(resource)?;
    let mut resource = BufReader::new(spill.reader()?.chain(rest));
    resource.read_until(b'\t', &mut Vec::new())?;
    match marked {
        None => put(shared, spool, task, &prefix, len, resource),
        Some(at) => put(shared, spool, task, &prefix, cut_len(&prefix, at), cut(resource, at)),
    }
}

/// A resource without what only searches look at, which begins at `at` (K-69).
fn cut(resource: impl BufRead, at: usize) -> impl BufRead {
    resource.take(at as u64).chain(CLOSE)
}

/// Its length, with the prefix.
fn cut_len(prefix: &[u8], at: usize) -> u64 {
    (prefix.len() + at + CLOSE.len()) as u64
}

/// Sets a resource aside, and gives its bytes; none when it belongs to nobody. `len` is that of prefix and resource.
fn put<S: Sink>(
    shared: &Shared<'_, S>,
    spool: &Spool,
    task: &Task,
    prefix: &[u8],
    len: u64,
    mut resource: impl BufRead,
) -> Result<Option<u64>, ExportError> {
    let id = prefix.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"\t"));
    let id = id.filter(|id| std::str::from_utf8(id).is_ok_and(is_id));
    let len = len - prefix.len() as u64;
    let Some(mut partition) = spool.record(shared.store.sink, task.tally, id, len)? else { return Ok(None) };
    loop {
        let bytes = resource.fill_buf()?;
        if bytes.is_empty() {
            return Ok(Some(len));
        }
        partition.append(shared.store.sink, bytes)?;
        let taken = bytes.len();
        resource.consume(taken);
    }
}
