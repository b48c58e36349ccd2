//! Groups of the mapping: who is a member now, through other Groups, and since when.

use std::fs;

use crate::support::database::Database;
use crate::support::pack::{export_command, pack, run, runtime, write};

const PATIENT: &str = "table: patients\nkey: id\nupdated: updated_at\nresource: {resourceType: Patient, id: $id}\n";

fn group(members: &str) -> String {
    format!(
        "table: cohorts\nkey: id\nmembers: {members}\n\
         resource: {{resourceType: Group, id: $id, type: person, actual: true}}\n"
    )
}

/// Ids of the patients that `smelt export --group` writes, or what it says.
fn patients(database: &Database, files: &[(&str, &str)], args: &[&str]) -> Result<Vec<String>, String> {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), files);
    let out = home.path().join("out");
    let done = export_command(home.path(), database.dsn(), &out).args(args).output().unwrap();
    if !done.status.success() {
        return Err(String::from_utf8(done.stderr).unwrap());
    }
    let mut ids = Vec::new();
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("Patient.") {
            let text = fs::read_to_string(path).unwrap();
            ids.extend(text.lines().map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
            }));
        }
    }
    ids.sort();
    Ok(ids)
}

const SCHEMA: &str = "
create table patients (id text primary key, updated_at timestamptz);
insert into patients select p, '2020-01-01Z' from unnest(array['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) p;
create table cohorts (id text primary key);
insert into cohorts select unnest(array['now', 'x', 'y', 'z', 'old', 'self', 'none', 'outer']);
create table members (cohort text, patient text, inner_cohort text, since timestamptz, until timestamptz, gone boolean);
insert into members (cohort, patient, since, until, gone) values
    ('now', 'a', null, null, null), ('now', 'b', now() - interval '3 days', now() + interval '3 days', false),
    ('now', 'c', null, now() - interval '3 days', false), ('now', 'd', now() + interval '3 days', null, false),
    ('now', 'e', null, null, true), ('now', 'c', null, now() - interval '5 days', null),
    ('x', 'a', null, null, null), ('y', 'b', null, null, null), ('z', 'f', null, null, null),
    ('old', 'g', null, null, null), ('self', 'h', null, null, null);
insert into members (cohort, inner_cohort, since, until, gone) values
    ('x', 'y', null, null, null), ('y', 'z', null, null, null), ('z', 'x', null, null, null),
    ('self', 'self', null, null, null),
    ('old', 'now', null, now() - interval '3 days', null), ('old', 'x', null, null, true),
    ('outer', 'old', null, null, null), ('outer', 'nobody', null, null, null);
";

// G-03 X-07: periods, who has left, Groups in Groups, and circles of them.
#[tokio::test]
async fn members_are_those_of_now() {
    let database = Database::new(SCHEMA).await;
    let group = group(
        "{sql: members.sql, parent: cohort, patient: patient, group: inner_cohort, start: since, end: until, inactive: gone}",
    );
    for kind in ["date", "timestamp", "timestamptz"] {
        let sql =
            format!("select cohort, patient, inner_cohort, since::{kind}, until::{kind}, gone from members -- all");
        let files = [("mappings/patient.yaml", PATIENT), ("mappings/group.yaml", &group), ("sql/members.sql", &sql)];
        for (id, members) in [
            ("now", &["a", "b"][..]),
            ("x", &["a", "b", "f"]),
            ("y", &["a", "b", "f"]),
            ("z", &["a", "b", "f"]),
            ("old", &["g"]),
            ("outer", &["g"]),
            ("self", &["h"]),
            ("none", &[]),
        ] {
            assert_eq!(patients(&database, &files, &["--group", id]).unwrap(), members, "{id} by {kind}");
        }
        let told = patients(&database, &files, &["--group", "nobody"]).unwrap_err();
        assert!(told.contains("no such group"), "{told}");
        assert_eq!(patients(&database, &files, &["--group", "x", "--patient", "b,f"]).unwrap(), ["b", "f"]);
        let told = patients(&database, &files, &["--group", "now", "--patient", "a,c"]).unwrap_err();
        assert!(told.contains("no such patient: c"), "{told}");
    }
    // The first and the last day of a period are in it, wherever the clock of the pack stands.
    database
        .client()
        .await
        .batch_execute(
            "delete from members; insert into members (cohort, patient, since, until) \
             select 'now', 'a', t, t from (select date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' t) s",
        )
        .await
        .unwrap();
    let sql = "select cohort, patient, inner_cohort, (since at time zone 'UTC')::date as since, \
               (until at time zone 'UTC')::date as until, gone from members";
    let files = [("mappings/patient.yaml", PATIENT), ("mappings/group.yaml", &group), ("sql/members.sql", sql)];
    assert_eq!(patients(&database, &files, &["--group", "now"]).unwrap(), ["a"]);
}

// K-37: who joined after `--since` comes whole, by whatever way.
#[tokio::test]
async fn who_joined_after_since_comes_whole() {
    let database = Database::new(
        "create table patients (id text primary key, updated_at timestamptz);
         insert into patients select p, '2020-01-01Z' from unnest(array['a', 'b', 'c', 'd', 'e', 'f']) p;
         insert into patients values ('g', '2026-03-01Z');
         create table cohorts (id text primary key);
         insert into cohorts values ('in'), ('out');
         create table members (cohort text, patient text, inner_cohort text, joined timestamptz);
         insert into members values ('in', 'a', null, null), ('in', 'b', null, '2025-12-01Z'),
             ('in', 'c', null, '2026-02-01Z'), ('in', 'd', null, '2026-02-01Z'), ('in', 'd', null, '2025-01-01Z'),
             ('in', 'g', null, '2025-01-01Z'),
             ('out', null, 'in', '2026-01-15Z'), ('out', 'e', null, '2025-01-01Z'), ('out', 'b', null, '2025-01-01Z')",
    )
    .await;
    for (column, kind) in
        [("joined", "timestamptz"), ("joined", "timestamp"), ("joined", "date"), ("start", "timestamptz")]
    {
        let group = group(&format!(
            "{{sql: members.sql, parent: cohort, patient: patient, group: inner_cohort, {column}: joined}}"
        ));
        let sql = format!("select cohort, patient, inner_cohort, joined::{kind} from members");
        let files = [("mappings/patient.yaml", PATIENT), ("mappings/group.yaml", &group), ("sql/members.sql", &sql)];
        let since = ["--since", "2026-01-01T00:00:00Z"];
        for (id, more, members) in [
            // d was in it before, and a for ever; g has changed.
            ("in", &[][..], &["c", "g"][..]),
            ("in", &["--since-new-members", "exclude"], &["g"]),
            // All of `in` have come with it, but for b, who was there.
            ("out", &[], &["a", "c", "d", "g"]),
            ("out", &["--since-new-members", "exclude"], &["g"]),
            ("out", &["--patient", "a,b"], &["a"]),
        ] {
            let args = [&["--group", id], &since[..], more].concat();
            assert_eq!(patients(&database, &files, &args).unwrap(), members, "{args:?} by {kind}");
        }
    }
}

// G-03: columns are checked before anything is read.
#[test]
fn columns_that_say_nothing_of_members_are_told() {
    let runtime = runtime();
    let database = runtime.block_on(Database::new(SCHEMA));
    for (members, told) in [
        ("{table: members, parent: cohort, patient: patient, group: nothing}", "M301"),
        ("{table: members, parent: cohort, patient: patient, start: gone}", "boolean is not a time"),
        ("{table: members, parent: cohort, patient: patient, end: patient}", "text is not a time"),
        ("{table: members, parent: cohort, patient: patient, joined: patient}", "text is not a time"),
        ("{table: members, parent: cohort, patient: patient, inactive: since}", "is not true or false"),
        ("{table: members, parent: cohort, patient: patient, left: gone}", "`left`"),
    ] {
        let group = group(members);
        let files = pack(&[("mappings/patient.yaml", PATIENT), ("mappings/group.yaml", &group)]);
        let refused = run(&runtime, database.dsn(), &files, &smelt::bulk::Parameters::default()).err().unwrap();
        let text = format!("{refused:?}");
        assert!(text.contains(told), "{members}: {text}");
    }
}
