//! The only writer of SQL: statements around a pack's row sources.

/// Shape of one stream's statement: what is selected and how it is ordered. Filters and splits are added per run.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Parenthesised row source: `(select …)` or a quoted table name.
    pub from: String,
    /// Select list, in column order of the stream.
    pub columns: Vec<String>,
    /// Ordering expressions; empty for a flat export.
    pub order: Vec<String>,
}
