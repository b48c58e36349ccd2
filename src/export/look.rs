//! Looking before exporting: a few resources of one mapping, and what an export would run.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::cohort::askable;
use super::drive::{Buffers, drive};
use super::failures::Tally;
use super::ids;
use super::organize::place;
use super::plan::{is_added_provenance, plan, restrict};
use super::prepare::Prepared;
use super::reduce::reduce;
use super::who::{Known, Narrowed, no_patient, who};
use super::{ExportError, ExportOptions};
use crate::bulk::{ExportRequest, Roster, TypeFilter};
use crate::encode::{Encoder, Limits, Search, Watched};
use crate::mapping::tree::Mapping;
use crate::plan::filter::{self, Changed};
use crate::plan::program::{Compiled, Site};
use crate::plan::search;
use crate::plan::select::{Filter, Param, statement};
use crate::plan::split::Range;
use crate::source::{Snapshot, Source};

/// The first resources of a mapping.
#[derive(Debug, Default)]
pub struct Preview {
    /// One JSON object each.
    pub resources: Vec<Vec<u8>>,
    /// OperationOutcome lines of what was read on the way.
    pub outcomes: Vec<String>,
    /// What was seen of the row of each of them.
    pub watched: Vec<Watched>,
    /// Rows that could not become a resource.
    pub rejected: u64,
    /// Of those of them before the last resource: what was seen of the row, and where it failed.
    pub rejections: Vec<(Watched, Site)>,
}

/// Reads rows of one mapping until `most` resources are made.
///
/// # Errors
///
/// As [`super::export`].
pub async fn preview(
    source: &Source,
    prepared: &Prepared,
    compiled: &Compiled,
    request: &ExportRequest,
    most: usize,
) -> Result<Preview, ExportError> {
    let snapshot = source.snapshot(Duration::ZERO).await?;
    let filter = restrict(snapshot.leader(), prepared, compiled, request).await?;
    let read = Read { most, most_bytes: usize::MAX, streams: compiled.streams.len(), watch: true };
    Ok(first(&snapshot, compiled, &filter, &read).await?.unwrap_or_default())
}

/// How much of a mapping is read.
struct Read {
    /// Resources.
    most: usize,
    /// Bytes of them.
    most_bytes: usize,
    /// Streams whose rows are read; lists beyond them stay empty.
    streams: usize,
    /// Remember what is seen of the rows.
    watch: bool,
}

/// Reads rows of one mapping until there is enough; none when there is too much.
async fn first(
    snapshot: &Snapshot,
    compiled: &Compiled,
    filter: &Filter,
    read: &Read,
) -> Result<Option<Preview>, ExportError> {
    let mut rows = Vec::new();
    for stream in compiled.streams.iter().take(read.streams) {
        let statement = statement(stream, filter, &Range::default(), compiled.split.as_ref());
        rows.push(snapshot.leader().portal_stream(&statement).await?);
    }
    // Small chunks: nobody waits for rows beyond those shown.
    let mut encoder = Encoder::new(Arc::clone(&compiled.program), Limits { chunk_bytes: 4096 })?;
    if read.watch {
        encoder.watch();
    }
    let mut seen: Vec<Watched> = Vec::new();
    let mut buffers = Buffers::default();
    let mut tally = Tally::default();
    let mut text: Vec<u8> = Vec::new();
    let (mut made, mut too_much) = (0, false);
    drive(&mut encoder, &mut rows, &mut buffers, |encoder, output| {
        tally.counts.merge(encoder.report());
        seen.extend(encoder.take_watched());
        // A large open resource stays in memory: it is about to be shown.
        while output.spill().is_some() {}
        too_much = text.len() + output.open_len() > read.most_bytes;
        let settled = output.take_settled(Vec::new());
        text.extend_from_slice(&settled.bytes);
        made += settled.resources;
        Ok(if made >= read.most as u64 || too_much { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    if too_much {
        return Ok(None);
    }
    let mut outcomes = Vec::new();
    tally.outcomes(&compiled.program, &mut outcomes);
    let sites = tally.counts.rejections.iter().filter_map(|one| compiled.program.sites.get(usize::from(one.site)));
    let (written, rejected): (Vec<Watched>, Vec<Watched>) = seen.into_iter().partition(|row| row.written);
    let lines = |bytes: &[u8]| {
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    Ok(Some(Preview {
        resources: lines(&text).into_iter().take(read.most).collect(),
        outcomes: lines(&outcomes).into_iter().map(|line| String::from_utf8_lossy(&line).into_owned()).collect(),
        watched: written,
        rejected: tally.counts.rejected,
        rejections: rejected.into_iter().zip(sites.cloned()).collect(),
    }))
}

/// Bytes of a Group with its members; a larger one is shown without them (G-02).
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Groups as resources, at most this many.
const GROUPS: usize = 10_000;

/// The Group resources of a pack (G-01, G-02): the one with this id and its members, unless it is withheld, or
/// all without theirs.
///
/// # Errors
///
/// As [`super::export`].
pub async fn groups(
    source: &Source,
    prepared: &Prepared,
    id: Option<&str>,
    withheld: &[TypeFilter],
) -> Result<Vec<Vec<u8>>, ExportError> {
    let rules = ExportRequest { withheld: withheld.to_vec(), ..ExportRequest::default() };
    let wanted_alone = search::wanted(&prepared.pack, &rules, "Group")?.filter(|_| id.is_some());
    let snapshot = source.snapshot(Duration::ZERO).await?;
    let zone = prepared.pack.project.zone();
    let wanted_alone = wanted_alone.map(|wanted| Search::new(&wanted, zone)).transpose()?;
    let ids: Vec<&str> = id.into_iter().collect();
    let (wanted, _) = ids::find(snapshot.leader(), prepared, "Group", &ids).await?;
    let mut found = Vec::new();
    for compiled in &prepared.compiled {
        let of_groups = |mapping: &&Mapping| mapping.name == compiled.mapping && mapping.resource_type == "Group";
        let Some(mapping) = prepared.pack.mappings.iter().find(of_groups) else { continue };
        let Some(rows) = prepared.catalog.rows.get(&mapping.name) else { continue };
        let mut filter = filter::wanted(mapping, rows, &Changed::default(), zone);
        let mut read = Read { most: GROUPS, most_bytes: usize::MAX, streams: 1, watch: false };
        if id.is_some() {
            let [key] = mapping.header.key.as_slice() else { continue };
            let Some((_, column)) = rows.column(&key.text) else { continue };
            filter::keys(&mut filter, &(key.text.clone(), column.kind.clone()), wanted.of(Some(&mapping.name)));
            read = Read { most: 1, most_bytes: GROUP_BYTES, streams: compiled.streams.len(), watch: false };
        }
        let preview = match (first(&snapshot, compiled, &filter, &read).await?, &wanted_alone) {
            (Some(mut preview), Some(wanted)) => {
                preview.resources.retain(|group| wanted.wants(&group[..]));
                preview
            }
            (Some(preview), None) => preview,
            // Without its lists nobody can say that it is not withheld.
            (None, Some(_)) => Preview::default(),
            (None, None) => {
                first(&snapshot, compiled, &filter, &Read { streams: 1, ..read }).await?.unwrap_or_default()
            }
        };
        found.extend(preview.resources);
    }
    Ok(found)
}

/// Says whether an export could run, so that a mistake is told when it is asked for (K-22): groups, patients, filters.
/// Nothing is counted.
///
/// # Errors
///
/// As [`super::export`] would tell.
pub async fn check(
    source: &Source,
    prepared: &Prepared,
    request: &ExportRequest,
    roster: Option<&Roster>,
) -> Result<(), ExportError> {
    let session = source.session().await?;
    if let Some(cohort) = &request.cohort {
        askable(prepared, &cohort.filters)?;
    }
    let who = who(&session, prepared, request, Known::Before { roster }).await?;
    let (mut narrowed, mut unknown) = (false, None);
    let asked =
        |mapping: &&Mapping| request.types.contains(&mapping.resource_type) || is_added_provenance(mapping, request);
    for mapping in prepared.pack.mappings.iter().filter(asked) {
        match who.narrow(mapping, &mut Filter::default())? {
            Narrowed::Yes => narrowed = true,
            Narrowed::Unknown if is_added_provenance(mapping, request) => return Err(no_patient(mapping)),
            Narrowed::Unknown => unknown = unknown.or(Some(mapping)),
            Narrowed::Outside => {}
        }
        let wanted = search::wanted(&prepared.pack, request, &mapping.resource_type)?;
        if let Some(whole) = prepared.compiled.iter().find(|compiled| compiled.mapping == mapping.name) {
            reduce(prepared, mapping, whole, request, wanted.as_ref())?;
        }
        if request.by_patient && request.types_given {
            place(prepared, mapping, mapping)?;
        }
    }
    unknown.filter(|_| !narrowed).map_or(Ok(()), |mapping| Err(no_patient(mapping)))
}

/// What a parameter is. Its value is not told: bounds of ranges and keys of patients are cell values.
pub(super) fn described(param: &Param) -> String {
    match param {
        Param::Text(_) => "a text".to_owned(),
        Param::TextArray(all) if all.len() == 1 => "1 key".to_owned(),
        Param::TextArray(all) => format!("{} keys", all.len()),
    }
}

/// What an export would run: statements, ranges, expected rows. Nothing is read but statistics.
///
/// # Errors
///
/// As [`super::export`].
pub async fn dry_run(
    source: &Source,
    prepared: &Prepared,
    request: &ExportRequest,
    options: &ExportOptions,
) -> Result<String, ExportError> {
    let planned = plan(source, prepared, request, options).await?;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "-- {} workers, transactionTime is at most {}", options.workers, planned.transaction_time());
    for (at, part) in planned.parts.iter().enumerate() {
        let program = &part.compiled.program;
        let _ = writeln!(
            text,
            "\n-- {} ({}): about {} rows in {} range{}",
            part.compiled.mapping,
            program.resource_type,
            part.estimate,
            part.ranges.len().max(1),
            if part.ranges.len() <= 1 { "" } else { "s" }
        );
        if planned.added.all().any(|addition| addition.part == at) {
            let _ = writeln!(
                text,
                "-- read at the end: what is written is what belongs to the others, or what they point to"
            );
        }
        if part.only.is_some() {
            let sql = if part.pushed { "and narrows the rows that are read" } else { "every row is read" };
            let _ = writeln!(text, "-- _typeFilter is asked of every resource made, {sql}");
        }
        for (number, stream) in part.compiled.streams.iter().enumerate() {
            let range = part.ranges.first().cloned().unwrap_or_default();
            let statement = statement(stream, &part.filter, &range, part.compiled.split.as_ref());
            let _ = writeln!(text, "-- stream {number}\n{};", statement.text);
            for (at, param) in statement.params.iter().enumerate() {
                let _ = writeln!(text, "-- ${}: {}", at + 1, described(param));
            }
        }
    }
    for notice in &planned.notices {
        let _ = write!(text, "-- {}", notice.to_json_line());
    }
    Ok(text)
}
