//! `smelt explain MAPPING` against a database.

use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::smelt;
use crate::support::database::Database;
use crate::support::pack::write;

const SCHEMA: &str = "
    create table patients (id text primary key, name text);
    insert into patients select 'pat-' || n, 'secret' || n from generate_series(1, 200) n;
    create table labs (id int primary key, patient text, code text, changed timestamptz, words text);
    insert into labs select n, 'pat-' || n % 200 + 1, 'c' || n % 500, timestamptz '2026-01-01Z' + n * interval '1 minute', 'w'
        from generate_series(1, 20000) n;
    create table parts (lab int, n int, code text);
    insert into parts select n, 1, 'p' from generate_series(1, 20000) n;
    analyze;";

const PATIENT: &str = "table: patients\nkey: id\nresource: {resourceType: Patient, id: $id, name: [{text: $name}]}\n";

const OBSERVATION: &str = "\
table: labs
key: id
updated: changed
lists:
  parts: {table: parts, parent: lab, order: n, key: n}
resource:
  resourceType: Observation
  id: $id
  status: final
  code: {coding: [{system: 'https://x', code: $code}]}
  subject: patient(patient)
  effectiveDateTime: $changed
  valueString: '{{words}}!'
  component:
    - $each parts: {code: {text: $code}}
";

const INDEXES: &str = "create index labs_changed on labs (changed); create index labs_patient on labs (patient);
    create index labs_code on labs (code); analyze;";

async fn world() -> (Database, TempDir) {
    let database = Database::new(SCHEMA).await;
    let home = tempfile::tempdir().unwrap();
    write(home.path(), &[("mappings/patient.yaml", PATIENT), ("mappings/observation.yaml", OBSERVATION)]);
    (database, home)
}

fn explain(home: &TempDir, dsn: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = smelt(home);
    command.args(["explain", "observation", "--mappings", "mappings", "--database", dsn]).args(more);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn explained(home: &TempDir, dsn: &str, more: &[&str]) -> String {
    let (code, out, err) = explain(home, dsn, more);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    out
}

// K-64: what serves a restriction, with an index and without.
#[tokio::test]
async fn restrictions_name_their_index() {
    let (database, home) = world().await;
    let since = ["--since", "2026-01-14T21:00:00Z"];
    let patient = ["--patient", "pat-77"];
    let code = ["--type-filter", "Observation?code=c13"];
    let date = ["--type-filter", "Observation?date=ge2026-01-16T21:00:00Z"];
    let value = ["--type-filter", "Observation?value-string=w"];
    let says = |more: &[&str], want: &str| {
        let out = explained(&home, database.dsn(), more);
        assert!(out.contains(want), "{more:?} {want}\n{out}");
        assert!(!out.contains("secret") && !out.contains("c13") && !out.contains("pat-"), "no values: {out}");
    };
    let none = "none: all 20000 rows are read; an index on";
    says(&since, &format!("  _since (changed): {none} public.labs (changed) would\n"));
    says(&patient, &format!("  patient (patient): {none} public.labs (patient) would\n"));
    says(&code, &format!("  Observation?code (code): {none} the expression in the statement would\n"));
    says(&date, &format!("  Observation?date (changed): {none} public.labs (changed) would\n"));
    says(&value, "  Observation?value-string: asked of every resource that is made; no row is left out in SQL\n");
    says(&[&code[..], &value].concat(), "  Observation?code (code): every row is read, because an alternative");
    database.client().await.batch_execute(INDEXES).await.unwrap();
    says(&since, "  _since (changed): index labs_changed\n");
    says(&patient, "  patient (patient): index labs_patient\n");
    says(&date, "  Observation?date (changed): index labs_changed\n");
    says(&code, "  Observation?code (code): none: all 20000 rows are read; index labs_code is there and not used\n");
    says(&["--until", "2027-01-01"], "none: all 20000 rows are read; index labs_changed is there and not used\n");
    says(&["--level", "patient"], "where q.\"patient\" is not null");
}

#[tokio::test]
async fn statements_plans_and_the_program() {
    let (database, home) = world().await;
    let out = explained(&home, database.dsn(), &[]);
    for part in [
        "observation (Observation): about 20000 rows\n",
        "transactionTime is at most 20",
        "read in one piece; it could be cut by id\n",
        "\nStream 0: observation, cost ",
        "\nStream 1: observation/parts, cost ",
        "    Index Scan using labs_pkey on labs (cost ",
        "\nProgram\n",
        "write {\"resourceType\":\"Observation\",\"id\":",
        "each row of stream 1, then go to ",
        "reject R405 Observation.id",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // K-46: what is not wanted is not read.
    let out = explained(&home, database.dsn(), &["--elements", "Observation.subject"]);
    assert!(!out.contains("Stream 1") && !out.contains("\"words\"") && out.contains("SUBSETTED"), "{out}");
    let out = explained(&home, database.dsn(), &["--since", "2026-01-14", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["restrictions"][0]["served"]["indexOn"], "public.labs (changed)");
    assert_eq!(json["streams"][0]["parameters"], serde_json::json!(["a text"]));
    assert!(json["streams"][0]["cost"].as_f64() > Some(0.0));
}

#[tokio::test]
async fn what_cannot_be_explained_is_told() {
    let (database, home) = world().await;
    let mut nothing = smelt(&home);
    nothing.args(["explain", "labs", "--mappings", "mappings", "--database", database.dsn()]);
    let out = nothing.output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{err}");
    assert!(err.contains("`labs` is no mapping of the pack") && err.contains("observation, patient"), "{err}");
    for (wrong, want) in [
        (["--elements", "Observation.nope"], "`_elements` names `Observation.nope`"),
        (["--type-filter", "Observation?nope=x"], "search parameter `nope`"),
        (["--patient", "nobody"], "no such patient"),
        (["--group", "g"], "no such group"),
    ] {
        let (code, _, err) = explain(&home, database.dsn(), &wrong);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(want), "{err}");
    }
}
