//! What an export of one mapping would run, and what serves it. Nothing is read but statistics and plans.

use std::time::Duration;

use serde::Serialize;

use super::keys::identifiers;
use super::look::described;
use super::plan::{Part, plan};
use super::prepare::Prepared;
use super::{ExportError, ExportOptions};
use crate::bulk::{ExportRequest, Level};
use crate::mapping::tree::Mapping;
use crate::plan::analysis::{self, Access};
use crate::plan::grants::indexed;
use crate::plan::listing::listing;
use crate::plan::patients::{Compartment, compartment};
use crate::plan::push::turned;
use crate::plan::search::{Test, wanted};
use crate::plan::select::statement;
use crate::plan::split::Range;
use crate::plan::updated;
use crate::source::{Session, Source};

/// What an export of one mapping would run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The mapping.
    pub mapping: String,
    /// What it makes.
    pub resource_type: String,
    /// SHA-256 of the pack.
    pub pack_digest: String,
    /// What `transactionTime` would be at most.
    pub transaction_time: String,
    /// How sure it is.
    pub watermark: String,
    /// Rows that PostgreSQL expects; none when the request leaves the mapping out.
    pub rows: Option<u64>,
    /// How the rows are divided between parallel cursors.
    pub split: Option<Cut>,
    /// What each restriction of the request is served by.
    pub restrictions: Vec<Looked>,
    /// True when filters leave rows out before they are read.
    pub pushed: bool,
    /// The statements.
    pub streams: Vec<Stream>,
    /// The compiled program, an instruction each.
    pub program: Vec<String>,
    /// What the export would tell.
    pub notices: Vec<serde_json::Value>,
}

/// How rows are divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// By this column.
    pub column: String,
    /// Into so many ranges.
    pub ranges: usize,
}

/// A restriction, and how its rows are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// `_since`, `patient`, `Observation?category`.
    pub by: String,
    /// The column it is about, if there is one.
    pub column: Option<String>,
    /// How its rows are found.
    pub served: Served,
}

/// What serves a restriction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "by")]
pub enum Served {
    /// This index.
    Index {
        /// Its name.
        name: String,
    },
    /// None: rows are read and asked.
    Nothing {
        /// An index that begins with the column, which the planner does not use here.
        unused: Option<String>,
        /// `schema.table (column)` that an index would be on; none when the statement compares an expression.
        index_on: Option<String>,
        /// Rows of the table, if it was ever analysed.
        rows: Option<u64>,
        /// The index of something else that the rows are read by; without one they all are read.
        behind: Option<String>,
    },
    /// The condition is on something that no index can be on.
    NoIndex {
        /// Why.
        why: String,
    },
    /// No row is left out in SQL: every resource that is made is asked.
    Resource,
}

/// A statement, and PostgreSQL's opinion of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// The rows it reads: the mapping's own, or those of a list.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// What its parameters are; their values are not told.
    pub parameters: Vec<String>,
    /// Cost of all rows, in the planner's units.
    pub cost: f64,
    /// Rows expected.
    pub rows: f64,
    /// The plan, a line each. Where there are parameters its constants are masked.
    pub plan: Vec<String>,
}

/// Explains the export of one mapping that a request would start.
///
/// # Errors
///
/// As [`super::export`].
pub async fn explain(
    source: &Source,
    prepared: &Prepared,
    mapping: &Mapping,
    request: &ExportRequest,
    options: &ExportOptions,
) -> Result<Explained, ExportError> {
    let options = ExportOptions { snapshot_wait: Duration::ZERO, ledger: None, ..options.clone() };
    let planned = plan(source, prepared, request, &options).await?;
    let notices = planned.notices.iter().filter_map(|notice| serde_json::from_str(&notice.to_json()).ok()).collect();
    let mut explained = Explained {
        mapping: mapping.name.clone(),
        resource_type: mapping.resource_type.clone(),
        pack_digest: prepared.pack.digest.clone(),
        transaction_time: planned.transaction_time(),
        watermark: planned.snapshot.watermark().to_string(),
        rows: None,
        split: None,
        restrictions: Vec::new(),
        pushed: false,
        streams: Vec::new(),
        program: Vec::new(),
        notices,
    };
    let Some(part) = planned.parts.iter().find(|part| part.mapping.name == mapping.name) else { return Ok(explained) };
    let session = planned.snapshot.leader();
    let (streams, plan) = streams(session, part).await?;
    explained.rows = Some(part.estimate);
    explained.split =
        part.compiled.split.as_ref().map(|split| Cut { column: split.name.clone(), ranges: part.ranges.len() });
    explained.restrictions = restrictions(session, prepared, mapping, request, &plan).await?;
    explained.pushed = part.pushed;
    explained.streams = streams;
    explained.program = listing(&part.compiled);
    Ok(explained)
}

/// Every statement with its plan, and that of the driving rows as PostgreSQL gave it.
async fn streams(session: &Session, part: &Part<'_>) -> Result<(Vec<Stream>, String), ExportError> {
    let (mut streams, mut driving) = (Vec::new(), String::new());
    for stream in &part.compiled.streams {
        let statement = statement(stream, &part.filter, &Range::default(), part.compiled.split.as_ref());
        let estimate = session.explain_rows(&statement).await?;
        streams.push(Stream {
            name: stream.name.clone(),
            parameters: statement.params.iter().map(described).collect(),
            cost: estimate.cost,
            rows: estimate.rows,
            plan: analysis::lines(&estimate.plan, !statement.params.is_empty()),
            sql: statement.text,
        });
        if driving.is_empty() {
            driving = estimate.plan;
        }
    }
    Ok((streams, driving))
}

/// What a request is restricted by, and what serves each.
async fn restrictions(
    session: &Session,
    prepared: &Prepared,
    mapping: &Mapping,
    request: &ExportRequest,
    plan: &str,
) -> Result<Vec<Looked>, ExportError> {
    let mut found = Vec::new();
    for (by, column) in asked(prepared, mapping, request)? {
        let served = match &column {
            Some((column, plain)) => served(session, prepared, mapping, (column, *plain), plan).await?,
            None => Served::Resource,
        };
        found.push(Looked { by, column: column.map(|(column, _)| column), served });
    }
    Ok(found)
}

/// A restriction and the column that rows are looked up by, and whether that is compared as it is; without a column it is
/// asked of resources.
type Asked = (String, Option<(String, bool)>);

/// The restrictions of a request.
fn asked(prepared: &Prepared, mapping: &Mapping, request: &ExportRequest) -> Result<Vec<Asked>, ExportError> {
    let Prepared { pack, catalog, .. } = prepared;
    let mut asked = Vec::new();
    let rows = catalog.rows.get(&mapping.name);
    for (by, bound) in [("_since", request.since), ("_until", request.until)] {
        let columns = rows.filter(|_| bound.is_some()).map(|rows| updated::columns(mapping, rows)).unwrap_or_default();
        asked.extend(columns.into_iter().map(|(column, _)| (by.to_owned(), Some((column.to_owned(), true)))));
    }
    let of = match &request.level {
        Level::Group(_) => Some("group"),
        _ => (!request.patients.is_empty()).then_some("patient"),
    };
    if let (Some(by), Compartment::Self_ { column } | Compartment::Column { column, .. }) =
        (of, compartment(pack, mapping, catalog))
    {
        asked.push((by.to_owned(), Some((column.0, true))));
    }
    let wanted = wanted(pack, request, &mapping.resource_type)?;
    for test in wanted.iter().flat_map(|wanted| wanted.any.iter().flatten()) {
        let name = |test: &Test| format!("{}?{}", mapping.resource_type, test.code);
        match turned(pack, catalog, mapping, test, pack.project.zone()) {
            Some(columns) => asked.extend(columns.into_iter().map(|column| (name(test), Some(column)))),
            None => asked.push((name(test), None)),
        }
    }
    Ok(asked)
}

async fn served(
    session: &Session,
    prepared: &Prepared,
    mapping: &Mapping,
    (column, plain): (&str, bool),
    plan: &str,
) -> Result<Served, ExportError> {
    let known = prepared.catalog.rows.get(&mapping.name).and_then(|rows| rows.column(column));
    let no = |why: &str| Served::NoIndex { why: why.to_owned() };
    let Some((_, known)) = known else { return Ok(no("times of commits have no index")) };
    let names = known.origin.as_deref().and_then(|origin| Some((origin, identifiers(origin)?)));
    let Some((origin, [_, table, name])) = names else { return Ok(no("the query computes it")) };
    let access = analysis::access(plan, &table, &name);
    let behind = match access {
        Access::Index(name) => return Ok(Served::Index { name }),
        Access::Behind(name) => Some(name),
        Access::Scan | Access::Absent => None,
    };
    let facts = session.query_text(&indexed(vec![origin.to_owned()])).await?;
    let (unused, rows) = match facts.first().map(Vec::as_slice) {
        Some([_, unused, rows]) => (unused.clone(), rows.as_ref().and_then(|rows| rows.parse().ok())),
        _ => return Ok(no("what it comes from is no table")),
    };
    let (table, column) = origin.rsplit_once('.').unwrap_or((origin, ""));
    Ok(Served::Nothing { unused, index_on: plain.then(|| format!("{table} ({column})")), rows, behind })
}
