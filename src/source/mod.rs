//! The only module that talks to the clinical database. It does not know what a Patient is, and it never writes.
//!
//! [`Target`] says where the database is, [`Source`] is it, [`Snapshot`] is one state of it, [`Session`] one
//! connection that sees that state, and [`Rows`] a statement running there. [`connect_own`] is for databases that smelt
//! makes itself. Nothing here repeats a cell value in an
//! error or a log.

mod cursor;
mod dsn;
mod error;
mod introspect;
mod passfile;
mod pool;
mod session;
mod snapshot;
mod target;
mod tls;
mod watermark;

pub use cursor::{BATCH_BYTES, Rows};
pub use error::{Failure, Rejection, SourceError};
pub use introspect::{ColumnStats, Estimate, RoleFacts, UniqueKey};
pub use pool::{Source, SourceOptions, connect_own};
pub use session::Session;
pub use snapshot::Snapshot;
pub use target::{Target, TargetError, TlsMode};
pub use watermark::{MarginReason, Watermark};
