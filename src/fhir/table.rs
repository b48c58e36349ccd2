//! The form of our embedded tables: tab-separated rows in blocks, each opened by a line `= key ...`, sorted by key.
//! Reading a table only finds its blocks; a block's rows are parsed when first asked for.

use std::sync::OnceLock;

/// A table whose blocks hold a `T` each.
pub(super) struct Table<T> {
    blocks: Vec<Block<T>>,
}

/// One block.
pub(super) struct Block<T> {
    /// First cell of the opening line.
    pub(super) key: &'static str,
    /// Its other cells, with the tabs.
    pub(super) head: &'static str,
    rows: &'static str,
    value: OnceLock<T>,
}

impl<T> Table<T> {
    /// Finds the blocks of `text`.
    pub(super) fn read(text: &'static str) -> Self {
        let block = |text: &'static str| {
            let (opening, rows) = text.split_once('\n').unwrap_or((text, ""));
            let (key, head) = opening.split_once('\t').unwrap_or((opening, ""));
            Block { key, head, rows, value: OnceLock::new() }
        };
        Self { blocks: text.split("\n= ").skip(1).map(block).collect() }
    }

    /// The block named `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Block<T>> {
        let at = self.blocks.binary_search_by(|block| block.key.cmp(key)).ok()?;
        self.blocks.get(at)
    }

    /// All blocks in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block<T>> {
        self.blocks.iter()
    }
}

impl<T> Block<T> {
    /// What the rows say, parsed once.
    pub(super) fn value(&self, parse: impl FnOnce(std::str::Lines<'static>) -> T) -> &T {
        self.value.get_or_init(|| parse(self.rows.lines()))
    }
}

/// Cell by cell; a row cut short has empty cells.
pub(super) fn cells<const N: usize>(row: &'static str) -> [&'static str; N] {
    let mut cells = row.split('\t');
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# note\n= a\tx\ty\n1\t2\n3\n= b\n= c\n4\n";

    #[test]
    fn blocks_are_found_by_key() {
        let table: Table<Vec<[&str; 2]>> = Table::read(TEXT);
        assert_eq!(table.iter().map(|block| block.key).collect::<Vec<_>>(), ["a", "b", "c"]);
        let rows = |key| table.get(key).map(|block| block.value(|rows| rows.map(cells::<2>).collect()).clone());
        assert_eq!(rows("a"), Some(vec![["1", "2"], ["3", ""]]));
        assert_eq!(rows("b"), Some(vec![]));
        assert_eq!(rows("c"), Some(vec![["4", ""]]));
        assert_eq!(rows("d"), None);
        assert_eq!(table.get("a").map(|block| block.head), Some("x\ty"));
    }
}
