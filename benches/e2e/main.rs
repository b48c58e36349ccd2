//! Whole exports against what PostgreSQL itself does with the same rows, paired in one run.
//!
//! `cargo bench --bench e2e` starts a server, makes a large store of the demo seed, measures, and writes the tables of
//! `docs/benchmarks.md`. `-- --rounds N` repeats each measurement N times (5). `-- --server DIR` uses the server whose
//! socket and data directory are in DIR and keeps what is in its database `bench`.

#![expect(clippy::print_stderr, reason = "a person watches")]

#[expect(dead_code, clippy::expect_used, reason = "tests use more of it, and fail where it does")]
#[path = "../../tests/support/cluster.rs"]
mod cluster;
mod machine;
mod one;
mod peers;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};

use machine::Server;
use peers::{Part, Peer};
use table::Table;

/// Every round measures all the peers of a table once; figures of a table are medians over its rounds.
const ROUNDS: usize = 5;

/// Copies of the demo's patients in the large store, in the one that is a tenth of it, and in one of two million rows.
const COPIES: [(&str, u32); 3] = [("big", 339), ("mid", 34), ("two", 49)];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "one") {
        return one::run(&args[1..]);
    }
    let option = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let rounds = option("--rounds").map_or(Ok(ROUNDS), |text| text.parse())?;
    let server = match option("--server") {
        Some(dir) => Server::running(Path::new(dir))?,
        None => Server::start(),
    };
    server.fill(&COPIES)?;
    peers::equal(&server, "mid")?;

    let mut page = String::new();
    page.push_str(&store(&server)?);
    for table in tables() {
        let text = table.measure(&server, rounds)?;
        eprint!("{text}");
        page.push_str(&text);
    }
    table::write(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md")), &page)
}

/// What is measured, in the order of the page. The first peer of a table is what the others are compared with.
fn tables() -> Vec<Table> {
    let flat = |sink, workers| Peer::smelt("big", &["Observation"], sink, workers);
    vec![
        Table::new("One flat type, 5 M rows", "observations", "big")
            .row("`COPY` binary, same columns, by psql", Peer::copy("big", &["observation"]))
            .row("smelt, nothing stored, 1 worker", flat("null", 1))
            .row("smelt, nothing stored, 2 workers", flat("null", 2))
            .row("smelt, nothing stored, 4 workers", flat("null", 4))
            .row("`dd`, as many bytes, synced", Peer::Disk { mebibytes: 3992 })
            .row("smelt, files, 1 worker", flat("file", 1))
            .row("smelt, files, 2 workers", flat("file", 2))
            .row("smelt, gzip, 2 workers", flat("gzip", 2))
            .row("smelt, zstd, 2 workers", flat("zstd", 2)),
        Table::new("The same resources by JSON in SQL, 0.5 M rows", "observations", "mid")
            .row("smelt, nothing stored, 1 worker", Peer::smelt("mid", &["Observation"], "null", 1))
            .row("`json_build_object`, `json_strip_nulls`", Peer::json("mid", &["observation"], false))
            .row("`jsonb_build_object`, `jsonb_strip_nulls`", Peer::json("mid", &["observation"], true)),
        Table::new("Patients with four lists, 100 k patients", "patients", "big")
            .row("smelt, nothing stored, 1 worker", Peer::smelt("big", &["Patient"], "null", 1))
            .row("smelt, nothing stored, 2 workers", Peer::smelt("big", &["Patient"], "null", 2))
            .row("`COPY` binary of the five tables", Peer::copy("big", &peers::PATIENT))
            .row("`json_build_object`, `json_agg` of the lists", Peer::json("big", &["patient"], false)),
        Table::new("Four types, to files: 14 M resources", "all", "big")
            .at_most(3)
            .row("`COPY` binary, same columns, one after the other", Peer::copy("big", &peers::ALL))
            .row("smelt, files, 2 workers", Peer::smelt("big", &peers::TYPES, "file", 2)),
        Table::new("Four types, to files: a tenth of it", "all", "mid")
            .at_most(3)
            .row("smelt, files, 2 workers", Peer::smelt("mid", &peers::TYPES, "file", 2))
            .row("`COPY` binary, same columns, one after the other", Peer::copy("mid", &peers::ALL))
            .row("`json_build_object`, one after the other", Peer::json("mid", &peers::RESOURCES, false)),
        Table::new("A part of 2 M resources, to files", "all", "two")
            .row("everything", Peer::part("two", Part::Whole))
            .row("`_since`: one row in a thousand was changed", Peer::part("two", Part::Changed))
            .row("`patient`: one of 14,455", Peer::part("two", Part::Patient))
            .row("a Group: one patient in a hundred", Peer::part("two", Part::Group)),
        Table::new("Memory: ten times the rows", "observations", "mid")
            .at_most(3)
            .row("smelt, files, 2 workers, 0.5 M rows", Peer::smelt("mid", &["Observation"], "file", 2))
            .row("smelt, files, 2 workers, 5 M rows", flat("file", 2)),
    ]
}

/// A line about the store that is measured.
fn store(server: &Server) -> Result<String> {
    let counted = server.query(
        "select pg_size_pretty(sum(pg_total_relation_size(c.oid))), current_setting('server_version') \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'big' and c.relkind = 'r'",
    )?;
    let (size, version) = counted.split_once('|').unwrap_or_default();
    let rows = server.query(
        "select string_agg(n || ' ' || t, ', ' order by t) from (select 'patients' t, to_char(count(*), 'FM999,999,999') n \
         from big.patients union all select 'encounters', to_char(count(*), 'FM999,999,999') from big.encounters union all \
         select 'conditions', to_char(count(*), 'FM999,999,999') from big.conditions union all select 'observations', \
         to_char(count(*), 'FM999,999,999') from big.observations) c",
    )?;
    Ok(format!(
        "Measured on {}; PostgreSQL {version}; smelt {}. The large store has {rows}; {size} on disk with its keys.\n",
        machine::describe()?,
        env!("CARGO_PKG_VERSION")
    ))
}
