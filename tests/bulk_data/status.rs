//! Polling, the manifest, and deleting.

use super::{demo, types};
use crate::support::eventually;

// S-08 S-09 S-17 S-19 M-03 M-05 M-13 M-19 T-02 T-23 T-24
#[tokio::test]
async fn a_small_job_ends_within_the_first_poll() {
    let server = demo(&["--status-hold", "10s"]).await;
    let status = server.kick_off("/$export?_type=Patient,Organization,Encounter");
    let first = server.get(&status);
    assert_eq!(first.status, 200, "held until it ended");
    assert_eq!(first.header("content-type"), Some("application/json"));
    let expires = first.header("expires").expect("a time");
    assert!(expires.ends_with(" GMT") && expires.len() == 29, "{expires}");
    let manifest = first.json();
    assert_eq!(types(&manifest), ["Patient", "Encounter", "Organization"]);
    assert_eq!(manifest["error"], serde_json::json!([]));
    let again = server.get(&status);
    assert_eq!((&again.body, again.header("expires")), (&first.body, Some(expires)));
}

// K-26 S-18 T-36
#[tokio::test]
async fn head_mirrors_get_and_accept_does_not_matter() {
    let server = demo(&[]).await;
    let status = server.kick_off("/$export?_type=Organization");
    let length = server.ended(&status, &[]).body.len();
    let head = server.send("HEAD", &status, &[], &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
    assert_eq!(server.get_with(&status, &[("Accept", "application/fhir+xml")]).status, 200);
    assert_eq!(server.send("POST", &status, &[], &[]).status, 405);
}

// D-01 D-02 D-03 D-05 S-18 R-04 T-16 T-30
#[tokio::test]
async fn deleted_is_gone_at_once() {
    let server = demo(&[]).await;
    let status = server.kick_off("/$export?_type=Organization");
    let manifest = server.manifest(&status);
    let file = super::url(&manifest, "Organization");
    assert_eq!(server.get(&file).status, 200);
    let answer = server.delete(&status);
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    for (method, url) in [("GET", &status), ("DELETE", &status), ("GET", &file), ("HEAD", &file)] {
        let answer = server.send(method, url, &[], &[]);
        assert_eq!(answer.status, 404, "{method} {url}");
        if method != "HEAD" {
            assert_eq!(answer.issue(), "not-found");
        }
    }
    for unknown in ["AAAAAAAAAAAAAAAAAAAAAA", "x", "..", "%2e%2e", "AAAAAAAAAAAAAAAAAAAAAA%00"] {
        let answer = server.get(&format!("/bulk-status/{unknown}"));
        assert_eq!((answer.status, answer.issue().as_str()), (404, "not-found"), "{unknown}");
    }
    // A client that changes its mind again and again trips no limit.
    for _ in 0..20 {
        let status = server.kick_off("/$export");
        assert_eq!(server.delete(&status).status, 202);
    }
}

// S-10: what is said of the poll and not of the job keeps its own status.
#[tokio::test]
async fn a_separate_status_is_about_the_job_alone() {
    let server = demo(&["--polls-per-minute", "3"]).await;
    let status = server.get_with("/$export?_type=Organization", &[("Prefer", "separate-export-status")]).accepted();
    assert_eq!(server.ended(&status, &[]).header("x-export-status"), Some("200 OK"));
    let throttled = (0..10).map(|_| server.get(&status)).find(|answer| answer.status == 429).expect("a limit");
    assert_eq!(throttled.header("x-export-status"), None);
    assert_eq!(server.delete(&status).status, 202);
    let gone = server.get(&status);
    assert_eq!((gone.status, gone.header("x-export-status")), (404, None));
}

// S-06 R-01 X-06: a poll that fails for a reason of its own says that it will pass, and the job is as it was.
#[tokio::test]
async fn a_poll_may_fail_and_the_job_does_not() {
    let home = tempfile::tempdir().unwrap();
    let trail = home.path().join("audit");
    let server = demo(&["--audit-log", trail.to_str().unwrap(), "--polls-per-minute", "6000"]).await;
    let status = server.kick_off("/$export?_type=Organization");
    let manifest = server.manifest(&status);
    // What cannot be recorded is not answered.
    let kept = home.path().join("kept");
    std::fs::rename(&trail, &kept).unwrap();
    std::os::unix::fs::symlink("/dev/full", &trail).unwrap();
    server.signal("-HUP");
    eventually("polls fail", || async { server.get(&status).status == 503 }).await;
    let failed = server.get(&status);
    assert_eq!((failed.status, failed.issue().as_str()), (503, "transient"));
    assert!(failed.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let refused = server.get("/$export?_type=Organization");
    assert_eq!((refused.status, refused.issue().as_str()), (503, "transient"));
    std::fs::remove_file(&trail).unwrap();
    std::fs::rename(&kept, &trail).unwrap();
    server.signal("-HUP");
    eventually("polls are answered", || async { server.get(&status).status == 200 }).await;
    assert_eq!(server.manifest(&status), manifest);
}

// S-04 R-01 O-03
#[tokio::test]
async fn polling_too_often_is_told_and_harms_nothing() {
    let server = demo(&["--polls-per-minute", "10", "--status-hold", "0s"]).await;
    let status = server.kick_off("/$export?_type=Patient");
    let mut refused = 0;
    for n in 0..30 {
        let answer = server.get(&status);
        if answer.status == 429 {
            assert_eq!(answer.issue(), "throttled");
            let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds));
            refused += 1;
        }
        assert!(n > 0 || answer.status != 429, "the first poll is free");
    }
    assert!(refused >= 15, "{refused}");
    assert_eq!(server.delete(&status).status, 202);
}
