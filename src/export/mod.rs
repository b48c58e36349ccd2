//! One export, from request to manifest: snapshot → proofs → splits → workers → files → manifest.
//!
//! It knows no HTTP and no command line; progress is read by whoever shows it, and a token stops it.

mod drive;
mod error;
mod failures;
mod grants;
mod ids;
mod keys;
mod ledger;
mod look;
mod options;
mod organize;
mod plan;
mod preflight;
mod prepare;
mod progress;
mod proofs;
mod run;
mod seen;
mod spill;
mod verify;
mod who;
mod why;
mod worker;

pub use error::ExportError;
pub use grants::grants;
pub use ledger::LedgerError;
pub use look::{Preview, check, dry_run, groups, preview};
pub use options::{ExportOptions, Exported};
pub use preflight::{Preflight, preflight};
pub use prepare::{Prepared, learn, prepare};
pub use progress::Counting;
pub use run::export;
pub use verify::verify;
pub use why::{why, why_rejected};
