//! Groups of many members: a list that is sent, and rows of the mapping.

use std::time::Instant;

use super::{Server, count};
use crate::support::database::Database;
use crate::support::pack::write;

const PATIENT: &str = "table: patients\nkey: id\nresource: {resourceType: Patient, id: $id}\n";
const OBSERVATION: &str = "table: observations\nkey: id\nresource: {resourceType: Observation, id: \"o-{{id}}\", \
                           status: final, code: {text: x}, subject: patient(patient)}\n";
const GROUP: &str = "table: cohorts\nkey: id\nmembers: {table: members, parent: cohort, patient: patient, start: since}\n\
                     resource: {resourceType: Group, id: $id, type: person, actual: true}\n";

/// The manifest of an export that may take long.
fn patient(server: &Server, status: &str) -> serde_json::Value {
    let began = Instant::now();
    loop {
        let answer = server.get(status);
        if answer.status != 202 {
            assert_eq!(answer.status, 200, "{}", answer.text());
            return answer.json();
        }
        assert!(began.elapsed().as_secs() < 1_200, "the job does not end");
    }
}

/// Sends a list of all but one of so many patients, and exports it, the mapped Group of the same patients, and those
/// whom a search finds.
#[expect(clippy::print_stdout, reason = "what was measured")]
async fn many(number: usize) {
    let database = Database::with_options("").await;
    let admin = database.client().await;
    let script = format!(
        "create table patients (id uuid primary key); \
         insert into patients select md5(i::text)::uuid from generate_series(1, {number}) i; \
         create table observations (id bigint generated always as identity primary key, patient uuid not null); \
         insert into observations (patient) select id from patients, generate_series(1, 3); \
         create index on observations (patient); \
         create table cohorts (id text primary key); insert into cohorts values ('mapped'); \
         create table members (cohort text, patient uuid, since date); \
         insert into members select 'mapped', id, '2020-01-01' from patients offset 1; analyze"
    );
    admin.batch_execute(&script).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let project = "format: 1\nfhir: 4.0.1\ntimezone: UTC\n";
    write(
        home.path(),
        &[
            ("mappings/project.yaml", project),
            ("mappings/patient.yaml", PATIENT),
            ("mappings/observation.yaml", OBSERVATION),
            ("mappings/group.yaml", GROUP),
        ],
    );
    let mappings = home.path().join("mappings");
    let first = ["--database", database.dsn(), "--auth", "none", "--mappings", mappings.to_str().unwrap()];
    let server = Server::start(&first, &["--workers", "2"], tempfile::tempdir().unwrap());
    let rows = admin.query("select id::text from patients offset 1", &[]).await.unwrap();
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let timed = |what: &str, work: &dyn Fn()| {
        let began = Instant::now();
        work();
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")).unwrap();
        let peak: usize = peak.trim().parse().unwrap();
        println!("{number} members, {what}: {:.1} s, {peak} KiB at the peak", began.elapsed().as_secs_f64());
        // docs/src/operations/memory.md, with two streams.
        let allowed = 96 * 1024 + number * (150 + 2 * 160 + 300) / 1024;
        assert!(peak <= allowed, "{what}: {peak} KiB of {allowed}");
    };
    let exports = |url: &str| {
        let manifest = patient(&server, &server.kick_off(url));
        assert_eq!(count(&manifest, "Patient"), number as u64 - 1, "{url}");
        assert_eq!(count(&manifest, "Observation"), 3 * (number as u64 - 1), "{url}");
    };
    timed("a mapped Group exported", &|| exports("/Group/mapped/$export"));
    timed("a list sent", &|| {
        let answer = server.send("PUT", "/Group/listed", &[("Content-Type", "text/csv")], ids.join("\n").as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    });
    timed("it exported", &|| exports("/Group/listed/$export"));
    // Nobody joined before it was sent: all of it is new.
    timed("it exported since yesterday", &|| exports("/Group/listed/$export?_since=2020-01-01T00:00:00Z"));
    timed("a Group in JSON sent", &|| {
        let members: Vec<String> =
            ids.iter().map(|id| format!("{{\"entity\":{{\"reference\":\"Patient/{id}\"}}}}")).collect();
        let group = format!(
            "{{\"resourceType\":\"Group\",\"type\":\"person\",\"actual\":true,\"name\":\"x\",\"member\":[{}]}}",
            members.join(",")
        );
        let answer =
            server.send("PUT", "/Group/listed", &[("Content-Type", "application/fhir+json")], group.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    });
    timed("members found and exported", &|| {
        let filter = "{\"url\":\"http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter\",\"valueExpression\":\
                      {\"language\":\"application/x-fhir-query\",\"expression\":\"Observation?status=final\"}}";
        let group = format!(
            "{{\"resourceType\":\"Group\",\"type\":\"person\",\"actual\":false,\"name\":\"x\",\"modifierExtension\":[{filter}]}}"
        );
        let answer = server.send("PUT", "/Group/found", &[("Content-Type", "application/fhir+json")], group.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        let manifest = patient(&server, &server.kick_off("/Group/found/$export?_type=Patient"));
        assert_eq!(count(&manifest, "Patient"), number as u64);
    });
    let read = server.get("/Group/listed").json();
    assert_eq!(read["quantity"], number - 1);
    assert_eq!(read.get("member").is_none(), number > 50_001, "G-02");
}

// G-02 G-16 K-51 R-03
#[tokio::test]
async fn thousands_of_members() {
    many(60_000).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn soak_a_million_members() {
    many(1_000_000).await;
}
