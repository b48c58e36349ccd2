//! Output organized by patient against output by type, of the same real data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;
use smelt::bulk::report::Report;
use smelt::bulk::{ExportRequest, Level, Manifest, Parameters};
use smelt::export::{Counting, ExportOptions, export};
use smelt::fhir::compartment::patient_compartment;
use smelt::sink::{Codec, LocalSink};
use tokio_util::sync::CancellationToken;

use super::along::targets;
use super::engine::Engine;
use super::store::eleven;

/// Types of the pack that stand in no compartment. A Device does here: it names its patient.
const CONTEXT: [&str; 6] = ["Group", "Location", "Medication", "Organization", "Practitioner", "PractitionerRole"];

/// An export, its files unpacked.
struct Ran {
    manifest: Manifest,
    report: Report,
    /// Texts of the files of resources, in the order of the manifest.
    texts: Vec<String>,
    outcomes: String,
}

fn run(engine: &Engine, request: &ExportRequest, options: &ExportOptions) -> Ran {
    let out = tempfile::tempdir().expect("a directory");
    let sink = LocalSink::open(&out.path().join("out")).expect("a sink");
    let (progress, cancel) = (Counting::default(), CancellationToken::new());
    let made = export(&engine.runtime, &engine.source, &engine.prepared, request, options, &sink, &progress, &cancel);
    let made = made.expect("an export");
    let text = |name: &str| {
        let stored = fs::read(out.path().join("out").join(name)).expect("a file");
        let mut text = String::new();
        match options.codec {
            Codec::Gzip => _ = GzDecoder::new(&stored[..]).read_to_string(&mut text).expect("gzip"),
            _ => text = String::from_utf8(stored).expect("UTF-8"),
        }
        text
    };
    let left =
        fs::read_dir(out.path().join("out")).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "nothing hidden stays");
    let progress = progress.look();
    assert!(progress.types.iter().all(|one| one.done), "{progress:?}");
    assert_eq!(progress.types.iter().any(|one| one.name == "blocks" && one.rows > 0), request.by_patient);
    Ran {
        texts: made.manifest.output.iter().map(|file| text(&file.url)).collect(),
        outcomes: made.manifest.outcome.iter().map(|file| text(&file.url)).collect(),
        manifest: made.manifest,
        report: made.report,
    }
}

fn all(level: Level, engine: &Engine) -> ExportRequest {
    let mapped: Vec<&str> = engine.prepared.pack.mappings.iter().map(|one| one.resource_type.as_str()).collect();
    ExportRequest { level, ..ExportRequest::new(&Parameters::default(), &mapped).expect("types") }
}

fn organized(request: &ExportRequest) -> ExportRequest {
    ExportRequest { by_patient: true, ..request.clone() }
}

fn options(workers: usize, file_bytes: u64, codec: Codec) -> ExportOptions {
    // Small chunks, so that resources of some size are spilled.
    ExportOptions { workers, file_bytes, codec, chunk_bytes: 4096, ..ExportOptions::default() }
}

fn kind(json: &Value) -> &str {
    json["resourceType"].as_str().expect("a type")
}

/// Whether a resource names the patient in an element of its compartment (or, a Device, in `patient`).
fn is_of(json: &Value, patient: &str) -> bool {
    let paths = patient_compartment(kind(json)).unwrap_or(&["patient"]);
    paths.iter().any(|path| {
        let mut found = BTreeSet::new();
        let first = path.split('.').next().expect("a step");
        targets(&json[first], &mut found);
        found.contains(patient)
    })
}

/// Checks every block and gives the lines, each with how often it stands there.
fn blocks(ran: &Ran, limit: u64) -> BTreeMap<String, u64> {
    assert_eq!(ran.manifest.output_organized_by.as_deref(), Some("Patient"), "M-15");
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    let (mut patients, mut context): (BTreeSet<String>, BTreeMap<String, Value>) = Default::default();
    let mut all: Vec<(String, Vec<Value>)> = Vec::new();
    let mut goes_on = None;
    for (file, text) in ran.manifest.output.iter().zip(&ran.texts) {
        assert!(file.resource_type.is_empty(), "M-15");
        assert!(text.len() as u64 <= limit, "F-21: {} has {} bytes", file.url, text.len());
        assert_eq!(text.len() as u64, file.file_size);
        if let Some(expected) = goes_on.take() {
            assert_eq!(expected, file.url, "F-21");
        }
        let mut count = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let json: Value = serde_json::from_str(line).expect("JSON");
            let header = json["parameter"][0]["valueReference"]["reference"].as_str();
            match header.filter(|_| kind(&json) == "Parameters") {
                Some(patient) if patients.insert(patient.to_owned()) => all.push((patient.to_owned(), Vec::new())),
                Some(patient) => {
                    assert_eq!(number, 0, "only a file that goes on repeats a header");
                    assert_eq!(all.last().expect("a block").0, patient, "F-21");
                }
                None => {
                    count += 1;
                    *lines.entry(line.to_owned()).or_default() += 1;
                    if CONTEXT.contains(&kind(&json)) {
                        let name = format!("{}/{}", kind(&json), json["id"].as_str().expect("an id"));
                        context.insert(name, json.clone());
                    }
                    all.last_mut().expect("a header comes first").1.push(json);
                }
            }
        }
        assert_eq!(count, file.count, "M-09: headers are not counted");
        goes_on.clone_from(&file.continues_in_file);
    }
    assert_eq!(goes_on, None);
    for (patient, resources) in &all {
        let names: Vec<&str> = resources.iter().map(kind).collect();
        let place = |name: &str| (CONTEXT.contains(&name), name != "Patient", name != "Encounter", name.to_owned());
        assert!(names.is_sorted_by_key(|name| place(name)), "{patient}: {names:?}");
        let (members, copies): (Vec<&Value>, Vec<&Value>) =
            resources.iter().partition(|json| !CONTEXT.contains(&kind(json)));
        let mut open = BTreeSet::new();
        for json in &members {
            targets(json, &mut open);
            match kind(json) {
                "Patient" => assert_eq!(patient.strip_prefix("Patient/"), json["id"].as_str()),
                // Its element of the compartment holds what it is about; the pack says whose that is.
                "Provenance" => {}
                _ => assert!(is_of(json, patient), "{patient}: {json}"),
            }
        }
        // F-22: what is referred to, once, and what that refers to.
        let mut wanted = BTreeSet::new();
        let mut open: Vec<String> = open.into_iter().collect();
        while let Some(name) = open.pop() {
            if let Some(json) = context.get(&name).filter(|_| wanted.insert(name.clone())) {
                let mut more = BTreeSet::new();
                targets(json, &mut more);
                open.extend(more);
            }
        }
        wanted.retain(|name| context.contains_key(name));
        let found: Vec<String> =
            copies.iter().map(|json| format!("{}/{}", kind(json), json["id"].as_str().expect("an id"))).collect();
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), wanted, "{patient}");
        assert_eq!(found.len(), wanted.len(), "{patient}: each once");
    }
    lines
}

/// Everything of the export by type is there and nothing else, or it is told; and the report adds up.
fn same(by_type: &Ran, ran: &Ran, lines: &BTreeMap<String, u64>) {
    let (mut missing, mut written) = (BTreeMap::<String, u64>::new(), 0);
    let mut seen = 0;
    for line in by_type.texts.iter().flat_map(|text| text.split_inclusive('\n')) {
        let json: Value = serde_json::from_str(line).expect("JSON");
        match lines.get(line) {
            Some(times) if CONTEXT.contains(&kind(&json)) => written += times,
            Some(times) => {
                assert_eq!(*times, 1, "{line}");
                written += 1;
            }
            None => *missing.entry(kind(&json).to_owned()).or_default() += 1,
        }
        seen += u64::from(lines.contains_key(line));
    }
    assert_eq!(seen, lines.len() as u64, "nothing else is there");
    assert_eq!(written, lines.values().sum::<u64>());
    for (kind, count) in &missing {
        let told = format!("\"{count} {kind} ");
        assert!(ran.outcomes.contains(&told), "{told}: {}", ran.outcomes);
    }
    for after in &ran.report.mappings {
        assert!(after.balances(), "{after:?}");
        // Of context, exports of patients by type read what is pointed to alone.
        let before = by_type.report.mappings.iter().find(|one| one.mapping == after.mapping);
        let before = before.filter(|one| !CONTEXT.contains(&one.resource_type.as_str()));
        assert!(before.is_none_or(|before| (before.rows, before.rejected) == (after.rows, after.rejected)));
    }
    let sum = |of: fn(&smelt::bulk::report::MappingReport) -> u64| ran.report.mappings.iter().map(of).sum::<u64>();
    assert_eq!(sum(|one| one.emitted) + sum(|one| one.repeated), written, "the report adds up");
    assert_eq!(sum(|one| one.emitted), lines.len() as u64);
    assert_eq!(written, ran.manifest.output.iter().map(|file| file.count).sum::<u64>());
    assert_eq!(ran.report.request.organized_by.as_deref(), Some("Patient"));
}

/// Eleven patients of Synthea, five of them in a group.
async fn with_eleven(test: impl FnOnce(&Engine) + Send + 'static) {
    let database = eleven().await;
    let script = "set search_path = synthea;
        insert into cohorts values ('five', 'Five', null, true, '2026-01-01');
        insert into cohort_members select row_number() over (), 'five', id, null, '2026-01-01', null, '2026-01-01'
            from (select id from patients order by id limit 5) few5;";
    database.client().await.batch_execute(script).await.expect("a group");
    tokio::task::spawn_blocking(move || test(&Engine::open(&database))).await.expect("the test holds");
}

/// K-66, F-20, F-21, F-22, F-23, M-15: the whole store.
#[tokio::test]
async fn blocks_hold_what_files_of_types_hold() {
    with_eleven(|engine| {
        let request = all(Level::System, engine);
        let by_type = run(engine, &request, &options(1, 1 << 28, Codec::None));
        let large = by_type.texts.iter().map(String::len).sum::<usize>() as u64 * 10;
        let longest = by_type.texts.iter().flat_map(|text| text.lines()).map(str::len).max().expect("a line") as u64;
        for (workers, limit, codec) in
            [(1, large, Codec::None), (3, longest + 200, Codec::Gzip), (2, longest * 3, Codec::None)]
        {
            let ran = run(engine, &organized(&request), &options(workers, limit, codec));
            let lines = blocks(&ran, limit);
            same(&by_type, &ran, &lines);
            let cut = ran.manifest.output.iter().filter(|file| file.continues_in_file.is_some()).count();
            match workers {
                1 => assert_eq!((cut, ran.manifest.output.len()), (0, 1), "everything fits"),
                3 => assert!(cut > 0, "some patient has more than a file holds"),
                _ => {}
            }
            assert!(ran.report.mappings.iter().any(|one| one.repeated > 0), "a practitioner has several patients");
        }
    })
    .await;
}

/// The same for patients, for a group, since a time, with filters and without the Patient.
#[tokio::test]
async fn blocks_hold_what_was_asked_for() {
    with_eleven(|engine| {
        let types = |names: &[&str]| {
            let given =
                Parameters { types: names.iter().map(|&name| name.to_owned()).collect(), ..Parameters::default() };
            ExportRequest::new(&given, names).expect("types")
        };
        let filter = |query: &str, mut request: ExportRequest| {
            let known = smelt::bulk::Known {
                mapped: &["Patient", "Observation", "Practitioner"],
                base_url: "http://h",
                compartment: &|_| true,
                searchable: &|_, _| true,
                strict_filters: true,
            };
            smelt::bulk::kickoff::add_filter(&mut request, query, &known).expect("a filter");
            request
        };
        let half = "percentile_disc(0.5) within group (order by updated_at)";
        let since = engine.texts(&format!("select to_char({half}, 'YYYY-MM-DD') from observations")).remove(0);
        let since = smelt::bulk::instant::read(&since).map(|nanoseconds| (nanoseconds / 1000) as i64);
        assert!(since.is_some());
        let named = types(&["Encounter", "Observation", "Practitioner", "Organization"]);
        let given = Parameters {
            elements: vec!["Observation.value,Encounter.period,subject".to_owned()],
            ..Parameters::default()
        };
        let elements = ExportRequest::new(&given, &["Encounter", "Observation"]).expect("elements").elements;
        for request in [
            all(Level::Patient, engine),
            all(Level::Group("five".to_owned()), engine),
            ExportRequest { since, ..all(Level::System, engine) },
            // Spec §7, 2: a header without its Patient.
            named.clone(),
            filter("Observation?status=final&code=8302-2", named.clone()),
            // K-69: what only the search looks at is not written.
            ExportRequest { elements, ..filter("Observation?encounter:missing=false", named) },
            // Context may be filtered like all else.
            filter("Practitioner?_id=nobody", types(&["Encounter", "Practitioner"])),
        ] {
            let by_type = run(engine, &request, &options(2, 1 << 28, Codec::None));
            let ran = run(engine, &organized(&request), &options(2, 1 << 28, Codec::None));
            let lines = blocks(&ran, u64::MAX);
            assert!(!lines.is_empty());
            same(&by_type, &ran, &lines);
            assert_eq!(by_type.manifest.deleted, ran.manifest.deleted);
        }
    })
    .await;
}
