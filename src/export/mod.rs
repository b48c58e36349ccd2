//! One export, from request to manifest: snapshot → proofs → splits → workers → files → manifest.
//!
//! It knows no HTTP and no command line; progress is read by whoever shows it, and a token stops it.

mod added;
mod cohort;
mod drive;
mod error;
mod explain;
mod failures;
mod gather;
mod grants;
mod ids;
mod keep;
mod keys;
mod keyset;
mod ledger;
mod listing;
mod look;
mod options;
mod organize;
mod phase;
mod plan;
mod preflight;
mod prepare;
mod progress;
mod proofs;
mod reduce;
mod run;
mod seen;
mod shelf;
mod sift;
mod spill;
mod verify;
mod who;
mod why;
mod worker;

pub use cohort::unknown;
pub use error::ExportError;
pub use explain::{Cut, Explained, Looked, Served, Stream, explain};
pub use grants::grants;
pub use ledger::LedgerError;
pub use look::{Preview, check, dry_run, groups, preview};
pub use options::{ExportOptions, Exported, Publish};
pub use preflight::{Preflight, preflight};
pub use prepare::{Prepared, learn, prepare};
pub use progress::Counting;
pub use run::export;
pub use verify::verify;
pub use why::{why, why_rejected};
