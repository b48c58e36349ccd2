//! What only the live database can tell about a pack before an export: keys that repeat, ids that collide, filters
//! that PostgreSQL cannot use.

use super::ExportError;
use super::keys::constrained;
use super::prepare::Prepared;
use super::proofs::numbers;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::Mapping;
use crate::plan::filter;
use crate::plan::patients::{Compartment, compartment};
use crate::plan::proof::{Disjoint, disjoint, repeated_keys};
use crate::plan::select::{Filter, statement};
use crate::plan::split::Range;
use crate::row::PgKind;
use crate::source::{Session, SourceError};

/// Checks the data behind a prepared pack: M308, M313, M314 and R405.
///
/// # Errors
///
/// What the connection gives.
pub async fn verify(session: &Session, prepared: &Prepared) -> Result<Vec<Diagnostic>, ExportError> {
    let mut found = Vec::new();
    let mappings: Vec<&Mapping> = prepared
        .compiled
        .iter()
        .filter_map(|compiled| prepared.pack.mappings.iter().find(|mapping| mapping.name == compiled.mapping))
        .collect();
    for (at, mapping) in mappings.iter().enumerate() {
        if !constrained(session, prepared, mapping).await? {
            found.extend(key(session, mapping).await?);
        }
        for other in mappings[..at].iter().filter(|other| other.resource_type == mapping.resource_type) {
            found.extend(ids(session, other, mapping).await?);
        }
        found.extend(pushed_down(session, prepared, mapping).await?);
    }
    Ok(found)
}

async fn key(session: &Session, mapping: &Mapping) -> Result<Option<Diagnostic>, ExportError> {
    let Some(span) = mapping.header.key.first().map(|name| name.span) else { return Ok(None) };
    let row = match numbers(session, &repeated_keys(mapping)).await {
        Ok(row) => row,
        // A column that cannot be grouped by (json) has been told of as M204.
        Err(ExportError::Source(SourceError::Rejected(_))) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (repeated, incomplete) = (row.first().copied().unwrap_or(0), row.get(1).copied().unwrap_or(0));
    if repeated > 0 {
        return Ok(Some(
            Diagnostic::error("M313", span, format!("the key of `{}` does not identify its rows", mapping.name))
                .label(format!("{repeated} keys occur more than once"))
                .help("add the column that tells these rows apart, or make them one row in SQL"),
        ));
    }
    Ok((incomplete > 0).then(|| {
        Diagnostic::warning("R405", span, format!("{incomplete} rows of `{}` have no id", mapping.name))
            .label("NULL in these rows")
            .help("an export rejects and counts them; leave them out in SQL, or choose columns that are never NULL")
    }))
}

async fn ids(session: &Session, left: &Mapping, right: &Mapping) -> Result<Option<Diagnostic>, ExportError> {
    let told = |message: String| {
        Diagnostic::error("M314", right.id.span, message)
            .label(format!("both make {}", right.resource_type))
            .also(left.id.span, "the other id")
            .help("begin them with different texts, or make them with `{{uuid 'Name' …}}` in spaces of their own")
    };
    Ok(match disjoint(left, right) {
        Disjoint::BySpace => None,
        Disjoint::Unknown => Some(told(format!("ids of `{}` and `{}` cannot be told apart", left.name, right.name))),
        Disjoint::Ask(statement) => {
            let shared = numbers(session, &statement).await?.first().copied().unwrap_or(0);
            (shared > 0).then(|| told(format!("`{}` and `{}` make {shared} ids in common", left.name, right.name)))
        }
    })
}

async fn pushed_down(
    session: &Session,
    prepared: &Prepared,
    mapping: &Mapping,
) -> Result<Option<Diagnostic>, ExportError> {
    let (Compartment::Column { column, .. } | Compartment::Self_ { column }) =
        compartment(&prepared.pack, mapping, &prepared.catalog)
    else {
        return Ok(None);
    };
    // Any key will do: where the predicate is applied does not depend on it.
    let key = match column.1 {
        PgKind::Uuid => "00000000-0000-0000-0000-000000000000",
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 | PgKind::Numeric => "0",
        _ => "x",
    };
    let Some(compiled) = prepared.compiled.iter().find(|compiled| compiled.mapping == mapping.name) else {
        return Ok(None);
    };
    let Some(driving) = compiled.streams.first() else { return Ok(None) };
    let mut filter = Filter::default();
    filter::keys(&mut filter, &column, vec![key.to_owned()].into());
    let estimate = session.explain_rows(&statement(driving, &filter, &Range::default(), None)).await?;
    let plan: serde_json::Value = serde_json::from_str(&estimate.plan).unwrap_or_default();
    if !filters_late(&plan) {
        return Ok(None);
    }
    Ok(Some(
        Diagnostic::warning(
            "M308",
            mapping.header.rows.span,
            format!("PostgreSQL reads all of `{}` to find the rows of one patient", mapping.name),
        )
        .label(format!("the condition on `{}` is applied to the finished query", column.0))
        .help("avoid `materialized`, and a `with` query used twice; partition window functions by that column"),
    ))
}

/// True when a plan filters what a subquery or WITH query has already made.
fn filters_late(plan: &serde_json::Value) -> bool {
    match plan {
        serde_json::Value::Array(items) => items.iter().any(filters_late),
        serde_json::Value::Object(node) => {
            let kind = node.get("Node Type").and_then(serde_json::Value::as_str).unwrap_or_default();
            let filter = node.get("Filter").and_then(serde_json::Value::as_str).unwrap_or_default();
            (matches!(kind, "CTE Scan" | "Subquery Scan" | "WindowAgg") && filter.contains("= ANY"))
                || node.get("Plan").is_some_and(filters_late)
                || node.get("Plans").is_some_and(filters_late)
        }
        _ => false,
    }
}
