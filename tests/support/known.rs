//! A small store whose rows are counted by heart: every combination of patient, time, status and label once.

use std::path::PathBuf;

use tempfile::TempDir;

use super::database::Database;
use super::pack::write;

const SCHEMA: &str = "
create table patients (id text primary key, sex text, label text, updated_at timestamptz);
insert into patients values ('a', 'female', 'N', '2026-02-10Z'), ('b', 'male', 'N', '2026-02-10Z'),
    ('c', 'female', 'N', '2026-02-10Z');
create table observations (id int generated always as identity primary key, patient text not null, status text,
    label text, updated_at timestamptz);
insert into observations (patient, updated_at, status, label)
    select p, t, s, l from unnest(array['a', 'b', 'c']) p,
        unnest(array['2026-01-15Z', '2026-02-15Z', '2026-03-15Z']::timestamptz[]) t,
        unnest(array['final', 'amended']) s, unnest(array['N', 'R']) l;
create table conditions (id int generated always as identity primary key, patient text not null, label text,
    updated_at timestamptz);
insert into conditions (patient, label, updated_at)
    select p, 'N', t from unnest(array['a', 'b', 'c']) p,
        unnest(array['2026-01-15Z', '2026-02-15Z', '2026-03-15Z']::timestamptz[]) t;
create table practitioners (id text primary key);
insert into practitioners values ('x');
create table provenances (id int generated always as identity primary key, observation int, practitioner text);
insert into provenances (observation) select id from observations;
insert into provenances (practitioner) values ('x');
create table cohorts (id text primary key, label text);
insert into cohorts values ('g', 'N'), ('secret', 'R'), ('empty', 'N');
create table members (cohort text, patient text);
insert into members values ('g', 'a'), ('g', 'b'), ('secret', 'c');
create table notes (id int primary key, title text);
insert into notes values (1, 'nobody knows whose this is');
create table places (id int primary key, updated_at timestamptz, deleted_at timestamptz);
insert into places values (1, '2026-01-15Z', null), (2, '2026-02-15Z', null), (3, '2026-01-15Z', '2026-02-15Z'),
    (4, '2025-01-15Z', '2026-01-15Z');
";

const LABEL: &str = "{security: [{system: v3-Confidentiality, code: $label}]}";

/// The store and a pack for it.
pub(crate) struct Known {
    pub(crate) database: Database,
    home: TempDir,
}

impl Known {
    /// With further mappings, by type in lower case; one of a type that is there stands in for it.
    pub(crate) async fn new(more: &[(&str, &str)]) -> Self {
        let database = Database::new(SCHEMA).await;
        let home = tempfile::tempdir().expect("a directory");
        let project = "format: 1\nfhir: 4.0.1\ntimezone: UTC\n".to_owned();
        let of_patient = |name: &str, table: &str, rest: &str| {
            format!(
                "table: {table}\nkey: id\nupdated: updated_at\nresource:\n  resourceType: {name}\n  \
                 id: \"{table}-{{{{id}}}}\"\n  meta: {LABEL}\n  subject: patient(patient)\n{rest}"
            )
        };
        let mut files = vec![
            ("mappings/project.yaml".to_owned(), project),
            (
                "mappings/patient.yaml".to_owned(),
                format!(
                    "table: patients\nkey: id\nupdated: updated_at\nresource:\n  resourceType: Patient\n  id: $id\n  \
                     meta: {LABEL}\n  gender: $sex\n"
                ),
            ),
            (
                "mappings/observation.yaml".to_owned(),
                of_patient("Observation", "observations", "  status: $status\n  code: {text: x}\n"),
            ),
            ("mappings/condition.yaml".to_owned(), of_patient("Condition", "conditions", "")),
            (
                "mappings/practitioner.yaml".to_owned(),
                "table: practitioners\nkey: id\nresource: {resourceType: Practitioner, id: $id}\n".to_owned(),
            ),
            (
                "mappings/provenance.yaml".to_owned(),
                "sql: provenances.sql\nkey: id\npatient: patient\nresource:\n  resourceType: Provenance\n  \
                 id: \"p-{{id}}\"\n  target:\n    - observation(observation)\n    - practitioner(practitioner)\n  \
                 recorded: 2026-01-01T00:00:00Z\n  agent:\n    - who: {display: somebody}\n"
                    .to_owned(),
            ),
            (
                "sql/provenances.sql".to_owned(),
                "select v.id, v.observation, v.practitioner, o.patient\n\
                 from provenances v left join observations o on o.id = v.observation\n"
                    .to_owned(),
            ),
            // Braces are the pack's own.
            ("sql/members.sql".to_owned(), "select * from members where '{}'::text[] <@ array[cohort]\n".to_owned()),
            (
                "mappings/group.yaml".to_owned(),
                format!(
                    "table: cohorts\nkey: id\nmembers: {{sql: members.sql, parent: cohort, patient: patient}}\n\
                     resource:\n  resourceType: Group\n  id: $id\n  meta: {LABEL}\n  type: person\n  actual: true\n"
                ),
            ),
        ];
        files.retain(|(path, _)| more.iter().all(|(name, _)| *path != format!("mappings/{name}.yaml")));
        files.extend(more.iter().map(|(name, text)| (format!("mappings/{name}.yaml"), (*text).to_owned())));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        write(home.path(), &files);
        Self { database, home }
    }

    /// Where its mappings are.
    pub(crate) fn mappings(&self) -> PathBuf {
        self.home.path().join("mappings")
    }
}
