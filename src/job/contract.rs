//! The tests every job store must pass.

use std::sync::Arc;

use super::record::{FORMAT, Failed, Job, State};
use super::store::{JobStore, StoreError};
use super::testing::{manifest, new_job};
use super::{JobId, RedbStore, open_state};
use crate::bulk::Level;
use crate::bulk::type_filter::{Ask, Parameter, Token, TypeFilter};
use crate::fhir::outcome::{Issue, IssueType, OperationOutcome, Severity};

/// Runs them all. `reopen` gives the store as the next process finds it.
pub(super) fn holds(reopen: impl Fn() -> Arc<dyn JobStore>) {
    let store = reopen();
    assert_eq!(store.all().unwrap(), []);
    let jobs = every_state();
    let first = &jobs[0];
    assert_eq!(store.get(first.id).unwrap(), None);
    assert!(!store.remove(first.id).unwrap());

    for job in &jobs {
        store.put(job).unwrap();
        assert_eq!(store.get(job.id).unwrap().as_ref(), Some(job), "what was put is read back whole");
    }
    assert_eq!(all(&*store), jobs);

    let changed = Job { attempts: 7, state: State::InProgress, ..first.clone() };
    store.put(&changed).unwrap();
    assert_eq!(store.get(first.id).unwrap(), Some(changed.clone()), "a record is replaced, not added");
    assert_eq!(store.all().unwrap().len(), jobs.len());

    assert!(store.remove(jobs[1].id).unwrap());
    assert_eq!(store.get(jobs[1].id).unwrap(), None);
    assert!(!store.remove(jobs[1].id).unwrap());
    drop(store);

    let store = reopen();
    let mut left = jobs;
    left.remove(1);
    left[0] = changed;
    assert_eq!(all(&*store), left, "the next process finds the same");
    std::thread::scope(|scope| {
        for job in &left {
            let store = &store;
            scope.spawn(move || {
                for attempts in 0..10 {
                    store.put(&Job { attempts, ..job.clone() }).unwrap();
                    assert_eq!(store.get(job.id).unwrap().unwrap().attempts, attempts);
                }
            });
        }
    });
    assert_eq!(store.all().unwrap().len(), left.len());
}

fn all(store: &dyn JobStore) -> Vec<Job> {
    let mut all = store.all().unwrap();
    all.sort_by_key(|job| job.created_at);
    all
}

/// A job of each state, with whatever a record can hold.
fn every_state() -> Vec<Job> {
    let mut new = new_job();
    new.request.level = Level::Group("g-1".to_owned());
    new.request.since = Some(-1);
    new.request.patients = vec!["p-1".to_owned()];
    let token = Token { system: Some(String::new()), code: None };
    let parameters = vec![Parameter { code: "category".to_owned(), ask: Ask::Token(vec![token]) }];
    new.request.filters = vec![TypeFilter { resource_type: "Observation".to_owned(), parameters }];
    new.separate_status = true;
    let issue = Issue::new(Severity::Warning, IssueType::NotSupported).details("a \"quoted\" word\n");
    new.ignored = vec![OperationOutcome::new(issue)];
    let failed = Failed { code: IssueType::TooCostly, text: "no space".to_owned(), transient: true };
    [
        State::Accepted,
        State::InProgress,
        State::Completed { manifest: manifest("1"), rejected: u64::MAX },
        State::Failed(failed),
    ]
    .into_iter()
    .zip(0..)
    .map(|(state, created_at)| {
        let job = Job::new(JobId::random().unwrap(), "client \u{e9}", new.clone(), created_at);
        Job { state, started_at: Some(2), ended_at: Some(3), expires_at: Some(i64::MAX), ..job }
    })
    .collect()
}

#[test]
fn memory_keeps_the_contract() {
    let store = Arc::new(super::testing::MemoryStore::default());
    holds(|| Arc::clone(&store) as Arc<dyn JobStore>);
}

// S-20
#[test]
fn redb_keeps_the_contract() {
    let home = tempfile::tempdir().unwrap();
    holds(|| Arc::new(RedbStore::new(open_state(&home.path().join("state.redb")).unwrap())));
}

//
#[test]
fn the_file_is_its_owners_and_one_process_has_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state.redb");
    // A process that died while it made the file.
    std::fs::write(path.with_extension("new"), "redb").unwrap();
    let _open = open_state(&path).unwrap();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(open_state(&path), Err(StoreError::Store { action: "open", .. })));
    let strange = home.path().join("strange");
    std::fs::write(&strange, "not a database at all").unwrap();
    assert!(matches!(open_state(&strange), Err(StoreError::Store { action: "open", .. })));
    assert_eq!(std::fs::read(&strange).unwrap(), b"not a database at all");
}

// S-20
#[test]
fn a_record_that_cannot_be_read_is_not_skipped() {
    let home = tempfile::tempdir().unwrap();
    let store = RedbStore::new(open_state(&home.path().join("state.redb")).unwrap());
    let job = Job { format: FORMAT + 1, ..every_state().remove(0) };
    store.put(&job).unwrap();
    let error = store.all().unwrap_err();
    assert!(error.to_string().contains(&job.id.to_string()), "{error}");
    assert!(store.get(job.id).is_err());
}
