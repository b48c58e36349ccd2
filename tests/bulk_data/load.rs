//! Many at once: clients that poll and download while exports run, and polls without end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{count, demo};

/// Clients poll and download while exports run; every manifest is exact. Returns how long it took.
async fn crowd(clients: usize, exports: usize) -> Duration {
    let server = demo(&[
        "--max-running-jobs",
        "4",
        "--max-running-per-client",
        "1000",
        "--max-queued-jobs",
        "1000",
        "--polls-per-minute",
        "100000",
    ])
    .await;
    let began = Instant::now();
    let server = &server;
    let jobs: Vec<String> =
        (0..exports).map(|_| server.kick_off("/$export?_type=Patient,Condition,Encounter")).collect();
    thread::scope(|scope| {
        for n in 0..clients {
            let job = &jobs[n % jobs.len()];
            scope.spawn(move || {
                let manifest = server.manifest(job);
                assert_eq!((count(&manifest, "Patient"), count(&manifest, "Encounter")), (295, 16_854));
                for item in manifest["output"].as_array().unwrap() {
                    let file = server.get(item["url"].as_str().unwrap());
                    assert_eq!(file.status, 200);
                    let lines = file.body.split(|byte| *byte == b'\n').count() as u64 - 1;
                    assert_eq!(Some(lines), item["count"].as_u64());
                    assert_eq!(Some(file.body.len() as u64), item["fileSize"].as_u64());
                }
            });
        }
    });
    for job in &jobs {
        assert_eq!(server.delete(job).status, 202);
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    began.elapsed()
}

// M-20 R-02
#[tokio::test]
async fn twelve_clients_and_three_exports() {
    crowd(12, 3).await;
}

#[tokio::test]
#[ignore = "takes long: make soak"]
async fn soak_fifty_clients_and_eight_exports() {
    for _ in 0..3 {
        println!("fifty clients, eight exports: {:.1} s", crowd(50, 8).await.as_secs_f64());
    }
}

/// Polls of a finished job at this rate while exports of all types run; seconds of one export.
async fn export_under_polls(per_minute: u64) -> f64 {
    let server = demo(&["--polls-per-minute", "120"]).await;
    let polled = server.kick_off("/$export?_type=Organization");
    server.manifest(&polled);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let (server, polled, stop, sent) = (&server, &polled, &stop, &sent);
    thread::scope(|scope| {
        if per_minute > 0 {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = server.get(polled);
                    assert!([200, 429].contains(&answer.status), "{}", answer.status);
                    let due = Duration::from_micros(60_000_000 / per_minute * sent.fetch_add(1, Ordering::Relaxed));
                    thread::sleep(due.saturating_sub(began.elapsed()));
                }
            });
        }
        let manifest = server.manifest(&server.kick_off("/$export"));
        assert_eq!(count(&manifest, "Patient"), 295);
        stop.store(true, Ordering::Relaxed);
    });
    began.elapsed().as_secs_f64()
}

// S-04
#[tokio::test]
#[ignore = "measures: make soak"]
async fn soak_ten_thousand_polls_a_minute_leave_exports_alone() {
    let mut fastest = [f64::MAX; 2];
    for _ in 0..3 {
        for (place, rate) in [(0, 0), (1, 10_000)] {
            fastest[place] = fastest[place].min(export_under_polls(rate).await);
        }
    }
    let [alone, polled] = fastest;
    println!("export alone {alone:.2} s, under 10,000 polls a minute {polled:.2} s");
    assert!(polled < alone * 1.3 + 0.5, "{alone} {polled}");
}
