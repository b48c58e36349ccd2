//! What comes along, where references go round, where ids show no key, and where rows are bad.

use smelt::bulk::Parameters;
use smelt::bulk::report::MappingReport;
use smelt::mapping::pack::PackFiles;

use crate::support::database::Database;
use crate::support::pack::{Ran, pack, run, runtime};

const SCHEMA: &str = "
create table p (id int primary key);
insert into p values (1), (2);
create table endpoint (id int primary key, status text);
insert into endpoint values (1, 'active'), (2, 'active'), (3, null), (4, 'active');
create table org (id int primary key, parent int, endpoint int);
insert into org values (1, 2, null), (2, 3, 2), (3, 1, null), (4, 4, 3), (5, 6, null), (6, 99, null);
create table d (id int primary key, patient int);
insert into d values (1, 2), (2, 1);
create table t (id int primary key, patient int);
insert into t values (1, 2);
create table o (id int primary key, patient int, org int, device int, task int, endpoint int);
insert into o values (1, 1, 1, 1, 1, 1), (2, 2, 5, null, null, null);";

const PROJECT: &str = "format: 1\ntimezone: UTC\nnamespace: https://example.org/\npolicy: {missing: reject}\n";

/// Organizations of this id; an Endpoint's shows no key.
fn files(organization: &str) -> PackFiles {
    let organization = format!(
        "table: org\nkey: id\nresource:\n  resourceType: Organization\n  id: \"{organization}\"\n  name: x\n  \
         partOf: organization(parent)\n  endpoint:\n    - endpoint(endpoint)\n"
    );
    pack(&[
        ("mappings/project.yaml", PROJECT),
        ("mappings/patient.yaml", "table: p\nkey: id\nresource: {resourceType: Patient, id: \"p-{{id}}\"}\n"),
        (
            "mappings/observation.yaml",
            "table: o\nkey: id\nresource:\n  resourceType: Observation\n  id: \"o-{{id}}\"\n  status: final\n  \
             code: {text: x}\n  subject: patient(patient)\n  performer:\n    - organization(org)\n  \
             device: device(device)\n  extension:\n    - {url: http://example.org/t, valueReference: task(task)}\n    \
             - {url: http://example.org/e, valueReference: endpoint(endpoint)}\n",
        ),
        ("mappings/organization.yaml", &organization),
        (
            "mappings/endpoint.yaml",
            "table: endpoint\nkey: id\nresource:\n  resourceType: Endpoint\n  id: \"{{uuid 'Endpoint' id}}\"\n  \
             status: $status\n  connectionType: {code: x}\n  payloadType:\n    - text: any\n  address: http://x\n",
        ),
        (
            "mappings/device.yaml",
            "table: d\nkey: id\nresource: {resourceType: Device, id: \"d-{{id}}\", patient: patient(patient)}\n",
        ),
        (
            "mappings/task.yaml",
            "table: t\nkey: id\nresource: {resourceType: Task, id: \"t-{{id}}\", status: requested, intent: order, \
             for: patient(patient)}\n",
        ),
    ])
}

fn line<'a>(ran: &'a Ran, name: &str) -> Option<&'a MappingReport> {
    ran.exported.report.mappings.iter().find(|line| line.mapping == name)
}

/// K-44 X-07: cycles end, chains are followed to their end, nobody else's Device or Task comes along, and a bad row is
/// told once however often it is read.
#[test]
fn references_are_followed_to_their_end() {
    let runtime = runtime();
    let database = runtime.block_on(async {
        let database = Database::with_options("").await;
        database.client().await.batch_execute(SCHEMA).await.unwrap();
        database
    });
    let ask = |files: &PackFiles, patients: &[&str], types: &[&str], associated: &[&str]| {
        let texts = |of: &[&str]| of.iter().map(|&one| one.to_owned()).collect();
        let (patients, types, associated) = (texts(patients), texts(types), texts(associated));
        let asked = Parameters { patients, types, associated, ..Parameters::default() };
        let ran = run(&runtime, database.dsn(), files, &asked).unwrap();
        assert!(ran.exported.report.mappings.iter().all(MappingReport::balances));
        ran
    };
    for form in ["org-{{id}}", "{{uuid 'Organization' id}}"] {
        let files = files(form);
        let ran = ask(&files, &["p-1"], &[], &[]);
        let count = |name: &str| ran.resources(name).len();
        assert_eq!(
            ["Patient", "Observation", "Organization", "Endpoint", "Task"].map(count),
            [1, 1, 3, 2, 0],
            "{}",
            ran.ndjson()
        );
        // Only the device of the patient's own: the one that is pointed to is somebody else's.
        assert_eq!(ran.resources("Device")[0]["id"], "d-2");
        let told: Vec<String> = ran.resources("OperationOutcome").iter().map(ToString::to_string).collect();
        assert_eq!(told.iter().filter(|one| one.contains("Endpoint.status")).count(), 1, "{told:#?}");
        assert_eq!(told.iter().filter(|one| one.contains("Task of mapping task")).count(), 1, "{told:#?}");
        let endpoints = line(&ran, "endpoint").unwrap();
        // Both rounds read all of them.
        assert_eq!((endpoints.rows, endpoints.emitted, endpoints.rejected), (8, 2, 1));
        let organizations = line(&ran, "organization").unwrap();
        let read = if form.starts_with("org") { 3 } else { 18 };
        assert_eq!((organizations.rows, organizations.emitted), (read, 3), "{form}");
        // What points to nothing brings nothing, and the end is reached.
        let other = ask(&files, &["p-2"], &["Observation", "Organization"], &[]);
        assert_eq!((other.resources("Organization").len(), other.resources("Endpoint").len()), (2, 0));
        // The system has all of a type that is named; what is added is the rest.
        let system = ask(&files, &[], &["Observation"], &["_reference-closure"]);
        let count = |name: &str| system.resources(name).len();
        assert_eq!(["Observation", "Organization", "Endpoint", "Device", "Task"].map(count), [2, 5, 2, 0, 0]);
        assert!(line(&system, "device").is_none() && line(&system, "task").is_none());
        let url = system.exported.manifest.request.clone();
        assert_eq!(url, "", "as the caller has it");
    }
}
