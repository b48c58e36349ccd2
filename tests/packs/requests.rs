//! What an export is asked for, with the shipped pack: types, times, patients, files.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use smelt::cli::exit::Exit;

use super::store::{Exported, decoded, demo, export, filled, lines, smelt};
use crate::rust_text::root;

fn sorted(exported: &Exported, name: &str) -> BTreeSet<String> {
    exported.lines(name).into_iter().collect()
}

// M-19: equal inputs, equal files.
#[tokio::test]
async fn one_worker_writes_the_same_files_again() {
    let database = demo().await;
    let again = || export(database, &["--workers", "1", "--type", "CarePlan,ImagingStudy", "--type", "Patient"]);
    let (one, two) = (again(), again());
    assert_eq!(one.types(), ["Patient", "CarePlan", "ImagingStudy"], "these and no others");
    assert_eq!(one.output().len(), 3);
    for ((name, left), (_, right)) in one.output().iter().zip(two.output()) {
        assert!(fs::read(left).expect("a file") == fs::read(right).expect("a file"), "{name}");
    }
}

// K-44, K-49, X-07
#[tokio::test]
async fn an_export_of_a_patient_is_their_compartment() {
    let database = demo().await;
    let client = database.client().await;
    let sql = "select patient::text from synthea.observations group by 1 order by count(*), 1 offset 60 limit 2";
    let ids: Vec<String> = client.query(sql, &[]).await.expect("ids").iter().map(|row| row.get(0)).collect();
    let theirs = format!("Patient/{}", ids[0]);
    let exported = export(database, &["--patient", &ids[0]]);

    // A Provenance names what it is about, not the patient; so the targets say whose it is.
    let visits: BTreeSet<String> =
        exported.resources("Encounter").iter().map(|visit| visit["id"].to_string()).collect();
    for record in exported.resources("Provenance") {
        let visit = record["target"][0]["reference"].to_string().replace("Encounter/", "");
        assert!(visits.contains(&visit), "{record}");
    }
    let outside = ["Organization", "Practitioner", "Location", "Medication"];
    let own = |name: &&String| !["Provenance", "Patient"].contains(&name.as_str()) && !outside.contains(&name.as_str());
    for name in exported.types().iter().filter(own) {
        for line in exported.lines(name) {
            let named: Vec<&str> = line.split("\"Patient/").skip(1).filter_map(|rest| rest.get(..36)).collect();
            assert!(!named.is_empty() && named.iter().all(|id| *id == ids[0]), "{line}");
        }
    }
    assert_eq!(exported.lines("Group"), [""; 0], "a Group is not a patient's own");
    // K-44: what the patient's resources point to.
    let all: String = exported.types().iter().flat_map(|name| exported.lines(name)).collect();
    for name in outside {
        for one in exported.resources(name) {
            let reference = format!("\"reference\":\"{name}/{}\"", one["id"].as_str().expect("an id"));
            assert!(all.contains(&reference), "{reference}");
        }
    }
    // What belongs to the patient in a whole export is all there.
    let types = "Condition,CareTeam,Coverage,Procedure,Encounter";
    let whole = export(database, &["--type", types]);
    for name in types.split(',') {
        let wanted: BTreeSet<String> =
            whole.lines(name).into_iter().filter(|line| line.contains(&format!("\"{theirs}\""))).collect();
        assert!(!wanted.is_empty() && sorted(&exported, name) == wanted, "{name}");
    }
    let both = export(database, &["--type", "Patient", "--patient", &format!("Patient/{},{}", ids[0], ids[1])]);
    let found: BTreeSet<String> = both.resources("Patient").iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(found, ids.iter().map(|id| format!("\"{id}\"")).collect());
}

// K-35, K-39, K-40
#[tokio::test]
async fn since_and_until_are_exclusive_and_together_lose_nothing() {
    let database = demo().await;
    let client = database.client().await;
    client.batch_execute("set search_path = synthea; set time zone 'UTC'").await.expect("settings");
    // A condition's own time, and the later one of a procedure and its visit.
    let cases = [
        ("Condition", "select updated_at as at from conditions"),
        (
            "Procedure",
            "select greatest(p.updated_at, e.updated_at) as at from procedures p join encounters e on e.id = p.encounter",
        ),
    ];
    let whole = export(database, &["--type", "Condition,Procedure"]);
    for (name, rows) in cases {
        let sql = format!(
            "with r as ({rows}), m as (select percentile_disc(0.9) within group (order by at) as at from r) \
             select to_char(m.at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                    to_char(m.at - interval '1 microsecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                    count(*) filter (where r.at > m.at), count(*) filter (where r.at = m.at), \
                    count(*) filter (where r.at < m.at) from r, m group by m.at"
        );
        let row = client.query_one(&sql, &[]).await.expect("counts");
        let (at, before): (String, String) = (row.get(0), row.get(1));
        let (later, same, earlier): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
        assert!(later > 0 && same > 0 && earlier > 0);
        let part = |args: &[&str]| sorted(&export(database, &[&["--type", name], args].concat()), name);
        let since = part(&["--since", &at]);
        let until = part(&["--until", &at]);
        assert_eq!(
            (since.len() as i64, until.len() as i64),
            (later, earlier),
            "{name}: a row at the bound is in neither"
        );
        let from = part(&["--since", &before]);
        assert_eq!(from.len() as i64, later + same, "{name}");
        assert!(from.is_disjoint(&until), "{name}");
        assert!(&from | &until == sorted(&whole, name), "{name}: the parts are the whole");
    }
}

// K-32, K-42
#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let database = demo().await;
    let home = tempfile::tempdir().expect("a directory");
    let out = home.path().join("out");
    for (args, want) in [
        (&["--type", "Goal"][..], "`_type` names `Goal`"),
        (&["--type", ""], "`_type` is given but empty"),
        (&["--type", " , "], "`_type` is given but empty"),
        (&["--patient", ""], "`patient` is given but empty"),
        (&["--patient", "a/b"], "`patient` number 1"),
        (&["--patient", "00000000-0000-0000-0000-000000000000"], "no such patient"),
        (&["--since", ""], "`_since` is not an instant"),
        (&["--since", "yesterday"], "`_since` is not an instant"),
        (&["--since", "2020-01-02", "--until", "2020-01-02"], "`_until` is not after `_since`"),
        (&["--file-size", "1KiB"], "--file-size"),
        (&["--minimum-file-size", "1KiB"], "--minimum-file-size is not a size"),
        (&["--file-size", "1MiB", "--minimum-file-size", "1MiB"], "--minimum-file-size is not below"),
        (&["--workers", "0"], "--workers"),
        (&["--gzip", "--zstd"], "cannot be used with"),
    ] {
        let output = smelt(database, "export", &[&["--out", &out.display().to_string()], args].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(want), "{args:?}: {said}");
        let left = out.read_dir().map_or(0, Iterator::count);
        assert_eq!(left, 0, "{args:?} leaves nothing behind");
    }
    let taken = export(database, &["--type", "Group"]);
    let output = smelt(database, "export", &["--out", &taken.path().display().to_string(), "--type", "Patient"]);
    assert_eq!(output.status.code(), Some(2), "a finished export is not overwritten");
    assert_eq!(taken.lines("Group").len(), 5);
}

// F-17
#[tokio::test]
async fn compressed_and_rolled_files_hold_the_same_bytes() {
    let database = demo().await;
    let conditions = |args: &[&str]| export(database, &[&["--type", "Condition", "--workers", "1"], args].concat());
    let bytes = |exported: &Exported| {
        let mut bytes = Vec::new();
        for (_, path) in exported.output() {
            decoded(&path).read_to_end(&mut bytes).expect("a readable file");
        }
        bytes
    };
    let plain = bytes(&conditions(&[]));
    let client = database.client().await;
    let rows: i64 = client.query_one("select count(*) from synthea.conditions", &[]).await.expect("a count").get(0);
    assert_eq!(plain.split(|byte| *byte == b'\n').count() as i64, rows + 1);
    for (args, ending, encoding) in [
        (&["--gzip"][..], "ndjson.gz", Some("gzip")),
        (&["--zstd", "--file-size", "1MiB"], "ndjson.zst", Some("zstd")),
        (&["--file-size", "1MiB"], "ndjson", None),
    ] {
        let exported = conditions(args);
        assert!(bytes(&exported) == plain, "{args:?}");
        let items = exported.manifest["output"].as_array().expect("a list");
        assert_eq!(items.len() > 1, args.contains(&"--file-size"), "{args:?}");
        for (number, (item, (_, path))) in items.iter().zip(exported.output()).enumerate() {
            let name = path.file_name().and_then(|name| name.to_str());
            assert_eq!(name, Some(format!("Condition.{:04}.{ending}", number + 1).as_str()));
            let stored = fs::read(&path).expect("a file");
            let size = item["fileSize"].as_u64().expect("a size");
            let extension = &item["extension"];
            assert_eq!(extension["storedSize"].as_u64(), Some(stored.len() as u64));
            assert_eq!(extension["contentEncoding"].as_str(), encoding);
            let digest = format!("{:x}", Sha256::digest(&stored));
            assert_eq!(extension["sha256"], digest.as_str());
            assert_eq!(item["count"].as_u64(), Some(lines(&path).len() as u64));
            if args.contains(&"--file-size") {
                // The next resource had no room.
                assert!(size <= 1 << 20, "{size}");
                assert!(number + 1 == items.len() || size > (1 << 20) - (1 << 14), "{size}");
            }
        }
    }
}

// K-68: workers share the open file of a type, whatever they write at the same time.
#[tokio::test]
async fn one_file_of_a_type_at_most_is_small() {
    let database = demo().await;
    let asked = "Condition,Observation,Patient";
    let files = ["--file-size", "1MiB", "--minimum-file-size", "900KiB", "--gzip"];
    let export =
        |workers: &str, args: &[&str]| export(database, &[&["--type", asked, "--workers", workers], args].concat());
    let (plain, even) = (export("1", &[]), export("4", &files));
    for name in asked.split(',') {
        assert!(sorted(&plain, name) == sorted(&even, name), "{name}");
        let items = even.manifest["output"].as_array().expect("a list").iter().filter(|item| item["type"] == name);
        let sizes: Vec<u64> = items.map(|item| item["fileSize"].as_u64().expect("a size")).collect();
        assert!(sizes.iter().all(|size| *size <= 1 << 20), "{name}: {sizes:?}");
        assert!(sizes.iter().rev().skip(1).all(|size| *size >= 900 << 10), "{name}: {sizes:?}");
    }
    let request = even.manifest["request"].as_str().expect("a URL");
    assert!(request.ends_with("&_minimumFileSize=921600"), "{request}");
}

/// What `smelt grants` prints is enough for a role that may do nothing else.
#[tokio::test]
async fn the_printed_grants_are_enough() {
    let database = filled().await;
    let client = database.client().await;
    let role = format!("reader_{}", database.name);
    client
        .batch_execute(&format!("create role {role} login; drop index synthea.conditions_updated_at_idx"))
        .await
        .expect("a role");
    let dsn = database.dsn_with("user", &role);
    let out = tempfile::tempdir().expect("a directory");
    let export = |dsn: &str| {
        Command::new(env!("CARGO_BIN_EXE_smelt"))
            .current_dir(root())
            .env_clear()
            .args(["export", "--mappings", "mappings/synthea", "--database", dsn, "--out"])
            .arg(out.path().join("out"))
            .output()
            .expect("smelt runs")
    };
    assert_eq!(export(&dsn).status.code(), Some(Exit::Diagnostics as i32), "nothing is granted yet");

    let printed = smelt(&database, "grants", &["--role", &role]);
    let script = String::from_utf8(printed.stdout).expect("UTF-8");
    let wish = "-- create index concurrently on synthea.conditions (updated_at); -- --since";
    assert!(script.lines().any(|line| line == wish), "{script}");
    assert!(!script.contains("synthea.conditions (patient)"), "that index is there: {script}");
    client.batch_execute(&script).await.expect("SQL");
    let done = export(&dsn);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    client.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.expect("nothing is left");
}

// K-64: SQL leaves out what a filter cannot find; what cannot be turned round is told.
#[tokio::test]
async fn a_dry_run_shows_what_sql_leaves_out() {
    let database = demo().await;
    for (search, want) in [
        ("Encounter?_id=a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a", r#"q."id" = any($1::text[]::uuid[])"#),
        ("Encounter?patient=a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a", r#"q."patient" = any($1::text[]::uuid[])"#),
        ("Encounter?subject=Group/x", "where false"),
        ("Encounter?date=ge2024", r#"q."stop" >= ($1::text::timestamptz"#),
        ("Encounter?status=planned", "where false"),
        ("Encounter?status=finished", r#"where q."stop" is not null"#),
        ("Patient?gender=female", r#"q."gender"::text = any($1::text[])"#),
        ("Patient?birthdate=1970", r#"q."birthdate" >= ($1::text::timestamptz at time zone 'America/New_York')"#),
        ("Patient?name=a", "every row is read"),
        ("Condition?_id=a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a", "every row is read"),
        ("Observation?value-quantity=gt5", r#"q."number" >= $1::text::numeric"#),
        ("Observation?code=8480-6,8462-4&date=lt2020", r#" and q."date" <= "#),
    ] {
        let name = search.split('?').next().expect("a type");
        let output = smelt(database, "export", &["--dry-run", "--type", name, "--type-filter", search]);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains(want), "{search}: {text}");
    }
}
