//! Groups that clients have made: patients that searches find, and listed ones that do not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::ExportError;
use super::drive::lines;
use super::ids::{self, FoundKeys};
use super::prepare::Prepared;
use super::who::no_patient;
use crate::bulk::{ExportRequest, Roster, TypeFilter};
use crate::encode::Search;
use crate::mapping::tree::Mapping;
use crate::plan::compile::with_column;
use crate::plan::filter::{self, Changed};
use crate::plan::patients::{Compartment, compartment};
use crate::plan::program::Compiled;
use crate::plan::push::push;
use crate::plan::search;
use crate::plan::select::{Filter, quote_ident, statement};
use crate::plan::split::Range;
use crate::row::PgKind;
use crate::source::{Session, Source};

/// The first of the listed patients that do not exist, at most `told` of them, and how many there are (K-50).
///
/// # Errors
///
/// As [`super::export`].
pub async fn unknown(
    source: &Source,
    prepared: &Prepared,
    roster: &Roster,
    told: usize,
) -> Result<(Vec<String>, usize), ExportError> {
    let session = source.session().await?;
    let ids: Vec<&str> = roster.iter().map(|(id, _)| id).collect();
    let (_, missing) = ids::find(&session, prepared, "Patient", &ids).await?;
    let first = missing.iter().take(told).filter_map(|at| ids.get(*at)).map(|id| (*id).to_owned());
    Ok((first.collect(), missing.len()))
}

/// Those of `among`, or of everybody, whom each of these searches finds: themselves, or a resource of theirs (G-12,
/// G-14). What is withheld from the client finds nobody for it.
pub(super) async fn criteria(
    session: &Session,
    prepared: &Prepared,
    request: &ExportRequest,
    searches: &[TypeFilter],
    among: Option<FoundKeys>,
) -> Result<Option<FoundKeys>, ExportError> {
    let mut members = among;
    for search in searches {
        let rules = ExportRequest {
            filters: vec![search.clone()],
            withheld: request.withheld.clone(),
            ..ExportRequest::default()
        };
        members = Some(found(session, prepared, &rules, &search.resource_type, members.as_ref()).await?);
    }
    Ok(members)
}

/// Says whether searches can find members.
///
/// # Errors
///
/// The first that cannot.
pub(super) fn askable(prepared: &Prepared, searches: &[TypeFilter]) -> Result<(), ExportError> {
    searches.iter().try_for_each(|one| {
        let rules = ExportRequest { filters: vec![one.clone()], ..ExportRequest::default() };
        search::wanted(&prepared.pack, &rules, &one.resource_type)?;
        searched(prepared, &one.resource_type).map(drop)
    })
}

/// The mappings of a type whose resources belong to patients.
///
/// # Errors
///
/// None of them says to whom.
fn searched<'a>(prepared: &'a Prepared, resource_type: &str) -> Result<Vec<Owned<'a>>, ExportError> {
    let (mut searched, mut other) = (Vec::new(), None);
    let mut patients = prepared.pack.mappings.iter().filter(|mapping| mapping.resource_type == "Patient");
    let only = patients.next().filter(|_| patients.next().is_none()).map(|mapping| mapping.name.as_str());
    for mapping in prepared.pack.mappings.iter().filter(|mapping| mapping.resource_type == resource_type) {
        // The table of an optional one may not be there.
        if !prepared.catalog.rows.contains_key(&mapping.name) {
            continue;
        }
        let (column, owner) = match compartment(&prepared.pack, mapping, &prepared.catalog) {
            Compartment::Self_ { column } => (column, Some(mapping.name.clone())),
            Compartment::Column { column, mapping } => (column, mapping.or_else(|| only.map(str::to_owned))),
            Compartment::Outside | Compartment::Unknown => {
                other = Some(mapping);
                continue;
            }
        };
        // Of several mappings of Patient, a column alone does not say whose key it holds.
        let owner = owner.ok_or_else(|| no_patient(mapping))?;
        searched.push(Owned { mapping, column, owner });
    }
    match other {
        Some(mapping) if searched.is_empty() => Err(no_patient(mapping)),
        _ => Ok(searched),
    }
}

/// A mapping whose rows belong to patients.
struct Owned<'a> {
    mapping: &'a Mapping,
    column: (String, PgKind),
    /// The Patient mapping.
    owner: String,
}

/// Whom one search finds.
async fn found(
    session: &Session,
    prepared: &Prepared,
    rules: &ExportRequest,
    resource_type: &str,
    among: Option<&FoundKeys>,
) -> Result<FoundKeys, ExportError> {
    let Prepared { pack, catalog, sources, .. } = prepared;
    let zone = pack.project.zone();
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Owned { mapping, column, owner } in searched(prepared, resource_type)? {
        let Some(rows) = catalog.rows.get(&mapping.name) else { continue };
        let Some(wanted) = search::wanted(pack, rules, resource_type)? else { continue };
        let mut filter = filter::wanted(mapping, rows, &Changed::default(), zone);
        match among {
            Some(among) => filter::keys(&mut filter, &column, among.of(Some(&owner))),
            None => filter.conditions.push(format!("q.{} is not null", quote_ident(&column.0))),
        }
        push(pack, catalog, mapping, &wanted, zone, &mut filter);
        let compiled = with_column(pack, mapping, sources, catalog, &column.0).ok_or_else(|| no_patient(mapping))?;
        let search = Search::new(&wanted, zone)?;
        read(session, &compiled, &filter, &search, members.entry(owner).or_default()).await?;
    }
    Ok(FoundKeys::of_keys(members.into_iter().map(|(name, keys)| (name, keys.into_iter().collect())).collect()))
}

/// Reads a mapping's rows, and adds the patient's key of those whose resource is found.
async fn read(
    session: &Session,
    compiled: &Compiled,
    filter: &Filter,
    search: &Search,
    members: &mut BTreeSet<String>,
) -> Result<(), ExportError> {
    let mut rows = Vec::with_capacity(compiled.streams.len());
    for stream in &compiled.streams {
        rows.push(session.portal_stream(&statement(stream, filter, &Range::default(), None)).await?);
    }
    lines(compiled, &mut rows, |line| {
        if let Some(tab) = line.iter().position(|byte| *byte == b'\t') {
            let (key, resource) = line.split_at(tab);
            if let Ok(key) = serde_json::from_slice::<String>(key)
                && !members.contains(&key)
                && search.wants(resource.get(1..).unwrap_or_default())
            {
                members.insert(key);
            }
        }
        ControlFlow::Continue(())
    })
    .await
}
