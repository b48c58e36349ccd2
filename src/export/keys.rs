//! What says, without reading a row, that a mapping's key identifies its rows: a unique constraint, and a plan in which
//! no join can repeat a row of the constrained table.

use serde_json::Value;

use super::ExportError;
use super::prepare::Prepared;
use crate::mapping::tree::{Mapping, RowsKind};
use crate::plan::bind::table;
use crate::plan::proof::keys_only;
use crate::plan::select::quote_ident;
use crate::source::{Session, SourceError, UniqueKey};

/// True when a unique constraint makes the mapping's key unique among its rows.
///
/// The rows of a table have the table's constraints. A query has those of the one table its key columns come from, when
/// its plan reads that table once and every join below finds at most one partner for a row, which the planner knows
/// from the other side's constraints (`Inner Unique`; a left join to such a side is not even planned, because only the
/// key is asked for).
pub(super) async fn constrained(
    session: &Session,
    prepared: &Prepared,
    mapping: &Mapping,
) -> Result<bool, ExportError> {
    let key: Vec<&str> = mapping.header.key.iter().map(|name| name.text.as_str()).collect();
    if let RowsKind::Table { schema, name } = &mapping.header.rows.kind {
        let unique = session.unique_keys(&table(schema.as_deref(), name)).await?;
        return Ok(covers(&unique, &key));
    }
    let Some(rows) = prepared.catalog.rows.get(&mapping.name) else { return Ok(false) };
    let origins: Option<Vec<[String; 3]>> = key
        .iter()
        .map(|name| rows.column(name).and_then(|(_, column)| identifiers(column.origin.as_deref()?)))
        .collect();
    let Some(origins) = origins else { return Ok(false) };
    let [[schema, relation, _], ..] = origins.as_slice() else { return Ok(false) };
    if origins.iter().any(|[s, r, _]| (s, r) != (schema, relation)) {
        return Ok(false);
    }
    let name = format!("{}.{}", quote_ident(schema), quote_ident(relation));
    let columns: Vec<&str> = origins.iter().map(|[.., column]| column.as_str()).collect();
    if !covers(&session.unique_keys(&name).await?, &columns) {
        return Ok(false);
    }
    match session.explain_rows(&keys_only(mapping)).await {
        Ok(estimate) => Ok(once(&estimate.plan, relation)),
        // What cannot be planned is refused elsewhere, at its line.
        Err(SourceError::Rejected(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn covers(unique: &[UniqueKey], key: &[&str]) -> bool {
    unique.iter().any(|unique| unique.not_null && unique.columns.iter().all(|column| key.contains(&column.as_str())))
}

/// The three names in `schema.table.column`, without their quotes.
pub(super) fn identifiers(origin: &str) -> Option<[String; 3]> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut rest = origin.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quoted) {
            ('"', true) if rest.peek() == Some(&'"') => {
                rest.next();
                names.last_mut()?.push('"');
            }
            ('"', _) => quoted = !quoted,
            ('.', false) => names.push(String::new()),
            _ => names.last_mut()?.push(c),
        }
    }
    names.try_into().ok()
}

/// True when a plan (`EXPLAIN (FORMAT JSON)`) gives no row of `relation` twice.
fn once(plan: &str, relation: &str) -> bool {
    let plan: Value = serde_json::from_str(plan).unwrap_or_default();
    plan.pointer("/0/Plan").is_some_and(|root| scans(root, relation) == 1 && keeps(root, relation))
}

/// The nodes below one that give it rows; what an expression asks for on its own repeats nothing.
fn inputs(node: &Value) -> impl Iterator<Item = &Value> {
    let nodes = node.get("Plans").and_then(Value::as_array).into_iter().flatten();
    nodes.filter(|node| matches!(text(node, "Parent Relationship"), "Outer" | "Inner" | "Member" | "Subquery"))
}

fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// How often `relation` is read.
fn scans(node: &Value, relation: &str) -> usize {
    usize::from(text(node, "Relation Name") == relation) + inputs(node).map(|node| scans(node, relation)).sum::<usize>()
}

/// True when rows of `relation` come out of a node, each at most once. Only nodes that are known to say so do.
fn keeps(node: &Value, relation: &str) -> bool {
    let mut inputs = inputs(node);
    let (first, second) = (inputs.next(), inputs.next());
    match text(node, "Node Type") {
        "Seq Scan" | "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" | "Tid Scan" | "Tid Range Scan" => {
            text(node, "Relation Name") == relation
        }
        "Sort" | "Incremental Sort" | "Materialize" | "Limit" | "Gather" | "Gather Merge" | "Subquery Scan"
        | "Result" | "Unique" | "WindowAgg" => first.is_some_and(|node| keeps(node, relation)) && second.is_none(),
        "Nested Loop" | "Hash Join" | "Merge Join" => {
            let partner = node.get("Inner Unique").and_then(Value::as_bool) == Some(true)
                || matches!(text(node, "Join Type"), "Semi" | "Anti");
            // A right or full join gives rows that have no partner on our side, without a key.
            let ours = matches!(text(node, "Join Type"), "Inner" | "Left" | "Semi" | "Anti");
            ours && partner && first.is_some_and(|node| keeps(node, relation))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_without_quotes() {
        let names = |origin| identifiers(origin).map(|names| names.join("|"));
        assert_eq!(names("hosp.patients.id").as_deref(), Some("hosp|patients|id"));
        assert_eq!(names("\"a.b\".\"P\"\"x\".\"i d\"").as_deref(), Some("a.b|P\"x|i d"));
        assert_eq!(names("patients.id"), None);
    }

    fn check(node: &str, expected: bool) {
        assert_eq!(once(&format!("[{{\"Plan\": {node}}}]"), "t"), expected, "{node}");
    }

    const T: &str = r#"{"Node Type": "Seq Scan", "Relation Name": "t", "Parent Relationship": "Outer"}"#;
    const U: &str = r#"{"Node Type": "Index Scan", "Relation Name": "u", "Parent Relationship": "Inner"}"#;

    fn join(kind: &str, unique: bool, outer: &str, inner: &str) -> String {
        format!(
            r#"{{"Node Type": "Hash Join", "Join Type": "{kind}", "Inner Unique": {unique}, "Plans": [{outer}, {inner}]}}"#
        )
    }

    #[test]
    fn a_join_keeps_rows_single_when_its_other_side_is() {
        check(T, true);
        check(U, false);
        check(&format!(r#"{{"Node Type": "Gather", "Plans": [{T}]}}"#), true);
        check(&format!(r#"{{"Node Type": "Append", "Plans": [{T}]}}"#), false);
        check(&join("Inner", true, T, U), true);
        check(&join("Left", true, T, U), true);
        check(&join("Semi", false, T, U), true);
        check(&join("Inner", false, T, U), false);
        check(&join("Right", true, T, U), false);
        // The table itself on the inner side, or read twice.
        let (inner, outer) = (T.replace("Outer", "Inner"), U.replace("Inner", "Outer"));
        check(&join("Inner", true, &outer, &inner), false);
        check(&join("Inner", true, T, &inner), false);
        // A subselect in the select list reads it too, and repeats nothing.
        let sub = T.replace("Outer", "SubPlan");
        check(&format!(r#"{{"Node Type": "Sort", "Plans": [{T}, {sub}]}}"#), true);
    }
}
