//! An export's life over time: accepted, run, kept, expired. It survives the process.
//!
//! A job is what its record in the store says. A change is written there first and then shown, so that nobody has ever
//! seen what the next start does not know. What a record does not list is no file: a start removes it, and
//! runs an export that had not ended again, under a new snapshot, unless pages of its manifest were published.
//!
//! This room knows no HTTP: who may see a job is decided by whoever asks for it.

mod config;
#[cfg(test)]
mod contract;
mod engine;
mod failure;
mod files;
mod id;
mod jobs;
mod keeper;
mod pages;
mod queue;
mod record;
mod recover;
mod retention;
mod store;
mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use config::{Event, JobsConfig, Listener, StartError, SubmitError};
pub use engine::{CheckError, Engine, LiveEngine, Made};
pub use files::{Lease, OpenError, OpenFile};
pub use id::{JobId, NotAJobId};
pub use jobs::{Drained, Jobs};
pub use record::{FORMAT, Failed, Job, NewJob, State, Submitted};
pub use store::{JobStore, RedbStore, StoreError, open_state};
pub use table::{Numbers, Totals};
