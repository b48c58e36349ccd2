//! Exports that are held up: progress, limits, deleting, draining, restarts. A lock on the table decides how long.

use std::time::{Duration, Instant};

use super::count;
use super::held::{Held, directories};
use crate::support::eventually;

// S-01 S-02 S-03 S-10 S-20 T-03 T-22 T-42
#[tokio::test]
async fn a_running_job_says_how_far_it_is() {
    let held = Held::new().await;
    let server = held.serve(&["--status-hold", "1s"]);
    held.lock().await;
    let plain = server.kick_off("/$export");
    let separate = server.get_with("/$export", &[("Prefer", "separate-export-status")]).accepted();
    for (url, status, export_status) in [(&plain, 202, None), (&separate, 200, Some("202 Accepted"))] {
        let began = Instant::now();
        let answer = server.get(url);
        assert!(began.elapsed() >= Duration::from_secs(1), "it is held");
        assert_eq!((answer.status, answer.header("x-export-status")), (status, export_status));
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let pause: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&pause));
        let progress = answer.header("x-progress").unwrap();
        assert!(progress.starts_with("0% ") && progress.len() < 100, "{progress}");
    }
    // Who waits is answered the moment it ends.
    held.unlock().await;
    assert_eq!(count(&server.manifest(&plain), "Patient"), 1000);
    assert_eq!(server.ended(&separate, &[]).header("x-export-status"), Some("200 OK"));
}

// K-14 R-01 T-16
#[tokio::test]
async fn more_than_may_run_are_refused_and_finished_ones_do_not_count() {
    let held = Held::new().await;
    let server = held.serve(&["--max-running-jobs", "1", "--max-running-per-client", "2"]);
    for _ in 0..3 {
        server.manifest(&server.kick_off("/$export"));
    }
    held.lock().await;
    let running = server.kick_off("/$export");
    let waiting = server.kick_off("/$export");
    let refused = server.get("/$export");
    assert_eq!((refused.status, refused.issue().as_str()), (429, "throttled"));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(server.get(&waiting).header("x-progress").unwrap().starts_with("0% waiting"));
    assert_eq!(server.delete(&running).status, 202);
    server.kick_off("/$export");
    held.unlock().await;
    server.manifest(&waiting);
}

// S-05 D-01 T-30
#[tokio::test]
async fn a_failed_job_says_so_at_every_poll() {
    let held = Held::new().await;
    let server = held.serve(&[]);
    held.admin.batch_execute("alter table t rename to gone").await.unwrap();
    let plain = server.kick_off("/$export");
    let separate = server.get_with("/$export", &[("Prefer", "separate-export-status")]).accepted();
    let failed = server.ended(&plain, &[]);
    assert_eq!(failed.status, 500, "{}", failed.text());
    failed.issue();
    for word in ["gone", "relation", "table t", "42P01"] {
        assert!(!failed.text().contains(word), "{}", failed.text());
    }
    assert_eq!(server.get(&plain).body, failed.body);
    let told = server.ended(&separate, &[]);
    assert_eq!((told.status, told.header("x-export-status")), (200, Some("500 Internal Server Error")));
    assert_eq!(told.header("content-type"), Some("application/fhir+json"));
    assert_eq!(told.json()["resourceType"], "OperationOutcome");
    let home = server.home.path();
    assert_eq!(directories(home), 0);
    assert_eq!((server.delete(&plain).status, server.get(&plain).status), (202, 404));
}

// R-01 R-02
#[tokio::test]
async fn a_full_queue_is_busy_for_everybody() {
    let held = Held::new().await;
    let server = held.serve(&["--max-running-jobs", "1", "--max-queued-jobs", "1", "--max-running-per-client", "9"]);
    held.lock().await;
    server.kick_off("/$export");
    eventually("it runs", || async { held.sessions().await > 0 }).await;
    server.kick_off("/$export");
    let refused = server.get("/$export");
    assert_eq!((refused.status, refused.issue().as_str()), (503, "transient"));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    held.unlock().await;
}

// D-01 D-04
#[tokio::test]
async fn deleting_a_running_job_frees_the_database() {
    let held = Held::new().await;
    let server = held.serve(&[]);
    held.lock().await;
    let status = server.kick_off("/$export");
    eventually("it reads", || async { held.sessions().await > 0 }).await;
    let began = Instant::now();
    assert_eq!(server.delete(&status).status, 202);
    assert_eq!(server.get(&status).status, 404);
    eventually("nothing of it is left", || async { held.sessions().await == 0 }).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let home = server.home.path();
    eventually("its files are gone", || async { directories(home) == 0 }).await;
}

// S-20
#[tokio::test]
async fn sigterm_waits_for_running_exports_and_takes_no_more() {
    let held = Held::new().await;
    let mut server = held.serve(&["--drain-timeout", "2min", "--status-hold", "0s"]);
    held.lock().await;
    let status = server.kick_off("/$export");
    eventually("it reads", || async { held.sessions().await > 0 }).await;
    server.signal("-TERM");
    eventually("the server says so", || async { server.raw("GET", "/readyz", &[], &[]).status == 503 }).await;
    let refused = server.get("/$export");
    assert_eq!((refused.status, refused.issue().as_str()), (503, "transient"));
    assert_eq!(server.get(&status).status, 202, "polls are answered meanwhile");
    held.unlock().await;
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());

    // What it made is there at the next start.
    let base = server.base.clone();
    let next = held.serve_in(server.kill(), &[]);
    let path = status.strip_prefix(&base).unwrap();
    assert_eq!(count(&next.manifest(path), "Patient"), 1000);
}

// S-20
#[tokio::test]
async fn a_job_of_a_killed_server_runs_at_the_next_start() {
    let held = Held::new().await;
    let server = held.serve(&[]);
    held.lock().await;
    let status = server.kick_off("/$export");
    eventually("it reads", || async { held.sessions().await > 0 }).await;
    let path = status.strip_prefix(&server.base).unwrap().to_owned();
    let home = server.kill();
    held.unlock().await;
    let next = held.serve_in(home, &[]);
    let manifest = next.manifest(&path);
    assert_eq!(count(&manifest, "Patient"), 1000);
    let file = next.get(&super::url(&manifest, "Patient")).text();
    let ids: std::collections::BTreeSet<&str> = file.lines().collect();
    assert_eq!((file.lines().count(), ids.len()), (1000, 1000));
    assert_eq!(directories(next.home.path()), 1);
}

//
#[tokio::test]
async fn one_server_at_a_time_uses_a_state_directory() {
    let held = Held::new().await;
    let server = held.serve(&[]);
    let state = server.home.path().join("state");
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_smelt"))
        .env_clear()
        .args(["serve", "--auth", "none", "--listen", "127.0.0.1:0", "--database", held.database.dsn()])
        .arg("--mappings")
        .arg(held.pack.path().join("mappings"))
        .arg("--state-dir")
        .arg(&state)
        .output()
        .unwrap();
    assert_eq!((second.status.code(), second.stdout.len()), (Some(6), 0));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("One server uses a state directory at a time"), "{told}");
}
