//! The store fails, the process dies or is drained: the next step finds everything in order.

use std::fs;

use super::super::SubmitError;
use super::super::record::State;
use super::super::testing::line;
use super::*;
use crate::fhir::outcome::IssueType;

#[test]
fn a_job_that_cannot_be_recorded_is_not_accepted() {
    let world = World::new();
    world.store.set_broken(true);
    assert!(matches!(world.keeper.submit("a", new_job()), Err(SubmitError::Store(_))));
    assert!(!world.keeper.store_works());
    assert_eq!(world.keeper.numbers().jobs, 0);
    world.store.set_broken(false);
    world.submit("a");
    assert!(world.keeper.store_works());
}

#[test]
fn nothing_has_ended_before_its_record_says_so() {
    for (ok, event) in [(true, Event::Completed), (false, Event::Failed)] {
        let world = World::new();
        let id = world.submit("a").id;
        let start = world.begin();
        world.store.set_broken(true);
        if ok {
            world.complete(&start);
        } else {
            world.fail(&start, full());
        }
        assert_eq!(world.job(id).state, State::InProgress);
        assert_eq!((world.keeper.numbers().running, world.keeper.numbers().unrecorded), (0, 1));
        world.keeper.tick();
        assert_eq!(world.job(id).state, State::InProgress);
        world.store.set_broken(false);
        world.keeper.tick();
        assert!(world.job(id).ended() && world.keeper.news(id).unwrap().is_cancelled());
        assert_eq!(world.events(id), [Event::Accepted, Event::Started, event]);
        assert_eq!(world.text(id, "Patient.0001.ndjson").is_ok(), ok);
    }
}

#[test]
fn a_store_that_fails_delays_what_time_brings() {
    let world = World::new();
    let id = world.submit("a").id;
    world.store.set_broken(true);
    assert!(world.keeper.next().is_none(), "a run that is not recorded does not begin");
    assert!(world.keeper.delete(id).is_err());
    assert!(world.keeper.get(id).is_some(), "what is not removed is still there");
    world.store.set_broken(false);
    world.pass(HOUR);
    world.complete(&world.begin());
    assert_eq!(world.job(id).attempts, 1);
    world.store.set_broken(true);
    world.pass(24 * HOUR);
    assert!(world.keeper.get(id).is_none() && world.records.get(id).unwrap().is_some());
    assert_eq!(world.directories(), [""; 0], "on a full disk files are what must go");
    world.store.set_broken(false);
    world.pass(Duration::ZERO);
    assert!(world.records.get(id).unwrap().is_none());
}

// S-20
#[test]
fn an_interrupted_job_runs_again_and_not_for_ever() {
    let mut world = World::new();
    let id = world.submit("a").id;
    world.later(HOUR);
    let waits = world.submit("b").id;
    for attempt in 1..=3 {
        let start = world.begin();
        assert_eq!((start.job.id, start.job.attempts), (id, attempt));
        drop(LocalSink::open(&start.directory).unwrap());
        world.crash();
        assert_eq!(world.directories(), [""; 0]);
    }
    assert_eq!(failed(&world, id), (IssueType::Processing, true));
    assert_eq!(world.events(id).last(), Some(&Event::Failed));
    assert_eq!(world.records.get(id).unwrap().unwrap(), *world.job(id));
    world.complete(&world.begin());
    assert!(world.job(waits).ended());
    world.crash();
    assert!(world.job(waits).ended() && world.keeper.next().is_none(), "what has ended stays as it is");
    assert_eq!(world.text(waits, "Patient.0001.ndjson").unwrap(), line(&format!("{waits}-1")));
}

// S-20
#[test]
fn an_export_whose_end_was_not_recorded_is_made_again() {
    let mut world = World::new();
    let id = world.submit("a").id;
    export(&world.begin());
    assert_eq!(world.directories(), [id.to_string()]);
    world.crash();
    assert_eq!(world.directories(), [""; 0]);
    world.complete(&world.begin());
    assert_eq!(world.text(id, "Patient.0001.ndjson").unwrap(), line(&format!("{id}-2")));
}

//
#[test]
fn a_start_removes_what_belongs_to_nobody() {
    let mut world = World::new();
    let (kept, expired) = (world.completed("a"), world.completed("a"));
    world.records.remove(expired).unwrap();
    fs::create_dir(world.config.directory.join("notes")).unwrap();
    world.crash();
    let mut left = vec![kept.to_string(), "notes".to_owned()];
    left.sort();
    assert_eq!(world.directories(), left, "strange things are left alone");
    world.later(24 * HOUR);
    world.crash();
    assert_eq!(world.events(kept).last(), Some(&Event::Expired));
    assert!(world.keeper.get(kept).is_none() && world.records.get(kept).unwrap().is_none());
    assert_eq!(world.directories(), ["notes"]);
}

#[test]
fn a_drained_server_goes_on_where_it_was() {
    let mut world = World::new();
    let id = world.submit("a").id;
    world.later(HOUR);
    let waits = world.submit("a").id;
    let start = world.begin();
    world.keeper.begin_drain();
    assert!(world.keeper.next().is_none());
    assert!(matches!(world.keeper.submit("a", new_job()), Err(SubmitError::Draining)));
    world.keeper.stop_runs();
    assert!(start.cancel.is_cancelled());
    world.fail(&start, ExportError::Cancelled);
    assert_eq!((world.job(id).state.clone(), world.job(id).attempts), (State::Accepted, 0), "not its fault");
    world.crash();
    let order: Vec<JobId> = std::iter::from_fn(|| world.keeper.next()).map(|start| start.job.id).collect();
    assert_eq!(order, [id, waits]);
}
