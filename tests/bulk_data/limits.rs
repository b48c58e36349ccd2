//! What an operator bounds and shares, what time brings, and a database that goes away.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::demo;
use super::held::{Held, directories};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::pack::write;
use crate::support::server::Server;

/// Rows of 64 KB that hardly get smaller, and more of them than anybody waits for.
const LARGE: &str =
    "select id, (select string_agg(md5(id::text || n::text), '') from generate_series(1, 2000) n) as note
    from many";

//
#[tokio::test]
async fn the_space_of_all_exports_is_bounded() {
    let held = Held::new().await;
    held.admin
        .batch_execute(
            "create table many (id int primary key); insert into many select generate_series(1, 20000);
             create table few (id int primary key, note text not null);
             insert into few select n, (select string_agg(md5(n::text || k::text), '') from generate_series(1, 32) k)
             from generate_series(1, 64) n; analyze",
        )
        .await
        .unwrap();
    let many = "sql: many.sql\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"{{id}}\"\n  \
                code: {text: $note}\n";
    let few = "table: few\nkey: id\nresource:\n  resourceType: Organization\n  id: \"{{id}}\"\n  name: $note\n";
    write(held.pack.path(), &[("mappings/many.yaml", many), ("sql/many.sql", LARGE), ("mappings/few.yaml", few)]);
    let server = held.serve(&["--max-total-size", "64KiB"]);
    let failed = server.ended(&server.kick_off("/$export?_type=Basic"), &[]);
    assert_eq!((failed.status, failed.issue().as_str()), (500, "too-costly"), "{}", failed.text());

    // A little more than half of the space each; the second may be caught while it crosses the line.
    let mut kept = Vec::new();
    let refused = loop {
        let answer = server.get("/$export?_type=Organization");
        if answer.status != 202 {
            break answer;
        }
        let status = answer.accepted();
        if server.ended(&status, &[]).status == 200 {
            kept.push(status);
        }
        assert!(kept.len() < 4);
    };
    assert_eq!((refused.status, refused.issue().as_str()), (503, "transient"), "{}", refused.text());
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(server.delete(&kept[0]).status, 202);
    server.kick_off("/$export?_type=Organization");
}

// K-14 D-01
#[tokio::test]
async fn an_export_may_be_shared_while_it_has_not_ended() {
    let held = Held::new().await;
    let server = held.serve(&["--attach-to-unfinished", "true", "--max-running-per-client", "2"]);
    held.lock().await;
    let first = server.kick_off("/$export");
    for _ in 0..5 {
        assert_eq!(server.kick_off("/$export"), first);
    }
    assert_ne!(server.kick_off("/$export?_type=Patient"), first, "another request");
    assert_eq!(server.get("/$export?_since=2020").status, 429, "one too many");
    held.unlock().await;
    server.manifest(&first);
    let next = server.kick_off("/$export");
    assert_ne!(next, first, "it has ended");
    server.manifest(&next);
    let attached = server.audit().iter().filter(|line| line.to_string().contains("\"attached\"")).count();
    assert_eq!(attached, 5);
    let metrics = server.raw("GET", "/metrics", &[], &[]).text();
    assert!(metrics.contains("smelt_export_steps_total{step=\"attached\"} 5\n"), "{metrics}");

    let apart = held.serve(&[]);
    assert_ne!(apart.kick_off("/$export"), apart.kick_off("/$export"), "unless it is wanted");
}

// K-59 K-09
#[tokio::test]
async fn a_filter_that_cannot_be_asked_is_left_out_or_refused() {
    let lenient = [("Prefer", "respond-async, handling=lenient")];
    let url = "/$export?_type=Patient&_foo=1&_typeFilter=Patient%3Fnothing%3D2000";
    let server = demo(&[]).await;
    let manifest = server.manifest(&server.get_with(url, &lenient).accepted());
    assert!(server.get(manifest["error"][0]["url"].as_str().unwrap()).text().contains("nothing"));

    let server = demo(&["--typefilter-lenient", "reject"]).await;
    let refused = server.get_with(url, &lenient);
    assert_eq!((refused.status, refused.issue().as_str()), (400, "not-supported"));
    let text = refused.text();
    assert!(text.contains("nothing") && text.contains("_typeFilter") && !text.contains("_foo"), "{text}");
    server.get_with("/$export?_type=Patient&_foo=1", &lenient).accepted();
}

/// What the audit trail tells about a job.
fn deeds(server: &Server, status: &str) -> Vec<String> {
    let job = status.rsplit('/').next().unwrap();
    let of_job = |line: &serde_json::Value| line["entity"][0]["what"]["identifier"]["value"] == job;
    let lines = server.audit().into_iter().filter(of_job);
    lines.map(|line| line["subtype"][1]["code"].as_str().unwrap().to_owned()).collect()
}

// X-05 X-06 S-09
#[tokio::test]
async fn the_end_of_every_export_is_in_the_audit_trail() {
    let held = Held::new().await;
    let server = held.serve(&["--job-ttl", "3s"]);
    let status = server.kick_off("/$export");
    server.manifest(&status);
    eventually("its time is over", || async { server.get(&status).status == 404 }).await;
    eventually("its files are gone", || async { directories(server.home.path()) == 0 }).await;
    eventually("it is told", || async { deeds(&server, &status).contains(&"expired".to_owned()) }).await;
    held.admin.batch_execute("alter table t rename to gone").await.unwrap();
    let failing = server.kick_off("/$export");
    assert_eq!(server.ended(&failing, &[]).status, 500);
    eventually("it is told", || async { deeds(&server, &failing).len() > 1 }).await;

    let mut told = deeds(&server, &status);
    told.retain(|deed| deed != "manifest");
    assert_eq!(told, ["kick-off", "completed", "expired"]);
    assert_eq!(deeds(&server, &failing)[..2], ["kick-off", "failed"]);
    let trail = server.audit();
    let of = |deed: &str| trail.iter().find(|line| line["subtype"][1]["code"] == deed).unwrap();
    for (deed, action, outcome) in [("completed", "C", "0"), ("failed", "C", "8"), ("expired", "D", "0")] {
        let line = of(deed);
        assert_eq!((line["action"].as_str(), line["outcome"].as_str()), (Some(action), Some(outcome)), "{line}");
        // Nobody asked.
        assert_eq!(line["agent"][0]["requestor"], false, "{line}");
        assert_eq!(line["agent"][0]["who"]["identifier"]["value"], "anonymous", "{line}");
    }
}

// S-19
#[tokio::test]
async fn held_polls_end_with_their_connections() {
    let held = Held::new().await;
    let server = held.serve(&["--status-hold", "10s"]);
    held.lock().await;
    let status = server.kick_off("/$export");
    eventually("it reads", || async { held.sessions().await > 0 }).await;
    let path = status.strip_prefix(&server.base).unwrap();
    let poll = format!("GET {}{path} HTTP/1.1\r\nHost: x\r\n\r\n", server.prefix());
    let open = || fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let before = open();
    let began = Instant::now();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(poll.as_bytes()).unwrap();
            stream
        })
        .collect();
    // The connection of the kick-off may have been open still.
    eventually("all are taken", || async { open() + 1 >= before + clients.len() }).await;
    for stream in &clients {
        stream.set_nonblocking(true).unwrap();
        let held = stream.peek(&mut [0]).unwrap_err();
        assert_eq!(held.kind(), std::io::ErrorKind::WouldBlock, "nothing is answered yet");
    }
    drop(clients);
    eventually("none is left", || async { open() <= before }).await;
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}: they were held to the end", began.elapsed());
    held.unlock().await;
    server.manifest(&status);
}

// K-22 R-01 R-03
#[tokio::test]
async fn a_database_that_is_away_is_503_until_it_is_back() {
    let cluster = Cluster::start();
    let admin = cluster.client().await;
    admin.batch_execute("create table t (id int primary key); insert into t values (1); analyze t").await.unwrap();
    let pack = tempfile::tempdir().unwrap();
    let mapping = "table: t\nkey: id\nresource: {resourceType: Patient, id: \"{{id}}\"}\n";
    let project = "format: 1\nfhir: 4.0.1\ntimezone: UTC\n";
    write(pack.path(), &[("project.yaml", project), ("patient.yaml", mapping)]);
    let dsn = cluster.dsn("postgres");
    let first = ["--database", &dsn, "--auth", "none", "--mappings", pack.path().to_str().unwrap()];
    let server = Server::start(&first, &[], tempfile::tempdir().unwrap());
    let before = server.kick_off("/$export");
    server.manifest(&before);
    cluster.down();
    for url in ["/$export", "/Patient/$export", "/$export?_type=Patient"] {
        let refused = server.get(url);
        assert_eq!((refused.status, refused.issue().as_str()), (503, "transient"), "{url}: {}", refused.text());
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    // What needs no database is there.
    let file = server.manifest(&before)["output"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!((server.get(&file).status, server.get("/metadata").status), (200, 200));
    cluster.up();
    assert_eq!(super::count(&server.manifest(&server.kick_off("/$export")), "Patient"), 1);
}
