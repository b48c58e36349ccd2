//! Resources that belong to nobody, found by their reference: a table of hashes on the disk, so that their number takes no
//! memory.

use std::collections::BTreeSet;

use super::super::ExportError;
use super::Target;
use super::blocks::copy;
use super::spool::{Head, Kind, Partition};
use crate::sink::{Scratch, Sink};
use sha2::{Digest as _, Sha256};

/// Bytes of a slot: hash (16), place (8), length (8), kind (2), state (1), unused.
const SLOT: usize = 40;

/// Slots that are read at a time when all are looked at.
const BATCH: usize = 1024;

/// States of a slot: nothing in it, a resource, a resource that stands in a block.
const FREE: u8 = 0;
const THERE: u8 = 1;
const USED: u8 = 2;

/// The context of an export.
#[derive(Debug)]
pub(super) struct Context {
    resources: Partition,
    /// Open addressing; half of the slots are free.
    table: Scratch,
    slots: u64,
    /// Types that some of it has.
    types: BTreeSet<String>,
}

/// A context resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    slot: u64,
    /// Where it stands among the others.
    at: u64,
    /// Its bytes.
    pub(super) len: u64,
    /// The position of its kind.
    pub(super) kind: u16,
    state: u8,
}

impl Context {
    /// Makes the table; none when there is no context.
    pub(super) fn new<S: Sink>(
        resources: Partition,
        kinds: &[Kind],
        target: &Target<'_, S>,
    ) -> Result<Option<Self>, ExportError> {
        if resources.records() == 0 {
            return Ok(None);
        }
        let slots = (resources.records() * 2).next_power_of_two();
        let mut table = target.store.sink.scratch()?;
        table.append_zeros(slots * SLOT as u64)?;
        let types = kinds.iter().filter(|kind| kind.context).map(|kind| kind.resource_type.clone()).collect();
        let context = Self { resources, table, slots, types };
        let mut reader = context.resources.reader_of_all();
        let mut at = 0;
        while let Some(head) = Head::read(&mut reader)? {
            target.go_on()?;
            at += head.bytes();
            let kind = kinds.get(usize::from(head.number)).map_or("", |kind| kind.resource_type.as_str());
            let id = std::str::from_utf8(&head.id).unwrap_or_default();
            context.put(&format!("{kind}/{id}"), at, head.len, head.number)?;
            at += head.len;
            copy(head.len, &mut reader, &mut |_| Ok(()))?;
        }
        drop(reader);
        Ok(Some(context))
    }

    /// Types that references are looked up for.
    pub(super) fn types(&self) -> &BTreeSet<String> {
        &self.types
    }

    fn put(&self, reference: &str, at: u64, len: u64, kind: u16) -> Result<(), ExportError> {
        let hash = hash(reference);
        let free = self.probe(&hash, |slot| slot[34] == FREE)?;
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(&hash);
        slot[16..24].copy_from_slice(&at.to_le_bytes());
        slot[24..32].copy_from_slice(&len.to_le_bytes());
        slot[32..34].copy_from_slice(&kind.to_le_bytes());
        slot[34] = THERE;
        Ok(self.table.write_at(&slot, free.0 * SLOT as u64)?)
    }

    /// The resource that `Type/id` refers to.
    pub(super) fn find(&self, reference: &str) -> Result<Option<Found>, ExportError> {
        let hash = hash(reference);
        let (number, slot) = self.probe(&hash, |slot| slot[34] == FREE || slot[..16] == hash)?;
        Ok((slot[34] != FREE).then(|| found(number, &slot)))
    }

    /// The first slot of a hash that will do.
    fn probe(&self, hash: &[u8; 16], will_do: impl Fn(&[u8; SLOT]) -> bool) -> Result<(u64, [u8; SLOT]), ExportError> {
        let mut number = number(&hash[..8]) & (self.slots - 1);
        let mut slot = [0; SLOT];
        loop {
            self.table.read_at(&mut slot, number * SLOT as u64)?;
            if will_do(&slot) {
                return Ok((number, slot));
            }
            number = (number + 1) & (self.slots - 1);
        }
    }

    /// Reads a resource into `buffer`.
    pub(super) fn read(&self, found: &Found, buffer: &mut Vec<u8>) -> Result<(), ExportError> {
        buffer.resize(found.len as usize, 0);
        Ok(self.resources.read_at(buffer, found.at)?)
    }

    /// Remembers that a resource stands in a block.
    pub(super) fn mark(&self, found: &Found) -> Result<(), ExportError> {
        if found.state == USED {
            return Ok(());
        }
        Ok(self.table.write_at(&[USED], found.slot * SLOT as u64 + 34)?)
    }

    /// How many resources stand in no block, by kind.
    pub(super) fn unused(&self, kinds: usize) -> Result<Vec<u64>, ExportError> {
        let mut counts = vec![0; kinds];
        let mut batch = vec![0; SLOT * BATCH];
        let mut first = 0;
        while first < self.slots {
            let wanted = (self.slots - first).min(BATCH as u64);
            batch.truncate(wanted as usize * SLOT);
            self.table.read_at(&mut batch, first * SLOT as u64)?;
            for slot in batch.as_chunks::<SLOT>().0.iter().filter(|slot| slot[34] == THERE) {
                if let Some(count) = counts.get_mut(usize::from(found(0, slot).kind)) {
                    *count += 1;
                }
            }
            first += wanted;
        }
        Ok(counts)
    }
}

fn hash(reference: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(reference)[..16]);
    hash
}

fn found(slot: u64, bytes: &[u8; SLOT]) -> Found {
    let kind = u16::from_le_bytes([bytes[32], bytes[33]]);
    Found { slot, at: number(&bytes[16..24]), len: number(&bytes[24..32]), kind, state: bytes[34] }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
