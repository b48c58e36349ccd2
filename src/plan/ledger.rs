//! What a key ledger belongs to: the mapping as far as it says which resources there are, and the database.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::bind::describe_statement;
use super::select::Statement;
use crate::mapping::source::Sources;
use crate::mapping::tree::{Mapping, Pack};

/// Which database this is, of which cluster: one `text`. A replica is the same as its primary.
pub fn which_database() -> Statement {
    let text = "select concat(current_database(), ' ', (select system_identifier from pg_catalog.pg_control_system()))";
    Statement { text: text.to_owned(), params: Vec::new() }
}

/// A digest of the mapping's rows, key and id in this database. With another one, ids that are missing may be another
/// mapping's.
pub fn identity(pack: &Pack, mapping: &Mapping, sources: &Sources, database: &str) -> String {
    let span = mapping.id.span;
    let id = sources.get(span.source).text.get(span.start as usize..span.end as usize).unwrap_or_default();
    let key: Vec<&str> = mapping.header.key.iter().map(|name| name.text.as_str()).collect();
    let project = &pack.project;
    let said = (
        (database, &mapping.resource_type, describe_statement(&mapping.header.rows)),
        (key, id, project.namespace, &project.schema, &project.site),
    );
    let mut hex = String::with_capacity(32);
    for byte in Sha256::digest(format!("{said:?}")).iter().take(16) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
