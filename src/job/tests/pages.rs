//! Pages that are published while a run goes on.

use std::fs;

use super::super::testing::{line, manifest};
use super::*;
use crate::bulk::Manifest;
use crate::sink::{Codec, Sink as _, SinkFile as _};

/// Writes a file of a run and publishes it.
fn publish(world: &World, start: &Start, sink: &LocalSink, number: usize) -> bool {
    let mark = mark(&start.job);
    let name = format!("Patient.{number:04}.ndjson");
    let mut file = sink.create(&name, Codec::None).unwrap();
    file.write(line(&mark).as_bytes()).unwrap();
    file.commit().unwrap();
    let mut page = Manifest { deleted: None, outcome: Vec::new(), ..manifest(&mark) };
    page.output[0].url = name;
    world.keeper.publish(start.job.id, page)
}

/// A job that runs and has published two pages; what its directory holds is more than that.
fn with_pages(world: &World) -> (Start, LocalSink) {
    world.submit("a");
    let start = world.begin();
    let sink = LocalSink::open(&start.directory).unwrap();
    let news = world.keeper.news(start.job.id).unwrap();
    assert!(publish(world, &start, &sink, 1) && publish(world, &start, &sink, 2));
    assert!(news.is_cancelled() && !world.keeper.news(start.job.id).unwrap().is_cancelled(), "who waited looks again");
    fs::write(start.directory.join("Patient.0003.ndjson"), "{}\n").unwrap();
    (start, sink)
}

fn urls(world: &World, id: JobId) -> Vec<String> {
    world.job(id).files().map(|file| file.url.clone()).collect()
}

/// That the job has failed, and what was published is as it was.
fn stays(world: &World, id: JobId, mark: &str) {
    assert_eq!(failed(world, id), (IssueType::Processing, true));
    assert_eq!(urls(world, id), ["Patient.0001.ndjson", "Patient.0002.ndjson"]);
    assert_eq!(world.text(id, "Patient.0002.ndjson").unwrap(), line(mark));
    assert!(matches!(world.text(id, "Patient.0003.ndjson"), Err(OpenError::NotFound)));
    let left = fs::read_dir(world.config.directory.join(id.to_string())).unwrap().count();
    assert_eq!(left, 2, "nothing else is left");
    assert!(world.keeper.next().is_none(), "it does not run again");
    world.pass(24 * HOUR);
    assert!(world.keeper.get(id).is_none());
    assert_eq!(world.directories(), [""; 0]);
}

// S-13 S-14
#[test]
fn a_page_is_recorded_before_it_is_shown_and_does_not_change() {
    let world = World::new();
    world.submit("a");
    let start = world.begin();
    let id = start.job.id;
    let sink = LocalSink::open(&start.directory).unwrap();
    world.store.set_broken(true);
    assert!(!publish(&world, &start, &sink, 1));
    assert_eq!(urls(&world, id), [""; 0]);
    assert!(matches!(world.text(id, "Patient.0001.ndjson"), Err(OpenError::NotFound)));
    world.store.set_broken(false);
    assert!(publish(&world, &start, &sink, 2));
    assert_eq!(world.records.get(id).unwrap().unwrap(), *world.job(id));
    assert_eq!(world.text(id, "Patient.0002.ndjson").unwrap(), line(&mark(&start.job)));
    let (pages, at) =
        (world.job(id).pages.clone(), world.keeper.open_file(id, "Patient.0002.ndjson").unwrap().whole_at);
    assert_eq!(world.keeper.numbers().stored_bytes, 0, "what runs is looked at on the disk");
    world.later(HOUR);
    drop(sink);
    fs::remove_file(start.directory.join(".smelt-export")).unwrap();
    let last = Manifest { output: Vec::new(), deleted: Some(Vec::new()), outcome: Vec::new(), ..manifest("") };
    world.keeper.run_ended(id, Ok(Made { manifest: last, rejected: 0 }));
    let job = world.job(id);
    assert!(job.ended() && job.pages == pages);
    assert_eq!(world.keeper.open_file(id, "Patient.0002.ndjson").unwrap().whole_at, at);
    let numbers = world.keeper.numbers();
    assert_eq!((numbers.totals.resources, numbers.stored_bytes > 0), (1, true));
    assert!(!world.keeper.publish(id, manifest("")), "nothing comes after the last page");
}

// S-16: another run would have another snapshot.
#[test]
fn what_was_seen_is_not_made_again() {
    let world = World::new();
    let (start, _sink) = with_pages(&world);
    world.keeper.run_ended(start.job.id, Err(lost()));
    stays(&world, start.job.id, &mark(&start.job));

    let world = World::new();
    let (start, sink) = with_pages(&world);
    world.keeper.begin_drain();
    world.keeper.stop_runs();
    assert!(!publish(&world, &start, &sink, 4), "what is being stopped publishes nothing");
    world.keeper.run_ended(start.job.id, Err(ExportError::Cancelled));
    stays(&world, start.job.id, &mark(&start.job));

    let mut world = World::new();
    let (start, sink) = with_pages(&world);
    drop(sink);
    world.crash();
    assert_eq!(world.events(start.job.id).last(), Some(&Event::Failed));
    stays(&world, start.job.id, &mark(&start.job));

    // The end could not be recorded before the process died.
    let mut world = World::new();
    let (start, sink) = with_pages(&world);
    drop(sink);
    world.store.set_broken(true);
    world.keeper.run_ended(start.job.id, Err(ExportError::Ids("twice".to_owned())));
    assert!(!world.job(start.job.id).ended());
    world.crash();
    stays(&world, start.job.id, &mark(&start.job));
}

// R-02 D-03
#[test]
fn pages_go_with_their_space() {
    let world = World::with(|config| config.max_job_bytes = Some(10));
    let (start, _sink) = with_pages(&world);
    world.keeper.tick();
    assert!(start.cancel.is_cancelled());
    world.keeper.run_ended(start.job.id, Err(ExportError::Cancelled));
    assert_eq!(failed(&world, start.job.id), (IssueType::TooCostly, false));
    assert_eq!((urls(&world, start.job.id), world.directories()), (Vec::new(), Vec::new()));

    let world = World::new();
    let (start, sink) = with_pages(&world);
    world.keeper.delete(start.job.id).unwrap().expect("it was there").remove_files();
    assert!(!publish(&world, &start, &sink, 4) && world.keeper.get(start.job.id).is_none());
    world.keeper.run_ended(start.job.id, Err(ExportError::Cancelled));
    assert_eq!(world.directories(), [""; 0]);
}
