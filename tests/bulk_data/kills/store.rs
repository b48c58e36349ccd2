//! The database of the kills: its rows are known by their numbers, and every start has rows of its own.

use std::collections::BTreeSet;

use tempfile::TempDir;
use tokio_postgres::Client;

use super::books::Books;
use crate::support::database::Database;
use crate::support::pack::write;

/// What is asked for.
pub(super) const ASKS: &[&str] = &[
    "/$export",
    "/$export?_type=Observation",
    "/$export?_type=Condition,Basic",
    "/Patient/$export?_type=Patient,Observation,Condition",
    "/Group/odd/$export?_type=Patient,Condition",
    "/Patient/$export?_type=Patient,Observation,Condition&organizeOutputBy=Patient",
];

/// Rows of each table before the first start.
const PATIENTS: usize = 400;
const OBSERVATIONS: usize = 6_000;
const CONDITIONS: usize = 2_000;
const BASICS: usize = 1_000;

const MAPPINGS: &[(&str, &str)] = &[
    ("mappings/project.yaml", "format: 1\nfhir: 4.0.1\ntimezone: UTC\n"),
    ("mappings/patient.yaml", "table: patients\nkey: id\nresource:\n  resourceType: Patient\n  id: \"{{id}}\"\n"),
    (
        "mappings/observation.yaml",
        "table: observations\nkey: id\nresource:\n  resourceType: Observation\n  id: \"{{id}}\"\n  status: final\n  \
         code: {text: $note}\n  subject: patient(patient)\n",
    ),
    (
        "mappings/condition.yaml",
        "table: conditions\nkey: id\nresource:\n  resourceType: Condition\n  id: \"{{id}}\"\n  code: {text: $note}\n  \
         subject: patient(patient)\n",
    ),
    (
        "mappings/basic.yaml",
        "table: basics\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"{{id}}\"\n  \
         code: {text: $note}\n",
    ),
    (
        "mappings/group.yaml",
        "table: cohorts\nkey: id\nmembers: {table: members, parent: cohort, patient: patient}\nresource:\n  \
         resourceType: Group\n  id: $id\n  type: person\n  actual: true\n",
    ),
];

pub(super) struct Store {
    database: Database,
    admin: Client,
    pack: TempDir,
}

impl Store {
    pub(super) async fn new() -> Self {
        let filled = |table: &str, rows: usize| {
            format!(
                "create table {table} (id int primary key, patient int not null, note text not null);
                 insert into {table} select n, 1 + n % {PATIENTS}, repeat(md5(n::text), 8)
                 from generate_series(1, {rows}) n;"
            )
        };
        let schema = format!(
            "create table patients (id int primary key);
             insert into patients select generate_series(1, {PATIENTS});
             {} {} {}
             create table cohorts (id text primary key); insert into cohorts values ('odd');
             create table members (cohort text, patient int, primary key (cohort, patient));
             insert into members select 'odd', n from generate_series(1, {PATIENTS}, 2) n;
             analyze",
            filled("observations", OBSERVATIONS),
            filled("conditions", CONDITIONS),
            filled("basics", BASICS),
        );
        let database = Database::new(&schema).await;
        let admin = database.client().await;
        let pack = tempfile::tempdir().unwrap();
        write(pack.path(), MAPPINGS);
        Self { database, admin, pack }
    }

    /// Arguments of a server.
    pub(super) fn args(&self) -> Vec<&str> {
        let pack = self.pack.path().to_str().unwrap();
        let mut args = vec!["--database", self.database.dsn(), "--mappings", pack, "--auth", "none"];
        args.extend(["--file-size", "256KiB", "--status-hold", "0s", "--polls-per-minute", "1000000"]);
        args.extend(["--max-running-jobs", "2", "--max-running-per-client", "100"]);
        args
    }

    /// Adds a row to every table; the next start is known by it.
    pub(super) async fn mark(&self, books: &mut Books) {
        let mark = books.starts.len() + 1;
        let row = |table: &str, rows: usize| {
            format!("insert into {table} values ({}, {}, 'mark');", rows + mark, PATIENTS + mark)
        };
        let patient = PATIENTS + mark;
        let sql = format!(
            "begin; insert into patients values ({patient}); insert into members values ('odd', {patient}); {} {} {} commit",
            row("observations", OBSERVATIONS),
            row("conditions", CONDITIONS),
            row("basics", BASICS),
        );
        self.admin.batch_execute(&sql).await.unwrap();
        let now = "select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint";
        books.starts.push(self.admin.query_one(now, &[]).await.unwrap().get(0));
    }
}

/// Types of an answer.
pub(super) fn types(ask: &str) -> Vec<&str> {
    match ask.split_once("_type=") {
        Some((_, rest)) => rest.split('&').next().unwrap().split(',').collect(),
        None => vec!["Patient", "Basic", "Condition", "Group", "Observation"],
    }
}

/// Ids of a type in an export that sees so many marks.
pub(super) fn ids(ask: &str, name: &str, marks: usize) -> BTreeSet<String> {
    let rows = match name {
        "Group" => return BTreeSet::from(["odd".to_owned()]),
        "Patient" => PATIENTS,
        "Observation" => OBSERVATIONS,
        "Condition" => CONDITIONS,
        _ => BASICS,
    };
    let is_odd = |n: &usize| match name {
        _ if *n > rows => true,
        "Patient" => n % 2 == 1,
        _ => (1 + n % PATIENTS) % 2 == 1,
    };
    (1..=rows + marks).filter(|n| !ask.starts_with("/Group/") || is_odd(n)).map(|n| n.to_string()).collect()
}
