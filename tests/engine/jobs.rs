//! Jobs against a real database: it is lost, it is asked to stop, it is asked beforehand.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use smelt::bulk::{ExportRequest, Parameters, instant};
use smelt::clock::SystemClock;
use smelt::cohort::{Cohorts, RedbCohorts};
use smelt::export::{ExportOptions, prepare};
use smelt::fhir::alias;
use smelt::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};
use smelt::job::{CheckError, Event, Job, JobId, Jobs, JobsConfig, LiveEngine, NewJob, RedbStore, State, open_state};
use smelt::mapping::check::check;
use smelt::mapping::pack::load;
use smelt::source::{Source, SourceOptions};
use tempfile::TempDir;

use crate::support::database::{Database, target};
use crate::support::eventually;
use crate::support::pack::pack;

/// Some milliseconds of work on the server per row.
const SLOW: &str =
    "select t.id, repeat('x', 8000) || (select count(*) from generate_series(1, 50000) g where g > t.id) as v from t";
const MAPPING: &str = "sql: slow.sql\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
                       code: {text: $v}\n";
const PATIENT: &str = "table: small\nkey: id\nresource:\n  resourceType: Patient\n  id: \"p-{{id}}\"\n";

/// Rows of [`SLOW`] that take much longer than any test waits.
const FOREVER: u32 = 20_000;

/// What `transactionTime` lies before the clock at least, in microseconds.
const UNSEEN: i64 = 100_000;

const LONG: Duration = Duration::from_mins(1);

struct Service {
    database: Database,
    jobs: Arc<Jobs>,
    events: Arc<Mutex<Vec<Event>>>,
    home: TempDir,
}

async fn service() -> Service {
    let schema = format!(
        "create table t (id int primary key); insert into t select generate_series(1, {FOREVER}); analyze t;
         create table small (id int primary key); insert into small values (1); analyze small"
    );
    let database = Database::new(&schema).await;
    let files = pack(&[("mappings/slow.yaml", MAPPING), ("mappings/z.yaml", PATIENT), ("sql/slow.sql", SLOW)]);
    let checked = check(load(&files, alias::builtins()));
    let source = Source::connect(target(database.dsn()), SourceOptions::default()).await.unwrap();
    let session = source.session().await.unwrap();
    let (prepared, _) = prepare(&session, checked.pack.unwrap(), checked.sources).await.unwrap();
    drop(session);

    let home = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let mut config = JobsConfig::new(home.path().join("jobs"));
    config.retry_pause = Duration::ZERO;
    config.max_running = 1;
    config.listener = Some(Arc::new(move |event, _: &Job| told.lock().unwrap().push(event)));
    let options = ExportOptions { workers: 1, ..ExportOptions::default() };
    let database_file = open_state(&home.path().join("state.redb")).unwrap();
    let store = RedbStore::new(Arc::clone(&database_file));
    let cohorts = Arc::new(Cohorts::new(Arc::new(RedbCohorts::new(database_file))));
    let engine = LiveEngine::new(source, Arc::new(prepared.unwrap()), options, cohorts);
    let jobs = Jobs::start(config, Arc::new(store), Arc::new(engine), Arc::new(SystemClock)).unwrap();
    Service { database, jobs, events, home }
}

fn request(types: &str, patients: &[&str]) -> ExportRequest {
    let given = Parameters {
        types: vec![types.to_owned()],
        patients: patients.iter().map(|id| (*id).to_owned()).collect(),
        ..Parameters::default()
    };
    ExportRequest::new(&given, &["Basic", "Patient"]).unwrap()
}

impl Service {
    async fn submit(&self, types: &str) -> JobId {
        let issue = Issue::new(Severity::Warning, IssueType::NotSupported).details("`_elements` was ignored");
        let new = NewJob {
            request: request(types, &[]),
            request_url: "https://smelt.example/fhir/$export".to_owned(),
            dialect: "compatible".to_owned(),
            separate_status: false,
            ignored: vec![OperationOutcome::new(issue)],
            max_unfinished: None,
        };
        self.jobs.submit("client", new).await.unwrap().job.id
    }

    /// Backends of the export, what they do being `which`.
    async fn backends(&self, which: &str) -> i64 {
        let sql = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'smelt' and {which}"
        );
        self.database.client().await.query_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn rows_come(&self, id: JobId) {
        let rows = || self.jobs.progress(id).is_some_and(|progress| progress.types.iter().any(|one| one.rows > 0));
        eventually("rows are read", || async { rows() }).await;
    }

    fn text(&self, id: JobId, name: &str) -> String {
        std::io::read_to_string(self.jobs.open_file(id, name).unwrap().file).unwrap()
    }
}

// S-20, K-09, M-01, M-03
#[tokio::test]
async fn a_lost_database_is_read_again_under_a_new_snapshot() {
    let service = service().await;
    let id = service.submit("Basic").await;
    service.rows_come(id).await;
    let client = service.database.client().await;
    let now = || async {
        let sql = "select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let read = now().await;
    // Times of two snapshots differ by more than what is taken off for transactions that nobody sees yet.
    eventually("the clock has gone on", || async { now().await > read + 2 * UNSEEN }).await;
    // What the second snapshot sees is little.
    client.batch_execute("delete from t where id > 3").await.unwrap();
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name = 'smelt'";
    client.query(kill, &[]).await.unwrap();

    let job = service.jobs.wait(id, LONG).await.unwrap();
    let State::Completed { manifest, rejected: 0 } = &job.state else { panic!("{job:?}") };
    assert_eq!(job.attempts, 2);
    let time = instant::read(&manifest.transaction_time).unwrap() / 1_000;
    assert!(time > i128::from(read), "{time} is not after {read}: it is of the run that was lost");
    // The job is shown before its end is told.
    let told = [Event::Accepted, Event::Started, Event::PutBack, Event::Started, Event::Completed];
    eventually("every step is told", || async { *service.events.lock().unwrap() == told }).await;
    let [file] = manifest.output.as_slice() else { panic!("{manifest:?}") };
    assert_eq!((file.url.as_str(), file.count), ("Basic.0001.ndjson", 3));
    assert_eq!(service.text(id, &file.url).lines().count(), 3);
    assert_eq!(manifest.request, "https://smelt.example/fhir/$export");
    assert!(service.text(id, &manifest.outcome[0].url).contains("`_elements` was ignored"));

    let directory = service.home.path().join("jobs").join(id.to_string());
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    assert_eq!(names, ["Basic.0001.ndjson", "OperationOutcome.0001.ndjson", "manifest.json", "report.json"]);
}

// D-04
#[tokio::test]
async fn deleting_frees_the_database_in_two_seconds() {
    let service = service().await;
    let id = service.submit("Basic").await;
    service.rows_come(id).await;
    let waits = service.submit("Patient").await;
    let began = Instant::now();
    assert!(service.jobs.delete(id).await.unwrap());
    let job = service.jobs.wait(waits, LONG).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(matches!(job.state, State::Completed { .. }), "{job:?}");
    eventually("its backends are gone", || async { service.backends("state = 'active'").await == 0 }).await;
    assert!(!service.home.path().join("jobs").join(id.to_string()).exists());
}

// K-22
#[tokio::test]
async fn the_database_is_asked_before_a_job_is_accepted() {
    let service = service().await;
    assert_eq!(service.jobs.check(&request("Patient", &["p-1"])).await, Ok(()));
    let error = service.jobs.check(&request("Patient", &["p-1", "p-2"])).await;
    assert_eq!(error, Err(CheckError::UnknownPatients(vec!["p-2".to_owned()])));
    assert_eq!(service.jobs.groups(None, &[]).await, Ok(Vec::new()));
}
