//! `_typeFilter` against an oracle: whatever is asked, what comes is what is right, read by SQL that leaves out as much
//! as it can.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, thread};

use jiff::tz::TimeZone;
use serde_json::Value;
use smelt::bulk::kickoff::add_filter;
use smelt::bulk::{ExportRequest, Known, Level, Parameters};
use smelt::config::read_pack;
use smelt::plan::search::searchable;

use self::random::{Search, parameters, search};
use super::engine::{Engine, Made, with_engine};
use crate::rust_text::root;
use crate::support::database::Database;
use crate::support::generate::Random;
use crate::support::pack::runtime;

/// Of patients, each type with a filter of its own; and of nobody.
const TYPES: [&str; 13] = [
    "AllergyIntolerance",
    "CarePlan",
    "Condition",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Immunization",
    "MedicationRequest",
    "Observation",
    "Patient",
    "Procedure",
    "Organization",
];

fn request(resource_type: &str, patients: &[String]) -> ExportRequest {
    let level = if patients.is_empty() { Level::System } else { Level::Patient };
    let given =
        Parameters { types: vec![resource_type.to_owned()], patients: patients.to_vec(), ..Parameters::default() };
    ExportRequest { level, ..ExportRequest::new(&given, &[resource_type]).expect("a request") }
}

/// What comes of some filters of a type.
fn filtered(engine: &Engine, mut request: ExportRequest, resource_type: &str, texts: &[String]) -> Made {
    let known = Known {
        mapped: &[resource_type],
        base_url: "https://localhost",
        compartment: &|_| true,
        searchable: &|resource_type, code| searchable(&engine.prepared.pack, resource_type, code),
        strict_filters: true,
    };
    for text in texts {
        add_filter(&mut request, text, &known).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    engine.export(&request).unwrap_or_else(|error| panic!("{texts:?}: {error}"))
}

fn by_id(resources: Option<&Vec<Value>>) -> BTreeMap<&str, &Value> {
    resources.into_iter().flatten().map(|one| (one["id"].as_str().expect("an id"), one)).collect()
}

/// What was asked in sum.
#[derive(Default)]
struct Tally {
    filters: u64,
    found: u64,
    read: u64,
    whole: u64,
    asked: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.filters += other.filters;
        self.found += other.found;
        self.read += other.read;
        self.whole += other.whole;
        self.asked.extend(other.asked);
    }

    #[expect(clippy::print_stdout, reason = "a long test says what it did")]
    fn print(&self, what: &str) {
        let Self { filters, found, read, whole, asked } = self;
        println!(
            "{what}: {filters} filters by {} parameters agree; of {whole} resources {found} were wanted, {read} rows read",
            asked.len()
        );
    }
}

/// Asks for one type, again and again.
fn agree(engine: &Engine, request: &ExportRequest, searches: usize, random: &mut Random, what: &str) -> Tally {
    let resource_type = request.types[0].as_str();
    let zone = TimeZone::get(engine.prepared.pack.project.zone()).expect("a zone");
    let mut tally = Tally::default();
    // What some cases are about is an export that fails.
    let Ok(all) = engine.export(request) else { return tally };
    let Some(resources) = all.resources.get(resource_type) else { return tally };
    let params = parameters(engine, resource_type);
    for _ in 0..searches {
        let made: Vec<Search> = (0..=random.below(2)).filter_map(|_| search(random, &params, resources)).collect();
        if made.is_empty() {
            continue;
        }
        let texts: Vec<String> = made.iter().map(|search| search.text(resource_type)).collect();
        let export = filtered(engine, request.clone(), resource_type, &texts);
        let right: Vec<Value> =
            resources.iter().filter(|one| made.iter().any(|search| search.finds(one, &zone))).cloned().collect();
        let (found, right) = (by_id(export.resources.get(resource_type)), by_id(Some(&right)));
        let differs: Vec<_> = right.keys().filter(|id| !found.contains_key(*id)).collect();
        let beyond: Vec<_> = found.keys().filter(|id| !right.contains_key(*id)).collect();
        assert!(
            found == right,
            "{what}, {texts:?}: {} right, not found {:?}, found beyond {:?}",
            right.len(),
            differs.first().map(|id| right[**id]),
            beyond.first().map(|id| found[**id])
        );
        for line in export.report.mappings.iter().filter(|line| line.resource_type == resource_type) {
            assert_eq!(line.rows, line.emitted + line.rejected + line.filtered, "{texts:?}");
            tally.read += line.rows;
        }
        tally.filters += texts.len() as u64;
        tally.found += found.len() as u64;
        tally.whole += resources.len() as u64;
        let codes = made.iter().flat_map(Search::codes);
        tally.asked.extend(codes.map(|code| format!("{resource_type}?{code}")));
    }
    tally
}

fn on_the_demo(engine: &Engine, searches: usize, seed: u64) {
    let patients = engine.texts("select id::text from patients order by id limit 4");
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for resource_type in TYPES {
        let of = if resource_type == "Organization" { &[][..] } else { &patients };
        tally.add(agree(engine, &request(resource_type, of), searches, &mut random, &format!("seed {seed}")));
    }
    tally.print("demo");
    for code in ["Patient?race", "Patient?ethnicity", "Observation?component-code-value-quantity"] {
        assert!(searches < 50 || tally.asked.contains(code), "{code} was asked");
    }
    assert!(tally.asked.len() > 80, "only {} parameters were asked", tally.asked.len());
    assert!(tally.read * 10 < tally.whole * 9, "SQL leaves rows out: {} of {} were read", tally.read, tally.whole);
}

/// Each case of the language with its pack and its database.
fn on_the_cases(searches: usize, seed: u64) {
    let entries = fs::read_dir(root().join("tests/mappings")).expect("a folder");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let only = std::env::var("CASE").ok();
    cases.retain(|path| path.is_dir() && only.as_ref().is_none_or(|only| path.ends_with(only)));
    cases.sort();
    let (queue, tally) = (Mutex::new(cases.iter()), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().expect("a queue").next() else { return };
                    let Some((_database, engine)) = open(case) else { continue };
                    let mut types: Vec<&str> =
                        engine.prepared.pack.mappings.iter().map(|mapping| mapping.resource_type.as_str()).collect();
                    types.dedup();
                    let mut random = Random::new(seed);
                    for name in types {
                        let what = format!("{}, seed {seed}", case.display());
                        // The one about filters has more to ask.
                        let times = if case.ends_with("searched") { 6 } else { 1 };
                        let found = agree(&engine, &request(name, &[]), times * searches, &mut random, &what);
                        tally.lock().expect("a tally").add(found);
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().expect("a tally");
    tally.print("cases");
    if only.is_some() {
        return;
    }
    assert!(tally.asked.len() > 60, "only {} parameters were asked", tally.asked.len());
    assert!(tally.read * 10 < tally.whole * 9, "SQL leaves rows out: {} of {} were read", tally.read, tally.whole);
}

/// A case's database and pack; none for one that is about a pack with errors.
fn open(case: &Path) -> Option<(Database, Engine)> {
    let asked = fs::read_to_string(case.join("request.txt")).unwrap_or_default();
    let pack = asked.lines().find_map(|line| line.strip_prefix("pack ")).unwrap_or_default();
    let files = read_pack(&case.join("mappings").join(pack)).expect("a pack");
    let schema = fs::read_to_string(case.join("schema.sql")).expect("a schema");
    let database = runtime().block_on(async {
        let database = Database::with_options("template template0").await;
        database.client().await.batch_execute(&schema).await.expect("a sound schema");
        database
    });
    let engine = Engine::with_pack(&database, &files)?;
    Some((database, engine))
}

// K-56 K-57 K-63 K-64
#[tokio::test]
async fn filters_find_what_the_book_says() {
    with_engine(|engine| on_the_demo(engine, 6, 1)).await;
}

// K-56 K-57 K-63 K-64
#[test]
fn filters_of_every_mapping_find_what_the_book_says() {
    on_the_cases(4, 1);
}

#[tokio::test]
#[ignore = "long"]
async fn soak_filters_find_what_the_book_says() {
    with_engine(|engine| on_the_demo(engine, 100, 2)).await;
}

#[test]
#[ignore = "long"]
fn soak_filters_of_every_mapping_find_what_the_book_says() {
    on_the_cases(200, 2);
}

// K-64: rows that cannot be found are not read.
#[test]
fn sql_reads_what_is_found() {
    let (_database, engine) = open(&root().join("tests/mappings/searched")).expect("a sound pack");
    for text in [
        "Patient?phone=1",
        "Patient?telecom=phone|1,fax|2",
        "Patient?email=a@x.org",
        "Patient?language=de",
        "Patient?language=https://example.org/sex|M",
        "Patient?identifier=urn:b|1",
        "Patient?race=2106-3",
        "Patient?ethnicity=2135-2",
        "Patient?gender-identity=446141000124107",
        "Observation?status=corrected",
        "Observation?status=final&category=laboratory",
        "Observation?category=survey",
        "Observation?component-code=8462-4",
        "Observation?code-value-quantity=85354-9$ge5",
        "Observation?component-code-value-quantity=8480-6$120",
        "CodeSystem?code=c2",
        "CodeSystem?language=en",
    ] {
        let resource_type = text.split('?').next().expect("a type");
        let made = filtered(&engine, request(resource_type, &[]), resource_type, &[text.to_owned()]);
        let line = made.report.mappings.iter().find(|line| line.resource_type == resource_type).expect("a line");
        let all = engine.export(&request(resource_type, &[])).expect("an export").resources[resource_type].len();
        assert!(line.emitted > 0 && line.emitted < all as u64, "{text}: {} of {all}", line.emitted);
        assert_eq!(line.filtered, 0, "{text}: {} of {all} were read", line.rows);
    }
}
