//! Output organized by patient over packs of every shape.

use serde_json::Value;
use smelt::bulk::Parameters;
use smelt::export::{ExportError, ExportOptions};
use tokio::runtime::Runtime;

use crate::support::database::Database;
use crate::support::pack::{Ran, Refused, pack, run_with, runtime};

const SCHEMA: &str = "create table p (id int primary key, changed timestamptz, gone timestamptz);
    insert into p select i, '2026-01-01', case when i = 9 then timestamptz '2026-02-01' end from generate_series(1, 9) i;
    create table o (id int primary key, p int, doctor int);
    insert into o select i, nullif(i % 10, 0), i % 3 from generate_series(1, 40) i;
    create table d (id int primary key, boss int);
    insert into d values (0, 1), (1, 2), (2, 0), (3, 3);
    create table items (o int not null, n int not null, v text);
    insert into items select 5, i, 'item ' || i from generate_series(1, 20000) i;";

const PATIENT: &str = "table: p\nkey: id\nupdated: changed\ndeleted: gone\n\
                       resource: {resourceType: Patient, id: \"{{sha256 id}}\"}\n";
const OBSERVATION: &str = "table: o\nkey: id\nlists: {items: {table: items, parent: o, order: n}}\nresource:\n  \
    resourceType: Observation\n  id: \"o-{{id}}\"\n  status: final\n  code: {text: x}\n  subject: patient(p)\n  \
    performer: [doctor(doctor)]\n  note:\n    - $each items:\n        text: $v\n";
const DOCTOR: &str = "table: d\nkey: id\nresource:\n  resourceType: Practitioner\n  id: \"d-{{id}}\"\n  qualification:\n    \
                      - {code: {text: x}, issuer: place(boss)}\n";
const PLACE: &str = "table: d\nkey: id\nresource:\n  resourceType: Organization\n  id: \"h-{{id}}\"\n  name: x\n  \
                     partOf: place(boss)\n";

fn database(runtime: &Runtime) -> Database {
    runtime.block_on(async {
        let database = Database::with_options("").await;
        database.client().await.batch_execute(SCHEMA).await.expect("a schema");
        database
    })
}

fn organized(types: &[&str], since: Option<&str>) -> Parameters {
    Parameters {
        types: types.iter().map(|&name| name.to_owned()).collect(),
        since: since.map(str::to_owned),
        organize_by: Some("Patient".to_owned()),
        ..Parameters::default()
    }
}

fn small() -> ExportOptions {
    // A resource of any size is spilled.
    ExportOptions { workers: 1, chunk_bytes: 64, ..ExportOptions::default() }
}

/// Ids of each block, the id of its patient first.
fn blocks(ran: &Ran) -> Vec<Vec<String>> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    let files: Vec<&str> = ran.exported.manifest.output.iter().map(|file| file.url.as_str()).collect();
    assert_eq!(files, ["blocks.0001.ndjson"]);
    let text = std::fs::read_to_string(ran.out.path().join(files[0])).expect("a file");
    for line in text.lines() {
        let json: Value = serde_json::from_str(line).expect("JSON");
        match json["parameter"][0]["valueReference"]["reference"].as_str() {
            Some(patient) => blocks.push(vec![patient.strip_prefix("Patient/").expect("a patient").to_owned()]),
            None => blocks.last_mut().expect("a header").push(json["id"].as_str().expect("an id").to_owned()),
        }
    }
    blocks
}

/// Documents of the source write references in their own way: `jsonb` has a blank, others escape the slash.
#[test]
fn references_in_documents_bring_what_they_point_to() {
    let runtime = runtime();
    let database = database(&runtime);
    let documents = "create table s (id int primary key, p int, who jsonb, also json);
        insert into s values (1, 1, '[{\"reference\": \"Practitioner/d-3\"}]', '[{\"reference\":\"Organization\\/h-3\"}]')";
    runtime.block_on(async { database.client().await.batch_execute(documents).await.expect("a table") });
    let observation = "table: s\nkey: id\nresource:\n  resourceType: Observation\n  id: \"s-{{id}}\"\n  status: final\n  \
                       code: {text: x}\n  subject: patient(p)\n  performer: $who\n  focus: $also\n";
    let files = pack(&[
        ("mappings/patient.yaml", PATIENT),
        ("mappings/observation.yaml", observation),
        ("mappings/doctor.yaml", DOCTOR),
        ("mappings/place.yaml", PLACE),
    ]);
    let ran = run_with(&runtime, database.dsn(), &files, &organized(&[], None), &small()).expect("an export");
    let blocks = blocks(&ran);
    let block = blocks.iter().find(|block| block.iter().any(|id| id == "s-1")).expect("a block");
    assert_eq!(block[2..], ["s-1", "h-3", "d-3"]);
}

/// Hashed ids, nobody's rows, resources that outgrow every buffer, context of context in a circle.
#[test]
fn rows_find_their_patient_whatever_its_id_is() {
    let runtime = runtime();
    let database = database(&runtime);
    let files = pack(&[
        ("mappings/patient.yaml", PATIENT),
        ("mappings/observation.yaml", OBSERVATION),
        ("mappings/doctor.yaml", DOCTOR),
        ("mappings/place.yaml", PLACE),
    ]);
    let ran = run_with(&runtime, database.dsn(), &files, &organized(&[], None), &small()).expect("an export");
    let blocks = blocks(&ran);
    // Nine patients, one of them deleted: its observations have a block all the same.
    assert_eq!(blocks.len(), 9);
    assert_eq!(blocks.iter().filter(|block| block[1] == block[0]).count(), 8);
    for block in &blocks {
        let of = |mark: &str| {
            block
                .iter()
                .filter(|id| id.starts_with(mark))
                .map(String::as_str)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of("o-").len(), 4, "{block:?}");
        // Each doctor of the four is in a place whose places go round.
        assert_eq!((of("d-").len(), of("h-")), (3, ["h-0", "h-1", "h-2"].into()), "{block:?}");
        assert_eq!(block.len(), 2 + 4 + 6 - usize::from(block[1] != block[0]), "each once: {block:?}");
        let kinds: Vec<char> =
            block[1..].iter().filter_map(|id| id.chars().next().filter(|_| id.contains('-'))).collect();
        let position = |kind: &char| ['o', 'h', 'd'].iter().position(|known| known == kind);
        assert!(kinds.is_sorted_by_key(position), "{block:?}");
    }
    let outcomes = ran.resources("OperationOutcome");
    let texts: Vec<&str> = outcomes.iter().filter_map(|one| one["issue"][0]["details"]["text"].as_str()).collect();
    for told in [
        "4 Observation resources were left out: without a patient, in whose block to stand",
        "1 Practitioner resource was left out: not referred to in any patient's block",
        "1 Organization resource was left out: not referred to in any patient's block",
    ] {
        assert!(texts.contains(&told), "{texts:?}");
    }
    let counts = |mapping: &str| {
        let line = ran.exported.report.mappings.iter().find(|line| line.mapping == mapping).expect("a line");
        (line.rows, line.emitted, line.filtered, line.repeated)
    };
    assert_eq!(counts("observation"), (40, 36, 4, 0));
    assert_eq!(counts("doctor"), (4, 3, 1, 24));
    assert_eq!(counts("patient"), (8, 8, 0, 0));

    // Increments: what changed, in its block; deletions stay in files of their own.
    let asked = organized(&["Patient"], Some("2026-01-15"));
    let ran = run_with(&runtime, database.dsn(), &files, &asked, &small()).expect("an export");
    let manifest = &ran.exported.manifest;
    assert_eq!((manifest.output.len(), manifest.deleted.as_ref().map(Vec::len)), (0, Some(1)));
    let deleted = &manifest.deleted.as_ref().expect("deletions")[0];
    assert_eq!((deleted.resource_type.as_str(), deleted.count), ("Bundle", 1));
}

/// A column named by `patient:` leads to the only mapping of patients; where there are two nobody knows which.
#[test]
fn whose_rows_nobody_can_tell_are_refused_or_told() {
    let runtime = runtime();
    let database = database(&runtime);
    let named = "table: o\nkey: id\npatient: p\nresource: {resourceType: Observation, id: \"o-{{id}}\", status: final, \
                 code: {text: x}}\n";
    let unknown = "table: o\nkey: id\nresource: {resourceType: Condition, id: \"c-{{id}}\", code: {text: x}, \
                   subject: {display: somebody}}\n";
    let other = "table: d\nkey: id\nresource: {resourceType: Patient, id: \"d-{{id}}\"}\n";
    let one =
        pack(&[("mappings/patient.yaml", PATIENT), ("mappings/named.yaml", named), ("mappings/un.yaml", unknown)]);
    let ran = run_with(&runtime, database.dsn(), &one, &organized(&[], None), &small()).expect("an export");
    assert_eq!(blocks(&ran).iter().map(Vec::len).sum::<usize>(), 9 + 8 + 36);
    let told = ran.ndjson();
    assert!(told.contains("Condition of mapping un was not exported: it cannot be put into blocks"), "{told}");
    let refused = |files: &_, types: &[&str]| {
        let ran = run_with(&runtime, database.dsn(), files, &organized(types, None), &small());
        match ran.err().expect("refused") {
            Refused::Failed(ExportError::NotOrganizable { mapping, why }) => (mapping, why),
            other => panic!("{other:?}"),
        }
    };
    let (mapping, why) = refused(&one, &["Patient", "Condition"]);
    assert!(mapping == "un" && why.contains("no column"), "{mapping}: {why}");
    let two =
        pack(&[("mappings/patient.yaml", PATIENT), ("mappings/named.yaml", named), ("mappings/other.yaml", other)]);
    let (mapping, why) = refused(&two, &["Observation"]);
    assert!(mapping == "named" && why.contains("several mappings"), "{mapping}: {why}");
    // A key of another type may be written otherwise.
    let text = "sql: |\n  select id, p::text as p from o\nkey: id\npatient: p\nresource: {resourceType: Observation, \
                id: \"o-{{id}}\", status: final, code: {text: x}}\n";
    let text = pack(&[("mappings/patient.yaml", PATIENT), ("mappings/named.yaml", text)]);
    let (mapping, why) = refused(&text, &["Observation"]);
    assert!(mapping == "named" && why.contains("another type"), "{mapping}: {why}");
}
