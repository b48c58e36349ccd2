//! The Bulk Data service over HTTP: the binary on a database, and what it answers.

mod cohorts;
mod control;
mod elements;
mod files;
mod held;
mod hostile;
mod kickoff;
mod kills;
mod known;
mod large_groups;
mod limits;
mod load;
mod operate;
mod organize;
mod pages;
mod status;

use serde_json::Value;

use crate::packs::store;
use crate::support::server::Server;

/// The shipped pack on the demo store, open to everybody.
async fn demo(args: &[&str]) -> Server {
    Server::open(store::demo().await.dsn(), args)
}

/// Types of a manifest's `output`, each once.
fn types(manifest: &Value) -> Vec<String> {
    let items = manifest["output"].as_array().expect("a list");
    let mut types: Vec<String> = items.iter().map(|item| item["type"].as_str().expect("a type").to_owned()).collect();
    types.dedup();
    types
}

/// Resources of a type that a manifest counts.
fn count(manifest: &Value, name: &str) -> u64 {
    let items = manifest["output"].as_array().expect("a list");
    items.iter().filter(|item| item["type"] == name).map(|item| item["count"].as_u64().expect("a number")).sum()
}

/// The first URL of a type.
fn url(manifest: &Value, name: &str) -> String {
    let items = manifest["output"].as_array().expect("a list");
    items.iter().find(|item| item["type"] == name).expect(name)["url"].as_str().expect("a URL").to_owned()
}
