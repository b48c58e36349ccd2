//! With threads: what the server calls.

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::record::State;
use super::super::testing::{FakeEngine, line, still};
use super::super::{CheckError, Drained, Jobs, SubmitError};
use super::*;

/// Longer than anything here takes; nothing waits for it unless something is broken.
const LONG: Duration = Duration::from_mins(1);

struct Service {
    jobs: Arc<Jobs>,
    engine: Arc<FakeEngine>,
    clock: Arc<SetClock>,
    records: Arc<MemoryStore>,
    events: UnboundedReceiver<(JobId, Event)>,
    home: tempfile::TempDir,
}

impl Service {
    fn new(engine: FakeEngine, set: impl FnOnce(&mut JobsConfig)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (told, events) = unbounded_channel();
        let mut config = JobsConfig::new(home.path().join("jobs"));
        config.listener = Some(Arc::new(move |event, job: &Job| told.send((job.id, event)).unwrap_or(())));
        set(&mut config);
        let (engine, clock) = (Arc::new(engine), Arc::new(still()));
        let records = Arc::new(MemoryStore::default());
        let jobs =
            Jobs::start(config, Arc::clone(&records) as _, Arc::clone(&engine) as _, Arc::clone(&clock) as _).unwrap();
        Self { jobs, engine, clock, records, events, home }
    }

    async fn submit(&self, client: &str) -> JobId {
        self.jobs.submit(client, new_job()).await.unwrap().job.id
    }

    /// Waits until something has happened to a job.
    async fn until(&mut self, id: JobId, event: Event) {
        let heard = async {
            while let Some(heard) = self.events.recv().await {
                if heard == (id, event) {
                    return;
                }
            }
        };
        tokio::time::timeout(LONG, heard).await.expect("it happens");
    }

    /// A job whose run waits for orders.
    async fn running(&mut self, client: &str) -> JobId {
        let id = self.submit(client).await;
        self.until(id, Event::Started).await;
        // The event comes before the engine is called.
        tokio::time::timeout(LONG, self.engine.began(id)).await.expect("it begins");
        id
    }
}

// S-08, S-19
#[tokio::test]
async fn a_small_job_is_done_when_it_is_first_asked_for() {
    let service = Service::new(FakeEngine::prompt(), |_| {});
    let id = service.submit("a").await;
    let job = service.jobs.wait(id, LONG).await.unwrap();
    let State::Completed { manifest, rejected } = &job.state else { panic!("{job:?}") };
    assert_eq!((manifest.output.len(), *rejected), (1, 1));
    let mut text = String::new();
    let mut open = service.jobs.open_file(id, "Patient.0001.ndjson").unwrap();
    open.file.read_to_string(&mut text).unwrap();
    assert_eq!(text, line(&format!("{id}-1")));
    assert!(service.jobs.store_works());
}

// S-19
#[tokio::test]
async fn who_waits_hears_of_the_end_or_goes_on_in_time() {
    let mut service = Service::new(FakeEngine::default(), |_| {});
    let id = service.running("a").await;
    let job = service.jobs.wait(id, Duration::ZERO).await.unwrap();
    assert_eq!(job.state, State::InProgress);
    let jobs = Arc::clone(&service.jobs);
    let waiting = tokio::spawn(async move { jobs.wait(id, LONG).await });
    service.engine.end(id, Err(full()));
    let job = waiting.await.unwrap().unwrap();
    assert!(matches!(job.state, State::Failed(_)));
    assert_eq!(service.jobs.wait(JobId::random().unwrap(), LONG).await, None);
}

// D-01, D-02, D-04
#[tokio::test]
async fn deleting_stops_a_run_and_frees_its_place() {
    let mut service = Service::new(FakeEngine::default(), |config| config.max_running = 1);
    let id = service.running("a").await;
    let next = service.submit("a").await;
    let jobs = Arc::clone(&service.jobs);
    let waiting = tokio::spawn(async move { jobs.wait(id, LONG).await });
    assert!(service.jobs.delete(id).await.unwrap());
    assert_eq!((service.jobs.get(id), service.jobs.progress(id)), (None, None));
    assert!(!service.jobs.delete(id).await.unwrap());
    assert_eq!(waiting.await.unwrap(), None);
    service.until(next, Event::Started).await;
    assert!(!service.home.path().join("jobs").join(id.to_string()).exists());
}

#[tokio::test]
async fn a_lost_database_is_tried_again() {
    let mut service = Service::new(FakeEngine::default(), |_| {});
    let id = service.running("a").await;
    service.engine.end(id, Err(lost()));
    service.until(id, Event::PutBack).await;
    assert_eq!(service.jobs.get(id).unwrap().state, State::Accepted);
    service.clock.advance(10);
    service.jobs.tick();
    service.until(id, Event::Started).await;
    service.engine.began(id).await;
    service.engine.end(id, Ok(()));
    let job = service.jobs.wait(id, LONG).await.unwrap();
    assert_eq!((job.attempts, job.ended()), (2, true));
}

#[tokio::test]
async fn a_broken_invariant_ends_the_job_and_not_the_server() {
    let mut service = Service::new(FakeEngine::default(), |config| config.max_running = 1);
    let id = service.running("a").await;
    service.engine.panic(id);
    let job = service.jobs.wait(id, LONG).await.unwrap();
    assert!(matches!(job.state, State::Failed(_)));
    service.running("a").await;
}

#[tokio::test]
async fn a_drain_lets_exports_end() {
    // What is submitted until the drain begins stays in line.
    let mut service = Service::new(FakeEngine::default(), |config| config.max_running = 1);
    let id = service.running("a").await;
    let jobs = Arc::clone(&service.jobs);
    let draining = tokio::spawn(async move { jobs.drain(LONG).await });
    // It is shutting down as soon as it says so.
    while !matches!(service.jobs.submit("b", new_job()).await, Err(SubmitError::Draining)) {
        tokio::task::yield_now().await;
    }
    service.engine.end(id, Ok(()));
    let drained = draining.await.unwrap();
    assert!(drained.complete && drained.stuck == 0, "{drained:?}");
    assert!(service.records.get(id).unwrap().unwrap().ended());
}

#[tokio::test]
async fn a_drain_puts_back_what_does_not_end() {
    let mut service = Service::new(FakeEngine::default(), |config| config.max_running = 1);
    let (id, waits) = (service.running("a").await, service.submit("a").await);
    assert_eq!(service.jobs.drain(Duration::ZERO).await, Drained { complete: false, left: 2, stuck: 0 });
    for id in [id, waits] {
        let job = service.records.get(id).unwrap().unwrap();
        assert_eq!((job.state, job.attempts), (State::Accepted, 0));
    }
    assert!(matches!(service.jobs.submit("a", new_job()).await, Err(SubmitError::Draining)));
}

// K-22
#[tokio::test]
async fn a_request_is_checked_before_it_is_accepted() {
    let service = Service::new(FakeEngine::default(), |_| {});
    let mut request = new_job().request;
    assert_eq!(service.jobs.check(&request).await, Ok(()));
    request.patients = vec!["nobody".to_owned()];
    assert_eq!(service.jobs.check(&request).await, Err(CheckError::UnknownPatients(vec!["nobody".to_owned()])));
    assert_eq!(service.jobs.groups(None, &[]).await.unwrap().len(), 1);
}
