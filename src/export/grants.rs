//! The grants a pack needs, asked of the live database.

use super::ExportError;
use super::prepare::Prepared;
use crate::plan::bind::{describe_statement, row_sources};
use crate::plan::grants::{candidates, relations, script};
use crate::plan::select::Statement;
use crate::source::Session;

/// SQL that lets `role` read what the pack's statements name. A table that only a view reads is not granted: the view
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
    Ok(script(role, &wanted))
}
