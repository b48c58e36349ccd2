//! One export, from request to manifest: snapshot → proofs → splits → workers → files → manifest.
//!
//! It knows no HTTP and no command line; progress is read by whoever shows it, and a token stops it.

// mod failures;
pub mod progress;
// mod run;
mod spill;
// mod worker;

// pub use run::{ExportError, ExportOptions, Exported, export};
