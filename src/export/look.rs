//! Looking before exporting: a few resources of one mapping, and what an export would run.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::ExportError;
use super::drive::{Buffers, drive};
use super::failures::Tally;
use super::prepare::Prepared;
use super::run::{ExportOptions, plan, restrict};
use crate::bulk::ExportRequest;
use crate::encode::{Encoder, Limits, Watched};
use crate::plan::program::{Compiled, Site};
use crate::plan::select::{Param, statement};
use crate::plan::split::Range;
use crate::source::Source;

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
    let session = snapshot.session().await?;
    let filter = restrict(&session, prepared, compiled, request).await?;
    let mut sessions = vec![session];
    let mut rows = Vec::new();
    for (number, stream) in compiled.streams.iter().enumerate() {
        if sessions.len() <= number {
            sessions.push(snapshot.session().await?);
        }
        let statement = statement(stream, &filter, &Range::default(), compiled.split.as_ref());
        rows.push(sessions[number].stream(&statement).await?);
    }
    // Small chunks: nobody waits for rows beyond those shown.
    let mut encoder = Encoder::new(Arc::clone(&compiled.program), Limits { chunk_bytes: 4096 })?;
    encoder.watch();
    let mut seen: Vec<Watched> = Vec::new();
    let mut buffers = Buffers::default();
    let mut tally = Tally::default();
    let mut text: Vec<u8> = Vec::new();
    let mut made = 0;
    drive(&mut encoder, &mut rows, &mut buffers, |encoder, output| {
        tally.counts.merge(encoder.report());
        seen.extend(encoder.take_watched());
        // A large open resource stays in memory: it is about to be shown.
        while output.spill().is_some() {}
        let settled = output.take_settled(Vec::new());
        text.extend_from_slice(&settled.bytes);
        made += settled.resources;
        Ok(if made >= most as u64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .await?;
    let mut outcomes = Vec::new();
    tally.outcomes(&compiled.program, &mut outcomes);
    let sites = tally.counts.rejections.iter().filter_map(|one| compiled.program.sites.get(usize::from(one.site)));
    let (written, rejected): (Vec<Watched>, Vec<Watched>) = seen.into_iter().partition(|row| row.written);
    let lines = |bytes: &[u8]| {
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    Ok(Preview {
        resources: lines(&text).into_iter().take(most).collect(),
        outcomes: lines(&outcomes).into_iter().map(|line| String::from_utf8_lossy(&line).into_owned()).collect(),
        watched: written,
        rejected: tally.counts.rejected,
        rejections: rejected.into_iter().zip(sites.cloned()).collect(),
    })
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
    for part in &planned.parts {
        let program = &part.compiled.program;
        let _ = writeln!(
            text,
            "\n-- {} ({}): about {} rows in {} ranges",
            part.compiled.mapping,
            program.resource_type,
            part.estimate,
            part.ranges.len()
        );
        for (number, stream) in part.compiled.streams.iter().enumerate() {
            let range = part.ranges.first().cloned().unwrap_or_default();
            let statement = statement(stream, &part.filter, &range, part.compiled.split.as_ref());
            let _ = writeln!(text, "-- stream {number}\n{};", statement.text);
            for (at, param) in statement.params.iter().enumerate() {
                // Bounds of ranges and keys of patients are cell values.
                let what = match param {
                    Param::Text(_) => "a text".to_owned(),
                    Param::TextArray(all) => format!("{} keys", all.len()),
                };
                let _ = writeln!(text, "-- ${}: {what}", at + 1);
            }
        }
    }
    for notice in &planned.notices {
        let _ = write!(text, "-- {}", notice.to_json_line());
    }
    Ok(text)
}
