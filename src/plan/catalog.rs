//! What the database (or `columns.lock`) says about a pack's statements: plain data.

use std::collections::BTreeMap;

use crate::row::PgKind;

/// Facts about every row source of a pack, by [`crate::plan::bind`]'s name for it:
/// `patient` (the mapping's own rows), `patient.lists.contacts`, `patient.deleted`, `group.members`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Columns by row source.
    pub rows: BTreeMap<String, RowSource>,
}

/// The columns of one statement or table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSource {
    /// In statement order.
    pub columns: Vec<Column>,
}

/// One column of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: PgKind,
    /// `schema.table.column` it comes from, in SQL's quotes where it needs them, where PostgreSQL can tell.
    pub origin: Option<String>,
}

impl RowSource {
    /// The position and facts of the column with this name.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}
