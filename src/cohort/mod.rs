//! Groups that clients have made: who they belong to, and who is in them.
//!
//! A Group is a small record, and its listed members are a *roster* of its own that is never changed: an update writes a
//! new one. So an export goes on with the members it began with, whatever becomes of the Group, and a roster goes when
//! neither a Group nor an export that has not ended needs it.

#[cfg(test)]
mod contract;
mod keeper;
mod store;

pub use keeper::{Cohorts, Found, KeepError, Kept, NewCohort};
pub use store::{CohortError, CohortStore, RedbCohorts};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version of the form in which records are kept.
pub const FORMAT: u32 = 1;

/// A Group that a client has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form: [`FORMAT`].
    pub format: u32,
    /// Whose it is: for nobody else it exists (G-01).
    pub client: String,
    /// Its id; another client may have one of the same id.
    pub id: String,
    /// Counts its updates, from 1.
    pub version: u64,
    /// When it was last changed: microseconds since 1970-01-01T00:00:00Z.
    pub updated_at: i64,
    /// The resource, without id, version and members.
    pub content: Map<String, Value>,
    /// The searches its members satisfy.
    pub filters: Vec<String>,
    /// The number of the roster of its listed members.
    pub roster: Option<u64>,
    /// How many they are.
    pub members: u64,
}
