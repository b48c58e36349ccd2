//! How far an export is: one look at it, as plain numbers.

/// One look at a running export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Per resource type, in the order they are exported.
    pub types: Vec<TypeProgress>,
}

/// How far one resource type is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeProgress {
    /// The resource type.
    pub name: String,
    /// Rows read so far.
    pub rows: u64,
    /// Bytes written so far, before compression.
    pub bytes: u64,
    /// Rows there are according to the database's statistics, where it has any.
    pub estimate_rows: Option<u64>,
    /// Nothing more will come.
    pub done: bool,
}
