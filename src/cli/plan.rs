//! `smelt explain MAPPING`.

use std::fmt::Write as _;

use super::args::{ExplainArgs, LevelArg};
use super::engine::open;
use super::exit::Exit;
use super::export::request;
use super::failure::Failure;
use crate::bulk::Level;
use crate::config::Settings;
use crate::export::{Explained, ExportOptions, Looked, Served, explain};

/// Prints what an export of a mapping would run.
pub(super) fn run(args: &ExplainArgs, settings: &Settings) -> Result<Exit, Failure> {
    let mut options = ExportOptions::default();
    if let Some(workers) = settings.workers {
        options.workers = workers.get() as usize;
    }
    let engine = open(settings, 1, options.sessions_per_worker)?;
    let mappings = &engine.prepared.pack.mappings;
    let Some(mapping) = mappings.iter().find(|mapping| mapping.name == args.what) else {
        let names: Vec<&str> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
        return Err(Failure::usage(
            format!("`{}` is no mapping of the pack, and no code of a diagnostic", args.what),
            format!("Mappings: {}.", names.join(", ")),
        ));
    };
    let parameters = args.request.parameters(vec![mapping.resource_type.clone()]);
    let mut request = request(&parameters, &args.request, &engine.prepared)?;
    if args.level == LevelArg::Patient {
        request.level = Level::Patient;
    }
    let explained = engine.runtime.block_on(explain(&engine.source, &engine.prepared, mapping, &request, &options))?;
    let text = if args.json {
        serde_json::to_string_pretty(&explained).map_err(|error| Failure::new(Exit::Failed, &error, None))? + "\n"
    } else {
        text(&explained)
    };
    super::print(&text)
}

/// The same for people.
fn text(explained: &Explained) -> String {
    let mut text = format!("{} ({})", explained.mapping, explained.resource_type);
    // Writing to a String cannot fail.
    let _ = match explained.rows {
        Some(rows) => writeln!(text, ": about {rows} rows"),
        None => writeln!(text, ": nothing is exported"),
    };
    let _ = writeln!(text, "pack {}", explained.pack_digest);
    let _ = writeln!(text, "transactionTime is at most {}: {}", explained.transaction_time, explained.watermark);
    if let Some(split) = &explained.split {
        let _ = match split.ranges {
            1 => writeln!(text, "read in one piece; it could be cut by {}", split.column),
            ranges => writeln!(text, "cut into {ranges} ranges of {}", split.column),
        };
    }
    if !explained.restrictions.is_empty() {
        text.push_str("\nWhat serves the restrictions\n");
    }
    for looked in &explained.restrictions {
        let column = looked.column.as_ref().map(|column| format!(" ({column})")).unwrap_or_default();
        let _ = writeln!(text, "  {}{column}: {}", looked.by, served(looked, explained.pushed));
    }
    for (number, stream) in explained.streams.iter().enumerate() {
        let _ = writeln!(
            text,
            "\nStream {number}: {}, cost {:.2}, about {:.0} rows",
            stream.name, stream.cost, stream.rows
        );
        for line in stream.sql.lines() {
            let _ = writeln!(text, "  {line}");
        }
        for (number, parameter) in stream.parameters.iter().enumerate() {
            let _ = writeln!(text, "  ${}: {parameter}", number + 1);
        }
        for line in &stream.plan {
            let _ = writeln!(text, "    {line}");
        }
    }
    if !explained.program.is_empty() {
        text.push_str("\nProgram\n");
    }
    for line in &explained.program {
        let _ = writeln!(text, "{line}");
    }
    let said = explained.notices.iter().filter_map(|notice| notice.pointer("/issue/0/details/text")?.as_str());
    for (number, notice) in said.enumerate() {
        let _ = writeln!(text, "{}  {notice}", if number == 0 { "\nThe export would tell\n" } else { "" });
    }
    text
}

fn served(looked: &Looked, pushed: bool) -> String {
    match &looked.served {
        _ if looked.by.contains('?') && !pushed && looked.column.is_some() => {
            "every row is read, because an alternative of it cannot leave rows out in SQL".to_owned()
        }
        Served::Index { name } => format!("index {name}"),
        Served::Nothing { unused, index_on, rows, behind } => {
            let read = match (behind, rows) {
                (Some(index), _) => format!("asked of what index {index} gives"),
                (None, Some(rows)) => format!("all {rows} rows are read"),
                (None, None) => "all rows are read, of a table that was never analysed".to_owned(),
            };
            match (unused, index_on) {
                (Some(unused), _) => format!("none: {read}; index {unused} is there and not used"),
                (None, Some(index_on)) => format!("none: {read}; an index on {index_on} would"),
                (None, None) => format!("none: {read}; an index on the expression in the statement would"),
            }
        }
        Served::NoIndex { why } => format!("none: {why}"),
        Served::Resource => "asked of every resource that is made; no row is left out in SQL".to_owned(),
    }
}
