//! Memory of the real binary does not follow the number of rows, nor the number of items below one of them.

use std::path::Path;

use crate::support::database::Database;
use crate::support::pack::{export_command, runtime, watch, write};

const SCHEMA: &str = "create table t (id int primary key, v text);
    create table items (t int not null, n int not null, v text);";
const FLAT: &str = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
                    code: {text: $v}\n";
const LISTED: &str = "table: t\nkey: id\nlists: {items: {table: items, parent: t, order: n}}\nresource:\n  \
                      resourceType: Patient\n  id: \"p-{{id}}\"\n  contact:\n    - $each items:\n        \
                      name: {text: $v}\n";

const POINTING: &str = "table: t\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
                        code: {text: $v}\n  author: organization(id)\n";
const POINTED: &str = "table: t\nkey: id\nresource:\n  resourceType: Organization\n  id: \"o-{{id}}\"\n  name: $v\n";

/// Most memory held (KiB) by an export of `mapping` over what `fill` puts into the tables, and the lines it wrote.
fn peak(mapping: &str, fill: &str) -> (u64, usize, u64) {
    peak_of(&filled(fill), &[("mappings/m.yaml", mapping)], &[])
}

fn filled(fill: &str) -> Database {
    runtime().block_on(async {
        let database = Database::with_options("").await;
        let client = database.client().await;
        client.batch_execute(SCHEMA).await.expect("a schema");
        client.batch_execute(fill).await.expect("rows");
        database
    })
}

fn peak_of(database: &Database, files: &[(&str, &str)], more: &[&str]) -> (u64, usize, u64) {
    let home = tempfile::tempdir().expect("a directory");
    write(home.path(), files);
    let out = home.path().join("out");
    let child = export_command(home.path(), database.dsn(), &out)
        .args(["--workers", "1"])
        .args(more)
        .spawn()
        .expect("it starts");
    let (code, told, peak) = watch(child);
    assert_eq!(code, Some(0), "{told}");
    let (lines, bytes) = written(&out);
    (peak, lines, bytes)
}

fn written(out: &Path) -> (usize, u64) {
    let manifest = std::fs::read(out.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let sum = |key: &str| {
        manifest["output"].as_array().expect("files").iter().map(|file| file[key].as_u64()).sum::<Option<u64>>()
    };
    (sum("count").expect("counts") as usize, sum("fileSize").expect("sizes"))
}

fn grows(mapping: &str, small: &str, large: &str) -> u64 {
    let (before, _, few) = peak(mapping, small);
    let (after, _, many) = peak(mapping, large);
    assert!(many > 5 * few, "the large export is not large: {few} and {many} bytes");
    after.saturating_sub(before)
}

fn rows(count: u32) -> String {
    format!("insert into t select i, 'row ' || i from generate_series(1, {count}) i; analyze t")
}

fn items(count: u32) -> String {
    format!(
        "insert into t values (1, 'x'), (2, 'y'); insert into items values (2, 1, 'z');
         insert into items select 1, i, 'item ' || i from generate_series(1, {count}) i; analyze items"
    )
}

/// Growth allowed, in KiB.
const ALLOWED: u64 = 16 * 1024;

#[test]
fn a_flat_export_takes_no_memory_for_its_rows() {
    let grown = grows(FLAT, &rows(10_000), &rows(100_000));
    assert!(grown <= ALLOWED, "it grew by {grown} KiB");
}

#[test]
fn a_list_takes_no_memory_for_its_items() {
    let grown = grows(LISTED, &items(10_000), &items(1_000_000));
    assert!(grown <= ALLOWED, "it grew by {grown} KiB");
}

/// What is pointed to is kept in files, as the book has it (K-44).
#[test]
fn what_comes_along_takes_no_memory_for_its_number() {
    let files = [("mappings/basic.yaml", POINTING), ("mappings/organization.yaml", POINTED)];
    let args = ["--type", "Basic", "--include-associated-data", "_reference-closure"];
    let (before, few, _) = peak_of(&filled(&rows(10_000)), &files, &args);
    let (after, many, _) = peak_of(&filled(&rows(150_000)), &files, &args);
    assert_eq!((few, many), (20_000, 300_000), "each is pointed to");
    let grown = after.saturating_sub(before);
    assert!(grown <= ALLOWED, "it grew by {grown} KiB");
}

const PATIENT: &str = "table: t\nkey: id\nresource: {resourceType: Patient, id: \"p-{{id}}\"}\n";
const OWNED: &str = "table: items\nkey: n\nresource:\n  resourceType: Observation\n  id: \"o-{{n}}\"\n  \
                     status: final\n  code: {text: $v}\n  subject: patient(t)\n";

/// What organizing by patient may take beside what every export takes (KiB): a partition, and what partitions gather.
const ORGANIZED: u64 = (32 + 16) * 1024 + ALLOWED;

/// How much more memory an export of so many resources of 900 bytes takes by patient than by type.
fn organizing_takes(resources: u32, patients: u32) -> u64 {
    let database = filled(&format!(
        "insert into t select i, 'x' from generate_series(1, {patients}) i;
         insert into items select 1 + i % {patients}, i, repeat('y', 900) from generate_series(1, {resources}) i;
         analyze t, items"
    ));
    let files = [("mappings/patient.yaml", PATIENT), ("mappings/o.yaml", OWNED)];
    let (by_type, lines, bytes) = peak_of(&database, &files, &[]);
    let (by_patient, same_lines, more_bytes) = peak_of(&database, &files, &["--organize-by", "patient"]);
    assert_eq!(lines, same_lines);
    assert!(bytes < more_bytes && bytes / 1024 > ORGANIZED + ORGANIZED / 2, "{bytes} bytes are not many");
    by_patient.saturating_sub(by_type)
}

#[test]
fn blocks_take_no_memory_for_their_resources() {
    for patients in [1, 3, 5000] {
        let taken = organizing_takes(110_000, patients);
        assert!(taken <= ORGANIZED, "{taken} KiB for {patients} patients");
    }
}

#[test]
#[ignore = "long"]
fn soak_blocks_of_a_million_resources() {
    for patients in [1, 100_000] {
        let taken = organizing_takes(1_000_000, patients);
        assert!(taken <= ORGANIZED, "{taken} KiB for {patients} patients");
    }
}

#[test]
#[ignore = "long"]
fn soak_a_flat_export_of_a_million_rows() {
    let grown = grows(FLAT, &rows(100_000), &rows(1_000_000));
    assert!(grown <= ALLOWED, "it grew by {grown} KiB");
}
