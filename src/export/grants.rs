//! The grants a pack needs and the indexes it misses, asked of the live database.

use std::collections::BTreeSet;

use super::ExportError;
use super::prepare::Prepared;
use crate::plan::bind::{describe_statement, row_sources};
use crate::plan::grants::{Looked, candidates, index_script, looked_up, relations, script, unindexed};
use crate::plan::select::Statement;
use crate::source::Session;

/// SQL that lets `role` read what the pack's statements name, and as comments the indexes that are missing. A table that only a view reads is not granted: the view
/// reads it as its owner. A column that is called like a table is told apart by the plan, which does not scan it.
///
/// # Errors
///
/// What the connection gives.
pub async fn grants(session: &Session, prepared: &Prepared, role: &str) -> Result<String, ExportError> {
    let mut plans = String::new();
    for named in row_sources(&prepared.pack) {
        if prepared.catalog.rows.contains_key(&named.name) {
            let statement = Statement { text: describe_statement(named.rows), params: Vec::new() };
            plans.push_str(&session.explain_rows(&statement).await?.plan);
        }
    }
    let mut wanted = Vec::new();
    for row in session.query_text(&relations(candidates(&prepared.pack))).await? {
        let [Some(schema), Some(name), Some(kind)] = row.as_slice() else { continue };
        // Views vanish in a plan, and a partitioned table shows its partitions.
        let scanned = plans.contains(&format!("\"Relation Name\": {}", serde_json::Value::from(name.as_str())));
        if scanned || matches!(kind.as_str(), "v" | "m" | "p") {
            wanted.push((schema.clone(), name.clone()));
        }
    }
    let looked = looked_up(&prepared.pack, &prepared.catalog);
    let origins = looked.iter().map(|looked| looked.origin.clone()).collect();
    let missing = session.query_text(&unindexed(origins)).await?;
    let missing: BTreeSet<String> = missing.into_iter().flatten().flatten().collect();
    let missing: Vec<&Looked> = looked.iter().filter(|looked| missing.contains(&looked.origin)).collect();
    Ok(format!("{}{}", script(role, &wanted), index_script(&missing)))
}
