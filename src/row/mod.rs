//! What comes off the wire. No meaning yet: `source` makes batches, `encode` eats them.

pub mod batch;
pub mod civil;
pub mod kind;
pub mod value;

pub use batch::RowBatch;
pub use kind::PgKind;
