//! What a worker does with resources of an organized export: each is set aside for its patient.

use std::io::{BufRead, BufReader, Read as _};

use super::super::ExportError;
use super::super::failures::Tally;
use super::super::spill::Spill;
use super::super::worker::{Shared, Task};
use super::Spool;
use crate::encode::{Encoder, Output, Spill as SpillOrder};
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
    let mut begun = 0;
    while let Some(order) = output.spill() {
        match order {
            SpillOrder::Cut(len) => spill.cut(len)?,
            SpillOrder::Whole(len) => begun = len,
        }
    }
    let settled = output.take_settled(std::mem::take(buffer));
    let mut written = 0;
    for line in settled.bytes.split_inclusive(|byte| *byte == b'\n') {
        let len = begun + line.len() as u64;
        // Only the first may have its beginning in the spill.
        let wanted = if begun > 0 {
            let filtered = match &task.only {
                Some(only) => {
                    let (_, resource) = split(BufReader::new(spill.reader()?.chain(line)))?;
                    !only.wants(resource)
                }
                None => false,
            };
            let kept = !filtered && {
                let (prefix, resource) = split(BufReader::new(spill.reader()?.chain(line)))?;
                put(shared, spool, task, &prefix, len, resource)?
            };
            spill.cut(0)?;
            begun = 0;
            kept
        } else {
            let (prefix, resource) = split(line)?;
            task.only.as_ref().is_none_or(|only| only.wants(resource))
                && put(shared, spool, task, &prefix, len, resource)?
        };
        if wanted {
            written += len;
        } else {
            tally.filtered += 1;
        }
    }
    *buffer = settled.bytes;
    if output.open_len() >= shared.chunk_bytes {
        *buffer = output.take_open(std::mem::take(buffer));
        spill.push(buffer)?;
    }
    shared.progress.add(&task.compiled.program.resource_type, report.rows_read, written);
    tally.counts.merge(report);
    Ok(())
}

/// What a program has written of one resource: what stands before the tab, and the resource.
fn split<R: BufRead>(mut line: R) -> std::io::Result<(Vec<u8>, R)> {
    let mut prefix = Vec::new();
    line.read_until(b'\t', &mut prefix)?;
    Ok((prefix, line))
}

/// Sets a resource aside; false when it belongs to nobody. `len` is that of prefix and resource.
fn put<S: Sink>(
    shared: &Shared<'_, S>,
    spool: &Spool,
    task: &Task,
    prefix: &[u8],
    len: u64,
    mut resource: impl BufRead,
) -> Result<bool, ExportError> {
    let id = prefix.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"\t"));
    let id = id.filter(|id| std::str::from_utf8(id).is_ok_and(is_id));
    let Some(mut partition) = spool.record(shared.sink, task.tally, id, len - prefix.len() as u64)? else {
        return Ok(false);
    };
    loop {
        let bytes = resource.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        partition.append(shared.sink, bytes)?;
        let taken = bytes.len();
        resource.consume(taken);
    }
}
