//! Data and names that mean no good: they arrive as they are stored, or as a counted row, and nothing else is hurt.

use serde_json::{Value, json};
use smelt::bulk::Parameters;

use crate::support::database::Database;
use crate::support::pack::{Ran, pack, run, runtime};

/// Exports a pack of one mapping over a database made by `schema`.
fn export(options: &str, schema: &str, mapping: &str) -> Ran {
    export_files(options, schema, &[("mappings/m.yaml", mapping)])
}

fn export_files(options: &str, schema: &str, files: &[(&str, &str)]) -> Ran {
    let runtime = runtime();
    let database = runtime.block_on(async {
        let database = Database::with_options(options).await;
        database.client().await.batch_execute(schema).await.expect("the schema is right");
        database
    });
    run(&runtime, database.dsn(), &pack(files), &Parameters::default()).expect("an export")
}

const TEXTS: &str = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
                     code: {text: $v}\n  text: {status: generated, div: '<div xmlns=\"http://www.w3.org/1999/xhtml\">{{v}}</div>'}\n";

fn texts(ran: &Ran) -> Vec<Value> {
    ran.resources("Basic").into_iter().map(|mut one| one["code"]["text"].take()).collect()
}

#[test]
fn texts_arrive_as_they_are_stored() {
    let all: Vec<String> = vec![
        r#"quotes " ' ` and \ backslash \" \\ \u0041"#.to_owned(),
        (1..32).map(char::from).chain(['x', '\u{7f}', '\u{80}', '\u{9f}']).collect(),
        "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}\u{200b}".to_owned(),
        "\u{1f600}\u{10ffff}\u{1d11e} e\u{301}".to_owned(),
        "</script><!-- {{evil}} $x -- '; drop table t; --".to_owned(),
        "line\nbreak\r\nand\ttab".to_owned(),
    ];
    let rows: Vec<String> =
        all.iter().zip(0..).map(|(text, id)| format!("({id}, '{}')", text.replace('\'', "''"))).collect();
    let schema = format!("create table t (id int primary key, v text); insert into t values {}", rows.join(", "));
    let ran = export("", &schema, TEXTS);
    assert_eq!(texts(&ran), all.iter().map(|text| json!(text)).collect::<Vec<_>>());
    let lines = ran.ndjson();
    assert_eq!(lines.matches('\n').count(), all.len(), "a line of NDJSON is broken");
    assert!(!lines.bytes().any(|byte| byte < 0x20 && byte != b'\n'));
    assert!(lines.contains("&lt;/script&gt;"), "XHTML is not escaped");
}

#[test]
fn large_texts_arrive_whole() {
    let schema = "create table t (id int primary key, v text);
        insert into t select i, repeat(case i when 1 then 'ab\"' when 2 then e'\\n' || 'ü' else 'x' end, 5000000 / i) from
        generate_series(1, 3) i";
    let ran = export("", schema, TEXTS);
    let want = ["ab\"".repeat(5_000_000), "\nü".repeat(2_500_000), "x".repeat(1_666_666)];
    let have = texts(&ran);
    assert_eq!(have.len(), 3);
    for (have, want) in have.iter().zip(&want) {
        assert!(have.as_str() == Some(want), "a large text was changed");
    }
}

#[test]
fn numbers_beyond_every_machine_type() {
    let digits = "1234567890".repeat(10);
    let schema = format!(
        "create table t (id int primary key, n numeric);
         insert into t values (1, {digits}), (2, -{digits}.{digits}), (3, 'NaN'), (4, 'Infinity'), (5, '-Infinity'),
             (6, 1e-100), (7, 1e130)"
    );
    let mapping = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Observation\n  id: \"o-{{id}}\"\n  \
                   status: final\n  code: {text: x}\n  valueQuantity: {value: $n}\n";
    let ran = export("", &schema, mapping);
    let lines = ran.ndjson();
    for want in [
        format!("{{\"value\":{digits}}}"),
        format!("{{\"value\":-{digits}.{digits}}}"),
        format!("{{\"value\":0.{}1}}", "0".repeat(99)),
        format!("{{\"value\":1{}}}", "0".repeat(130)),
    ] {
        assert!(lines.contains(&want), "{want}");
    }
    let report = &ran.exported.report.mappings[0];
    assert_eq!((report.rows, report.emitted, report.rejected), (7, 4, 3));
    assert_eq!(report.rejected_by_path["Observation.value.value"], 3);
}

#[test]
fn dates_that_fhir_cannot_write_are_rejected_one_by_one() {
    let schema = "create table t (id int primary key, d date, at timestamptz, local timestamp);
        insert into t values (1, 'infinity', null, null), (2, '-infinity', null, null), (3, '10000-01-01', null, null),
            (4, '0044-03-15 BC', null, null), (5, '9999-12-31', null, null), (6, '0001-01-01', null, null),
            (7, null, 'infinity', null), (8, null, '10000-01-01Z', null), (9, null, '9999-12-31 23:59:59.999999Z', null),
            (10, null, '0001-01-01 00:00Z', null), (11, null, '0001-01-01 BC', null), (12, null, null, '-infinity'),
            (13, null, null, '294276-12-31'), (14, null, null, '2026-03-29 02:30'), (15, '4713-01-01 BC', null, null)";
    let mapping = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
        code: {text: x}\n  created: $d\n  extension:\n    - {url: https://example.org/at, valueInstant: $at}\n    \
        - {url: https://example.org/local, valueDateTime: $local}\n";
    let ran = export("", schema, mapping);
    let ids: Vec<Value> = ran.resources("Basic").into_iter().map(|mut one| one["id"].take()).collect();
    assert_eq!(ids, [json!("b-5"), json!("b-6"), json!("b-9"), json!("b-10"), json!("b-14")]);
    let report = &ran.exported.report.mappings[0];
    assert_eq!((report.rows, report.emitted, report.rejected), (15, 5, 10));
    let outcomes = ran.resources("OperationOutcome");
    assert_eq!(outcomes.len(), 10);
    let told = serde_json::to_string(&outcomes).expect("JSON");
    for value in ["infinity", "10000", "0044", "294276"] {
        assert!(!told.contains(value), "an outcome tells the value {value}");
    }
}

// M-05, M-06, T-01
#[test]
fn an_empty_table_is_an_export_of_nothing() {
    let ran = export("", "create table t (id int primary key, v text)", TEXTS);
    assert_eq!(ran.ndjson(), "");
    assert!(ran.out.path().join("manifest.json").exists());
    assert_eq!(ran.exported.report.mappings[0].rows, 0);
}

#[test]
fn blank_keys_are_counted_rows() {
    let schema = "create table t (k text primary key); insert into t values ('a'), (''), ('  '), (e'\\t'), ('b')";
    let mapping = "table: t\nkey: k\npatient: none\nresource: {resourceType: Basic, id: $k, code: {text: x}}\n";
    let ran = export("", schema, mapping);
    let report = &ran.exported.report.mappings[0];
    assert_eq!((report.rows, report.emitted, report.rejected), (5, 2, 3));
    assert_eq!(report.rejected_by_path["Basic.id"], 3);
}

// S-07, F-02
#[test]
fn invalid_utf8_is_a_counted_row_and_the_export_goes_on() {
    let options = "template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'";
    let schema = r"create table t (id int primary key, v text);
        insert into t values (1, 'before'), (2, e'M\xfcller \xff\x80'), (3, e'\xc3\xbc'), (4, e'cut \xe2\x82'),
            (5, e'surrogate \xed\xa0\x80'), (6, e'overlong \xc0\xaf'), (7, 'after')";
    let ran = export(options, schema, TEXTS);
    assert_eq!(texts(&ran), [json!("before"), json!("ü"), json!("after")]);
    let report = &ran.exported.report.mappings[0];
    assert_eq!((report.rows, report.emitted, report.rejected), (7, 3, 4));
}

// X-08
#[test]
fn names_with_quotes_and_worse() {
    // Columns and tables as somebody might call them who wants them to be run.
    let schema = r#"create schema "my ""Schema""";
        create table "my ""Schema"""."T""; drop table victim; --" (
            "Id" int primary key, "first name" text, "x'; drop table victim; --" text, "select" text, "Straße" text,
            "a.b" text, "$1" text);
        insert into "my ""Schema"""."T""; drop table victim; --" values (1, 'A', 'B', 'C', 'D', 'E', 'F');
        create table victim (id int primary key); insert into victim values (1);
        create table "List's ""Table""" ("Parent Id" int, "or-der" int, "Value" text);
        insert into "List's ""Table""" values (1, 2, 'two'), (1, 1, 'one')"#;
    let mapping = r#"
sql: |
  select * from "my ""Schema"""."T""; drop table victim; --"
key: Id
lists:
  items: {table: '"List''s ""Table"""', parent: '"Parent Id"', order: '"or-der"'}
resource:
  resourceType: Patient
  id: "p-{{Id}}"
  name:
    - family: $"first name"
      given: ['$"x''; drop table victim; --"', $select, "{{[a.b]}}-{{[$1]}}"]
      text: $"Straße"
  telecom:
    - $each items: {value: $Value}
"#;
    let victim =
        "table: victim\nkey: id\npatient: none\nresource: {resourceType: Basic, id: \"b-{{id}}\", code: {text: x}}\n";
    let ran = export_files("", schema, &[("mappings/m.yaml", mapping), ("mappings/victim.yaml", victim)]);
    let patient = &ran.resources("Patient")[0];
    assert_eq!(patient["name"], json!([{"family": "A", "given": ["B", "C", "E-F"], "text": "D"}]));
    assert_eq!(patient["telecom"], json!([{"value": "one"}, {"value": "two"}]));
    assert_eq!(ran.resources("Basic").len(), 1);
}

const LIST: &str = "table: t\nkey: id\nlists: {items: {table: items, parent: t, order: n}}\nresource:\n  \
                    resourceType: Patient\n  id: \"p-{{id}}\"\n  name:\n    - {family: $v}\n  contact:\n    - $each items:\n        name: {text: $v}\n  \
                    link:\n    - {other: {display: \"after {{id}}\"}, type: seealso}\n  gender: $gender\n";

#[test]
fn a_late_reject_after_a_huge_list_leaves_no_bytes() {
    // The invalid gender comes after 300,000 items, megabytes of them already in the spill.
    let schema = "create table t (id int primary key, v text, gender text);
        insert into t values (1, 'before', 'male'), (2, 'x', 'no such'), (3, 'after', 'female');
        create table items (t int, n int, v text); insert into items values (1, 1, 'a'), (3, 1, 'b');
        insert into items select 2, i, 'item ' || i from generate_series(1, 300000) i; analyze items";
    let ran = export("", schema, LIST);
    let lines = ran.ndjson();
    assert!(lines.len() < 2_000, "{} bytes for two small resources", lines.len());
    let ids: Vec<Value> = ran.resources("Patient").into_iter().map(|mut one| one["id"].take()).collect();
    assert_eq!(ids, [json!("p-1"), json!("p-3")]);
    assert_eq!(ran.exported.report.mappings[0].rejected_by_path["Patient.gender"], 1);
}

#[test]
fn a_resource_of_a_hundred_megabytes_arrives_whole() {
    let schema = "create table t (id int primary key, v text, gender text);
        insert into t values (1, 'before', 'male'), (2, 'x', 'male'), (3, 'after', 'female');
        create table items (t int, n int, v text); insert into items values (1, 1, 'a'), (3, 1, 'b');
        insert into items select 2, i, repeat('0123456789', 10000) from generate_series(1, 1000) i; analyze items";
    let ran = export("", schema, LIST);
    let lines = ran.ndjson();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3);
    let item = format!("{{\"name\":{{\"text\":\"{}\"}}}}", "0123456789".repeat(10_000));
    let want = format!(
        "{{\"resourceType\":\"Patient\",\"id\":\"p-2\",\"name\":[{{\"family\":\"x\"}}],\"contact\":[{}],\
         \"link\":[{{\"other\":{{\"display\":\"after 2\"}},\"type\":\"seealso\"}}],\"gender\":\"male\"}}",
        vec![item; 1000].join(",")
    );
    assert!(want.len() > 100_000_000);
    assert!(lines[1] == want, "the resource of {} bytes differs from the one of {} bytes", lines[1].len(), want.len());
}

// O-05, S-07
#[test]
fn a_thousand_bad_rows_are_told_one_by_one_and_the_rest_as_a_sum() {
    let schema =
        "create table t (id int primary key, n numeric); insert into t select i, 'NaN' from generate_series(1, 1500) i";
    let mapping = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Observation\n  id: \"o-{{id}}\"\n  \
                   status: final\n  code: {text: x}\n  valueQuantity: {value: $n}\n";
    let ran = export("", schema, mapping);
    assert_eq!(ran.exported.report.rejected(), 1500);
    let outcomes = ran.resources("OperationOutcome");
    let (sum, single) = outcomes.split_last().expect("outcomes");
    assert_eq!(sum["issue"][0]["details"]["text"], json!("500 rows of Observation not exported either"));
    assert_eq!(single.len(), 1000);
    for outcome in single {
        let issue = &outcome["issue"][0];
        assert_eq!(
            (&issue["severity"], &issue["details"]["text"]),
            (&json!("error"), &json!("1 row of Observation was not exported"))
        );
        assert!(issue["diagnostics"].as_str().is_some_and(|text| text.starts_with("Observation/o-")), "{issue}");
    }
}
