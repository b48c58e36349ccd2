//! One step at a time.

use std::fs;

use super::super::SubmitError;
use super::super::record::State;
use super::super::testing::line;
use super::*;
use crate::fhir::outcome::IssueType;

#[test]
fn a_job_is_accepted_runs_and_is_kept() {
    let world = World::new();
    let id = world.submit("a").id;
    assert_eq!(world.records.get(id).unwrap().unwrap(), *world.job(id), "recorded before it is accepted");
    assert!(matches!(world.text(id, "Patient.0001.ndjson"), Err(OpenError::NotFound)));
    let start = world.begin();
    assert_eq!((world.job(id).state.clone(), world.job(id).attempts), (State::InProgress, 1));
    assert_eq!(world.records.get(id).unwrap().unwrap(), *world.job(id), "recorded before it begins");
    world.later(HOUR);
    world.complete(&start);
    let job = world.job(id);
    assert!(job.ended());
    assert_eq!(job.ended_at, Some(job.created_at + HOUR.as_micros() as i64));
    // X-05, S-09: counted from the end.
    assert_eq!(job.expires_at, Some(job.created_at + 25 * HOUR.as_micros() as i64));
    assert_eq!(job.files().map(|file| file.url.as_str()).collect::<Vec<_>>().len(), 3);
    assert_eq!(world.text(id, "Patient.0001.ndjson").unwrap(), line(&format!("{id}-1")));
    assert_eq!(world.events(id), [Event::Accepted, Event::Started, Event::Completed]);
    let numbers = world.keeper.numbers();
    assert_eq!((numbers.queued, numbers.running, numbers.jobs), (0, 0, 1));
    assert_eq!((numbers.totals.completed, numbers.totals.resources), (1, 1));
}

//
#[test]
fn only_files_of_the_manifest_are_given() {
    let world = World::new();
    let id = world.completed("a");
    for name in ["manifest.json", ".smelt-export", "", ".", "../state.redb", "/etc/passwd", "patient.0001.ndjson"] {
        assert!(matches!(world.text(id, name), Err(OpenError::NotFound)), "{name}");
    }
    let other = world.submit("a").id;
    assert!(matches!(world.text(other, "Patient.0001.ndjson"), Err(OpenError::NotFound)));
}

//
#[test]
fn directories_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let id = world.completed("a");
    for path in [world.config.directory.clone(), world.config.directory.join(id.to_string())] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

// K-14
#[test]
fn a_client_may_have_so_many_unfinished_jobs() {
    let world = World::with(|config| config.max_unfinished_per_client = 2);
    world.completed("a");
    let (first, _) = (world.submit("a"), world.submit("a"));
    assert!(matches!(world.keeper.submit("a", new_job()), Err(SubmitError::TooManyRunning { limit: 2 })));
    assert!(world.keeper.submit("b", new_job()).is_ok(), "others are not concerned");
    assert!(world.keeper.submit("a", limited(3)).is_ok(), "a client may have a limit of its own");
    assert!(matches!(world.keeper.submit("b", limited(1)), Err(SubmitError::TooManyRunning { limit: 1 })));
    world.keeper.delete(first.id).unwrap();
    assert!(matches!(world.keeper.submit("a", new_job()), Err(SubmitError::TooManyRunning { .. })));
}

// K-14, R-01
#[test]
fn so_many_jobs_may_wait() {
    let world = World::with(|config| (config.max_running, config.max_queued) = (1, 2));
    world.submit("a");
    world.begin();
    world.submit("b");
    world.submit("c");
    assert!(matches!(world.keeper.submit("d", new_job()), Err(SubmitError::QueueFull)));
    let world = World::with(|config| (config.max_running, config.max_queued) = (1, 0));
    world.submit("a");
    assert!(matches!(world.keeper.submit("b", new_job()), Err(SubmitError::QueueFull)));
}

//
#[test]
fn kick_off_and_delete_in_a_loop_trip_no_limit() {
    let world = World::with(|config| config.max_unfinished_per_client = 1);
    let mut stopping = Vec::new();
    for round in 0..20 {
        let id = world.submit("a").id;
        // Some have begun, and take their time to stop.
        if round < 2 {
            stopping.push(world.begin());
        }
        world.keeper.delete(id).unwrap().unwrap().remove_files();
    }
    assert!(stopping.iter().all(|start| start.cancel.is_cancelled()));
    for start in stopping {
        world.fail(&start, ExportError::Cancelled);
    }
    assert_eq!(world.directories(), [""; 0]);
    assert_eq!(world.keeper.numbers().running, 0);
}

#[test]
fn clients_take_turns() {
    let world = World::with(|config| config.max_running = 1);
    for client in ["a", "a", "a", "b", "c", "b"] {
        world.submit(client);
    }
    let mut order = Vec::new();
    while let Some(start) = world.keeper.next() {
        assert!(world.keeper.next().is_none(), "one at a time");
        order.push(start.job.client.clone());
        world.complete(&start);
    }
    assert_eq!(order, ["a", "b", "c", "a", "b", "a"]);
}

#[test]
fn an_equal_kick_off_may_share_a_job() {
    let world = World::with(|config| config.attach = true);
    let first = world.submit("a");
    assert_eq!(world.submit("a").id, first.id);
    assert_ne!(world.submit("b").id, first.id, "another client");
    let mut other = new_job();
    other.request.types.pop();
    assert_ne!(world.keeper.submit("a", other).unwrap().job.id, first.id, "another request");
    let start = world.begin();
    assert_eq!(world.submit("a").id, start.job.id, "it runs");
    world.complete(&start);
    assert_ne!(world.submit("a").id, start.job.id, "it has ended");
    let world = World::new();
    assert_ne!(world.submit("a").id, world.submit("a").id);
}

// D-01, D-02, D-03, D-04
#[test]
fn a_deleted_job_is_gone_at_once() {
    let world = World::with(|config| config.max_running = 1);
    let (waits, runs, whole) = {
        let whole = world.completed("a");
        let runs = world.submit("a").id;
        (world.submit("a").id, runs, whole)
    };
    let start = world.begin();
    let ended = [waits, runs, whole].map(|id| world.keeper.news(id).unwrap());
    for id in [waits, runs, whole] {
        world.keeper.delete(id).unwrap().expect("a job").remove_files();
        assert!(world.keeper.get(id).is_none() && world.records.get(id).unwrap().is_none());
        assert!(matches!(world.text(id, "Patient.0001.ndjson"), Err(OpenError::NotFound)));
        assert!(world.keeper.delete(id).unwrap().is_none(), "a second time");
        assert_eq!(world.events(id).last(), Some(&Event::Deleted));
    }
    assert!(ended.iter().all(tokio_util::sync::CancellationToken::is_cancelled), "whoever waits hears of it");
    assert!(start.cancel.is_cancelled());
    assert_eq!(world.keeper.numbers().running, 1, "its place is free when it has stopped");
    // It had just been done.
    world.complete(&start);
    assert_eq!(world.keeper.numbers().running, 0);
    assert!(world.keeper.get(runs).is_none());
    assert_eq!(world.directories(), [""; 0]);
}

// F-11
#[test]
fn who_reads_a_file_of_a_deleted_job_reads_on() {
    let world = World::new();
    let id = world.completed("a");
    let mut open = world.keeper.open_file(id, "Patient.0001.ndjson").unwrap();
    world.keeper.delete(id).unwrap().unwrap().remove_files();
    assert_eq!(world.directories(), [""; 0]);
    let mut text = String::new();
    open.file.read_to_string(&mut text).unwrap();
    assert_eq!(text, line(&format!("{id}-1")));
    assert_eq!((open.meta.url.as_str(), open.meta.count), ("Patient.0001.ndjson", 1));
}

// S-07, S-20
#[test]
fn a_lost_database_is_tried_again_after_a_pause() {
    let world = World::new();
    let id = world.submit("a").id;
    for (attempt, pause) in [(1, 10), (2, 60)] {
        world.fail(&world.begin(), lost());
        let job = world.job(id);
        assert_eq!((job.state.clone(), job.attempts), (State::Accepted, attempt));
        assert_eq!(world.records.get(id).unwrap().unwrap(), *job);
        assert_eq!(world.directories(), [""; 0]);
        world.pass(Duration::from_secs(pause - 1));
        assert!(world.keeper.next().is_none(), "not yet");
        world.pass(Duration::from_secs(1));
    }
    world.complete(&world.begin());
    assert_eq!(world.text(id, "Patient.0001.ndjson").unwrap(), line(&format!("{id}-3")));
    let events = world.events(id);
    assert_eq!(events.iter().filter(|event| **event == Event::PutBack).count(), 2);
    assert_eq!(world.keeper.numbers().totals.retried, 2);
}

// S-05, S-07
#[test]
fn failures_end_a_job_with_a_cause_and_leave_no_file() {
    for (error, attempts, code, transient) in [
        (lost as fn() -> ExportError, 3, IssueType::Processing, true),
        (full, 1, IssueType::Processing, true),
        (|| ExportError::WorkerDied, 1, IssueType::Processing, false),
        (|| ExportError::UnknownPatients(vec!["x".to_owned()]), 1, IssueType::NotFound, false),
    ] {
        let world = World::new();
        let id = world.submit("a").id;
        for _ in 0..attempts {
            world.fail(&world.begin(), error());
            world.pass(HOUR);
        }
        assert_eq!(failed(&world, id), (code, transient), "{:?}", error());
        assert_eq!(world.job(id).attempts, attempts);
        assert!(world.keeper.next().is_none() && world.keeper.news(id).unwrap().is_cancelled());
        assert_eq!(world.directories(), [""; 0]);
        assert_eq!(world.records.get(id).unwrap().unwrap(), *world.job(id));
        // failed jobs expire as well.
        world.pass(24 * HOUR);
        assert!(world.keeper.get(id).is_none());
    }
}

//
#[test]
fn a_job_expires_with_its_files() {
    let world = World::new();
    let (id, waits) = (world.completed("a"), world.submit("a").id);
    world.pass(Duration::from_micros(24 * 3_600_000_000 - 1));
    assert!(world.text(id, "Patient.0001.ndjson").is_ok());
    world.pass(Duration::from_micros(1));
    assert!(world.keeper.get(id).is_none() && world.records.get(id).unwrap().is_none());
    assert_eq!(world.directories(), [""; 0]);
    assert_eq!(world.events(id).last(), Some(&Event::Expired));
    assert!(world.keeper.get(waits).is_some(), "what has not ended does not expire");
    assert_eq!(world.keeper.numbers().totals.expired, 1);
}

// F-11
#[test]
fn a_job_does_not_expire_under_an_open_download() {
    let world = World::new();
    let id = world.completed("a");
    let open = world.keeper.open_file(id, "Patient.0001.ndjson").unwrap();
    world.pass(30 * HOUR);
    assert!(world.text(id, "deleted.0001.ndjson").is_ok(), "the other files as well");
    drop(open.file);
    world.pass(Duration::ZERO);
    assert!(world.keeper.get(id).is_some());
    drop(open.lease);
    world.pass(Duration::ZERO);
    assert!(world.keeper.get(id).is_none());

    let id = world.completed("a");
    let mut open = world.keeper.open_file(id, "Patient.0001.ndjson").unwrap();
    world.pass(48 * HOUR);
    assert!(world.keeper.get(id).is_none(), "not for ever");
    let mut text = String::new();
    open.file.read_to_string(&mut text).unwrap();
    assert_eq!(text, line(&format!("{id}-1")), "but who has it open reads on");
}

//
#[test]
fn a_job_that_outgrows_its_space_fails() {
    let world = World::with(|config| config.max_job_bytes = Some(1000));
    let (small, large) = (world.submit("a").id, world.submit("b").id);
    let starts = [world.begin(), world.begin()];
    for (start, size) in starts.iter().zip([1000, 1001]) {
        fs::create_dir(&start.directory).unwrap();
        fs::write(start.directory.join("Patient.0001.ndjson"), vec![b'x'; size]).unwrap();
    }
    world.keeper.tick();
    assert_eq!(starts.each_ref().map(|start| start.cancel.is_cancelled()), [false, true]);
    world.keeper.run_ended(large, Err(ExportError::Cancelled));
    assert_eq!(failed(&world, large), (IssueType::TooCostly, false));
    assert_eq!(world.directories(), [small.to_string()]);
}

//
#[test]
fn all_jobs_together_have_so_much_space() {
    let world = World::with(|config| config.max_bytes = Some(1000));
    let kept = world.completed("a");
    let stored = world.keeper.numbers().stored_bytes;
    assert!(stored > 0 && stored < 1000);
    let starts = ["a", "b"].map(|client| {
        world.later(HOUR);
        world.submit(client);
        world.begin()
    });
    for start in &starts {
        fs::create_dir(&start.directory).unwrap();
        fs::write(start.directory.join("Patient.0001.ndjson"), vec![b'x'; 480]).unwrap();
    }
    world.keeper.tick();
    assert_eq!(starts.each_ref().map(|start| start.cancel.is_cancelled()), [false, true], "the youngest makes room");
    world.keeper.tick();
    assert!(!starts[0].cancel.is_cancelled(), "while it stops, no other has to");
    assert!(world.keeper.get(kept).is_some());

    let world = World::with(|config| config.max_bytes = Some(100));
    world.completed("a");
    assert!(matches!(world.keeper.submit("a", new_job()), Err(SubmitError::NoSpace)));
    world.pass(24 * HOUR);
    assert!(world.keeper.submit("a", new_job()).is_ok());
}

#[test]
fn progress_is_that_of_the_run() {
    let world = World::new();
    let id = world.submit("a").id;
    assert_eq!(world.keeper.progress(id), Some(crate::bulk::Progress::default()));
    world.begin();
    assert_eq!(world.keeper.progress(id), Some(crate::bulk::Progress::default()));
    assert_eq!(world.keeper.progress(JobId::random().unwrap()), None);
}
