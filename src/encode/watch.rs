//! What rows had to say, for explanations: which columns were empty, which bits were set. Never a value.

use crate::plan::program::Bit;

/// What became of one row of stream 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// It became a resource.
    pub written: bool,
    /// Its own row, then the list rows that were looked at, in the order they were.
    pub rows: Vec<WatchedRow>,
}

/// A row of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedRow {
    /// The scope.
    pub scope: u16,
    /// Its columns, in the order of the scope's slots.
    pub slots: Vec<Seen>,
    pub(super) bits: Vec<u64>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// NULL.
    Null,
    /// Blank text, or an empty list or document.
    Blank,
    /// A value that is left out because it cannot be written.
    Invalid,
    /// A value.
    Value,
}

impl WatchedRow {
    /// Whether a bit of the scope is set.
    pub fn bit(&self, bit: Bit) -> bool {
        self.bits.get(usize::from(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}
