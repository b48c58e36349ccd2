//! What comes off the wire. No meaning yet: `source` makes batches, `encode` eats them.

pub mod batch;
pub mod kind;

pub use batch::RowBatch;
pub use kind::PgKind;
