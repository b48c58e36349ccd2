//! Rounds of measurements, as a table of medians.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Result;
use super::machine::{Server, Usage};
use super::peers::Peer;

/// Peers that do the same work. The first is what the others are compared with.
pub(crate) struct Table {
    title: &'static str,
    /// The table whose rows CPU is told for.
    rows: &'static str,
    schema: &'static str,
    most: usize,
    peers: Vec<(&'static str, Peer)>,
}

impl Table {
    pub(crate) fn new(title: &'static str, rows: &'static str, schema: &'static str) -> Self {
        Self { title, rows, schema, most: usize::MAX, peers: Vec::new() }
    }

    #[must_use]
    pub(crate) fn row(mut self, name: &'static str, peer: Peer) -> Self {
        self.peers.push((name, peer));
        self
    }

    /// Rounds that are enough for long runs.
    #[must_use]
    pub(crate) fn at_most(mut self, rounds: usize) -> Self {
        self.most = rounds;
        self
    }

    /// Measures every peer once a round, one after the other, so that what else the machine does meets all of them.
    pub(crate) fn measure(&self, server: &Server, rounds: usize) -> Result<String> {
        let rounds = rounds.min(self.most);
        let mut measured: Vec<Vec<Usage>> = vec![Vec::new(); self.peers.len()];
        // What is read once is in memory for all.
        for (_, peer) in self.peers.iter().take(1) {
            peer.run(server)?;
        }
        for round in 1..=rounds {
            for ((name, peer), measured) in self.peers.iter().zip(&mut measured) {
                let usage = peer.run(server)?;
                eprintln!("{} {round}/{rounds}: {name}: {:.2} s", self.title, usage.wall);
                measured.push(usage);
            }
        }
        let rows: f64 = match self.rows {
            "all" => {
                let tables = ["patients", "encounters", "conditions", "observations"];
                tables.iter().try_fold(0.0, |sum, table| {
                    Ok::<_, Box<dyn std::error::Error>>(sum + count(server, self.schema, table)?)
                })?
            }
            table => count(server, self.schema, table)?,
        };
        let mut text = format!("\n### {}\n\n", self.title);
        text.push_str(
            "| | wall s | × first | resources | resources/s | MB/s | server CPU | own CPU | peak RSS | first bytes |\n",
        );
        text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
        let first = &measured[0];
        for ((name, _), usages) in self.peers.iter().zip(&measured) {
            let of = |figure: fn(&Usage) -> f64| median(usages.iter().map(figure).collect());
            let ratio = median(usages.iter().zip(first).map(|(usage, first)| usage.wall / first.wall).collect());
            let per_row = |seconds: f64, rows: f64| format!("{:.2} µs", seconds / rows * 1e6);
            let wall = of(|usage| usage.wall);
            let resources = of(|usage| usage.resources);
            let or_none = |value: f64, text: String| if value == 0.0 { "–".to_owned() } else { text };
            let rows = if resources > 0.0 { resources } else { rows };
            writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                figure(wall),
                figure(ratio),
                or_none(resources, format!("{resources:.0}")),
                or_none(resources, format!("{:.0} k", resources / wall / 1e3)),
                or_none(resources, format!("{:.0}", of(|usage| usage.bytes) / wall / 1e6)),
                per_row(of(|usage| usage.backend), rows),
                per_row(of(|usage| usage.client), rows),
                or_none(of(|usage| usage.rss), format!("{:.1} MiB", of(|usage| usage.rss))),
                or_none(of(|usage| usage.first), format!("{:.0} ms", of(|usage| usage.first))),
            )?;
        }
        Ok(text)
    }
}

/// Two digits that say something.
fn figure(value: f64) -> String {
    if value < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") }
}

fn count(server: &Server, schema: &str, table: &str) -> Result<f64> {
    Ok(server.query(&format!("select count(*) from {schema}.{table}"))?.parse()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Puts the measured part into the page, between its two marks.
pub(crate) fn write(page: &Path, measured: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let (begin, end) = ("<!-- measured -->\n", "<!-- end of measured -->");
    let (head, rest) = text.split_once(begin).ok_or("the page has no mark where the measured part begins")?;
    let (_, tail) = rest.split_once(end).ok_or("the page has no mark where the measured part ends")?;
    fs::write(page, format!("{head}{begin}{measured}\n{end}{tail}"))?;
    Ok(())
}
