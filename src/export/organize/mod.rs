//! Output organized by patient (K-66): files of blocks, each a header, the patient, and what belongs to it (F-20).
//!
//! Rows come in any order, so resources are set aside first. While they are read, each goes to one of many *partitions*
//! on the disk, by its patient (`take`, `spool`). Then the partitions are read one at a time, sorted and written
//! as blocks (`write`, `blocks`); one that is too large is partitioned again. So memory follows the size of a partition, not
//! the number of resources, and the database need not sort anything.
//!
//! What belongs to nobody, such as a Practitioner, is *context*: it stands in each block that refers to it (`context`).

mod blocks;
mod context;
mod places;
mod spool;
mod take;
#[cfg(test)]
mod tests;
mod write;

use tokio_util::sync::CancellationToken;

use super::ExportError;
use super::progress::Counting;
use super::shelf::Store;
use crate::bulk::report::BLOCKS;
use crate::sink::Sink;

pub(super) use self::places::{Place, place, placed};
pub(super) use self::spool::Spool;
pub(super) use self::take::take;
pub(super) use self::write::{Made, write};

/// Where blocks go.
pub(super) struct Target<'a, S> {
    pub(super) store: &'a Store<'a, S>,
    pub(super) progress: &'a Counting,
    pub(super) cancel: &'a CancellationToken,
}

impl<S: Sink> Target<'_, S> {
    /// A new file, with its number.
    fn create(&self) -> Result<S::File, ExportError> {
        self.store.create(BLOCKS)
    }

    fn go_on(&self) -> Result<(), ExportError> {
        if self.cancel.is_cancelled() { Err(ExportError::Cancelled) } else { Ok(()) }
    }
}

/// What bounds the work on partitions.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Bytes of a partition that is sorted in memory; each worker holds one.
    sorted: u64,
    /// Bytes that a partition gathers before they go to its file.
    gathered: usize,
    /// The most partitions that are open at a time: each has a file.
    most: u64,
}

const SIZES: Sizes = Sizes { sorted: 32 << 20, gathered: 64 << 10, most: 128 };
