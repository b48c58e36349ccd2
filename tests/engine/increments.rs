//! Chained exports beside concurrent writers: a consumer that loads each export and asks for the next with the last
//! `transactionTime` holds what the tables hold. A control that takes the clock instead must lose something.
//!
//! `SMELT_ROUNDS` says how often; `make soak` asks for more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use smelt::{
    bulk::{ExportRequest, Parameters},
    export::{Counting, ExportOptions, Prepared, export, prepare},
    fhir::alias,
    mapping::{check::check, pack::load, render},
    sink::LocalSink,
    source::{Source, SourceOptions},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

use crate::support::{
    cluster::Cluster,
    database::target,
    pack::{pack, runtime},
};

/// Each table has another source of change; every row's `v` is what must arrive.
const SCHEMA: &str = "
create function stamp() returns trigger language plpgsql as $$ begin new.at = now(); return new; end $$;

-- Stamped by a trigger; deletions leave a tombstone, stamped alike.
create table trig (id int primary key, v int, at timestamptz);
create index on trig (at);
create trigger stamp before insert or update on trig for each row execute function stamp();
create table gone (id int, at timestamptz default now());
create function bury() returns trigger language plpgsql as $$ begin insert into gone (id) values (old.id); return old; end $$;
create trigger bury after delete on trig for each row execute function bury();

-- The same with a mark in the row, in local time of a zone.
create table soft (id int primary key, v int, at timestamp, dead timestamp);
create function stamp_local() returns trigger language plpgsql as $$
begin
  new.at = now() at time zone 'Europe/Berlin';
  if new.dead is not null then new.dead = new.at; end if;
  return new;
end $$;
create trigger stamp before insert or update on soft for each row execute function stamp_local();

-- Stamped by applications, whose clocks differ.
create table app (id int primary key, v int, at timestamptz, dead boolean not null default false);

-- One resource of two tables.
create table head (id int primary key, v int, at timestamptz);
create trigger stamp before insert or update on head for each row execute function stamp();
create table tail (id int primary key, w int, at timestamptz);
create trigger stamp before insert or update on tail for each row execute function stamp();

-- Nobody stamps or buries it; the server knows when a transaction committed.
create table plain (id int primary key, v int);
";

const TRIG: &str = "table: trig\nkey: id\nupdated: at\ndeleted: {table: gone, key: id, at: at}\npatient: none\nresource:\n  \
                    resourceType: Basic\n  id: \"t-{{id}}\"\n  code: {text: $v}\n";
const SOFT: &str = "table: soft\nkey: id\nupdated: at\ndeleted: dead\nresource:\n  resourceType: Location\n  \
                    id: \"s-{{id}}\"\n  name: $v\n";
const APP: &str = "table: app\nkey: id\nupdated: at\nskew: 1s\ndeleted: dead\nresource:\n  resourceType: Organization\n  \
                   id: \"a-{{id}}\"\n  name: $v\n";

const BOTH: &str = "sql: both.sql\nkey: id\nupdated: [head_at, tail_at]\nresource:\n  \
                    resourceType: HealthcareService\n  id: \"b-{{id}}\"\n  name: $v\n";
const BOTH_SQL: &str = "select h.id, concat(h.v, '-', t.w) as v, h.at as head_at, t.at as tail_at
                        from head h left join tail t on t.id = h.id";
const PLAIN: &str = "table: plain\nkey: id\nupdated: xmin\nresource:\n  resourceType: InsurancePlan\n  \
                     id: \"p-{{id}}\"\n  name: $v\n";

const TYPES: [&str; 5] = ["Basic", "HealthcareService", "InsurancePlan", "Location", "Organization"];

/// What the tables say there is: id and value.
const TRUTH: &str = "select 'Basic/t-' || id, v::text from trig
    union all select 'Location/s-' || id, v::text from soft where dead is null
    union all select 'Organization/a-' || id, v::text from app where not dead
    union all select 'HealthcareService/b-' || h.id, concat(h.v, '-', t.w) from head h left join tail t on t.id = h.id
    union all select 'InsurancePlan/p-' || id, v::text from plain";

/// How far the clocks of applications may be behind, and how far this writer's is, in milliseconds.
const SKEW: u64 = 1000;

type Held = BTreeMap<String, String>;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Writes until it is told to stop. A writer has keys of its own, so that none waits for another.
async fn write(dsn: &str, number: u64, stop: &AtomicBool, committed: &AtomicU64) {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (number + 1));
    let mut v = 0;
    while !stop.load(Ordering::Relaxed) {
        client.batch_execute("begin").await.expect("begun");
        for _ in 0..=random.below(4) {
            v += 1;
            let id = random.below(60) * 8 + number;
            // An application's clock, behind by up to the skew.
            let clock = format!("clock_timestamp() - interval '{} ms'", random.below(SKEW));
            let statement = match random.below(14) {
                0 | 1 => format!("insert into trig values ({id}, {v}) on conflict (id) do update set v = {v}"),
                2 => format!("delete from trig where id = {id}"),
                3 | 4 => {
                    format!("insert into soft values ({id}, {v}) on conflict (id) do update set v = {v}, dead = null")
                }
                5 => format!("update soft set dead = now() where id = {id}"),
                6 => format!("insert into head values ({id}, {v}) on conflict (id) do update set v = {v}"),
                7 | 8 => format!("insert into tail values ({id}, {v}) on conflict (id) do update set w = {v}"),
                9 => format!("insert into plain values ({id}, {v}) on conflict (id) do update set v = {v}"),
                10 => format!("delete from plain where id = {id}"),
                11 => format!("with gone as (delete from tail where id = {id}) delete from head where id = {id}"),
                12 => format!(
                    "insert into app values ({id}, {v}, {clock}) on conflict (id) do update set v = {v}, dead = false, \
                     at = excluded.at"
                ),
                _ => format!("update app set dead = true, at = {clock} where id = {id}"),
            };
            client.batch_execute(&statement).await.expect("written");
        }
        // Most are short, some outlast an export or two.
        let pause = match random.below(6) {
            0 => 0.15,
            1 => 0.05,
            _ => 0.004,
        };
        let end = if random.below(5) == 0 { "rollback" } else { "commit" };
        client.batch_execute(&format!("select pg_sleep({pause}); {end}")).await.expect("ended");
        committed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The engine, and what a consumer of its exports holds.
struct Consumer<'a> {
    source: &'a Source,
    prepared: &'a Prepared,
    ledger: TempDir,
    held: Held,
    since: Option<String>,
    exports: u32,
    /// Time in them.
    spent: Duration,
}

impl Consumer<'_> {
    /// One export, loaded: what is there, then what is gone.
    fn export(&mut self, wait: Duration) {
        let runtime = runtime();
        let asked = Parameters { since: self.since.clone(), ..Parameters::default() };
        let request = ExportRequest::new(&asked, &TYPES).expect("a good request");
        let out = scratch();
        let sink = LocalSink::open(out.path()).expect("a sink");
        let options = ExportOptions {
            workers: 1,
            snapshot_wait: wait,
            ledger: Some(self.ledger.path().to_owned()),
            ..ExportOptions::default()
        };
        let began = Instant::now();
        let (counting, cancel) = (Arc::new(Counting::default()), CancellationToken::new());
        let done = export(&runtime, self.source, self.prepared, &request, &options, &sink, &counting, &cancel);
        let manifest = done.expect("exported").manifest;
        self.spent += began.elapsed();
        self.exports += 1;
        let lines = |url: &str| {
            let text = std::fs::read_to_string(out.path().join(url)).expect("a file");
            let lines: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            lines
        };
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let mut there = BTreeSet::new();
        for resource in manifest.output.iter().flat_map(|file| lines(&file.url)) {
            let id = format!("{}/{}", text(&resource["resourceType"]), text(&resource["id"]));
            let value = resource.get("name").unwrap_or(&resource["code"]["text"]);
            there.insert(id.clone());
            self.held.insert(id, text(value));
        }
        for bundle in manifest.deleted.iter().flatten().flat_map(|file| lines(&file.url)) {
            let id = text(&bundle["entry"][0]["request"]["url"]);
            // M-12
            assert!(!there.contains(&id), "{id} is in `output` and in `deleted`");
            self.held.remove(&id);
        }
        assert_eq!(manifest.deleted.is_some(), self.since.is_some());
        self.since = Some(manifest.transaction_time);
    }
}

/// A directory, in memory where that can be: an export waits for the disk a good deal, and no crash is tried here.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

async fn truth(admin: &Client) -> Held {
    let rows = admin.query(TRUTH, &[]).await.expect("rows");
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn clock(admin: &Client) -> String {
    let sql = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    admin.query_one(sql, &[]).await.expect("a time").get(0)
}

fn lost(held: &Held, truth: &Held) -> Vec<String> {
    let ids: BTreeSet<&String> = held.keys().chain(truth.keys()).collect();
    ids.into_iter().filter(|id| held.get(*id) != truth.get(*id)).cloned().collect()
}

#[expect(clippy::print_stderr, reason = "a long test says what it did")]
fn rounds(count: u32) {
    let cluster = Cluster::start_with("track_commit_timestamp = on");
    let dsn = cluster.dsn("postgres");
    let looking = runtime();
    let (admin, straddling) = looking.block_on(async { (cluster.client().await, cluster.client().await) });
    looking.block_on(admin.batch_execute(SCHEMA)).expect("the schema is right");

    let files = pack(&[
        ("mappings/project.yaml", "format: 1\ntimezone: Europe/Berlin\n"),
        ("mappings/trig.yaml", TRIG),
        ("mappings/soft.yaml", SOFT),
        ("mappings/app.yaml", APP),
        ("mappings/both.yaml", BOTH),
        ("mappings/plain.yaml", PLAIN),
        ("sql/both.sql", BOTH_SQL),
    ]);
    let checked = check(load(&files, alias::builtins()));
    let diagnostics = render::text(&checked.diagnostics, &checked.sources, false);
    let pack = checked.pack.unwrap_or_else(|| panic!("{diagnostics}"));
    let (source, prepared) = runtime().block_on(async {
        let source = Source::connect(target(&dsn), SourceOptions::default()).await.expect("the source connects");
        let session = source.session().await.expect("a session");
        let (prepared, found) = prepare(&session, pack, checked.sources).await.expect("the session lives");
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(sources) => panic!("{}", render::text(&found, &sources, false)),
        };
        (source, prepared)
    });

    let consumer = || Consumer {
        source: &source,
        prepared: &prepared,
        ledger: scratch(),
        held: Held::new(),
        since: None,
        exports: 0,
        spent: Duration::ZERO,
    };
    let (mut consumer, mut control) = (consumer(), consumer());
    let began = Instant::now();
    let mut control_lost = 0;
    let committed = Arc::new(AtomicU64::new(0));
    for round in 0..count {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let (stop, committed, dsn) = (Arc::clone(&stop), Arc::clone(&committed), dsn.clone());
                let number = number + 4 * u64::from(round % 2);
                std::thread::spawn(move || runtime().block_on(write(&dsn, number, &stop, &committed)))
            })
            .collect();
        // One that is open in any case while an export runs: its stamp is older than the export, its commit is younger.
        let open = format!("begin; insert into trig values ({}, {round})", 1_000_000 + round);
        looking.block_on(straddling.batch_execute(&open)).expect("written");
        for export in 0..=round % 2 {
            // The control proves that the writers can be missed; a few rounds of it are enough.
            if control_lost == 0 {
                let now = looking.block_on(clock(&admin));
                control.export(Duration::ZERO);
                control.since = Some(now);
            }
            consumer.export(Duration::from_millis(if export == 1 { 30 } else { 0 }));
        }
        looking.block_on(straddling.batch_execute("commit")).expect("committed");
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("no writer failed");
        }
        consumer.export(Duration::ZERO);
        let truth = looking.block_on(truth(&admin));
        let wrong = lost(&consumer.held, &truth);
        assert!(wrong.is_empty(), "round {round}, since {:?}: {wrong:?} differ", consumer.since);
        if control_lost == 0 {
            control.export(Duration::ZERO);
            control_lost += lost(&control.held, &truth).len();
        }
    }
    let committed = committed.load(Ordering::Relaxed);
    eprintln!(
        "{count} rounds, {} exports in {:.1} of {:.1} s, {committed} transactions, {} resources",
        consumer.exports,
        consumer.spent.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        consumer.held.len()
    );
    assert!(committed > u64::from(count) * 4, "{committed} transactions are too few to show anything");
    assert!(control_lost > 0, "with the clock for `_since` nothing was lost: the test shows nothing");
}

fn asked(default: u32) -> u32 {
    std::env::var("SMELT_ROUNDS").ok().map_or(default, |rounds| rounds.parse().expect("SMELT_ROUNDS is a number"))
}

// M-01, M-02, M-10, M-12, K-35
#[test]
fn chained_increments_equal_the_tables() {
    rounds(asked(50));
}

#[test]
#[ignore = "takes long: make soak"]
fn soak_chained_increments_equal_the_tables() {
    rounds(asked(500));
}
