//! The parts of the engine against a real PostgreSQL.

mod along;
mod connect;
mod files;
mod groups;
mod hostile;
mod increments;
mod jobs;
mod kill;
mod ledger;
mod memory;
mod organize;
mod patients;
mod preflight;
mod rows;
mod secrets;
mod session;
mod snapshot;

use smelt::plan::select::Statement;

/// A statement without parameters.
fn sql(text: &str) -> Statement {
    Statement { text: text.to_owned(), params: Vec::new() }
}
