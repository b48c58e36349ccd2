//! What the client was told, and what must follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use smelt::bulk::instant;

use super::super::types as output_types;
use super::store::{ids, types};
use super::{Server, names};
use crate::support::eventually;
use crate::support::server::Answer;

/// A run of a job is given up after so many kills.
const ATTEMPTS: usize = 3;

/// How far `transactionTime` lies before the clock at least (M-02), in microseconds.
const UNSEEN: i64 = 100_000;

/// A job whose 202 was seen.
struct Known {
    ask: String,
    /// Kills before it was accepted.
    accepted: usize,
    /// The start that its files must come from, or a later one.
    least: usize,
    /// It was seen to be deleted; or that was asked for, and the answer never came.
    gone: Option<bool>,
    end: Option<End>,
}

/// How a job ended.
#[derive(Debug, PartialEq)]
enum End {
    /// With this manifest.
    Completed(Value),
    /// It was given up.
    Failed,
}

/// Everything a client remembers.
#[derive(Default)]
pub(super) struct Books {
    /// When the rows of each start were there, in microseconds.
    pub(super) starts: Vec<i64>,
    pub(super) kills: usize,
    jobs: BTreeMap<String, Known>,
    run_again: usize,
}

impl Books {
    pub(super) fn killed(&mut self) {
        self.kills += 1;
    }

    pub(super) fn accepted(&mut self, path: &str, ask: &str) {
        let (accepted, least) = (self.kills, self.starts.len());
        let known = Known { ask: ask.to_owned(), accepted, least, gone: None, end: None };
        assert!(self.jobs.insert(path.to_owned(), known).is_none(), "{path} twice");
    }

    pub(super) fn deleted(&mut self, path: &str, answered: bool) {
        self.jobs.get_mut(path).unwrap().gone = Some(answered);
    }

    fn those(&self, wanted: impl Fn(&Known) -> bool) -> Vec<String> {
        self.jobs
            .iter()
            .filter(|(_, known)| known.gone.is_none() && wanted(known))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Jobs that have not ended as far as is known, the oldest first.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let mut found = self.those(|known| known.end.is_none());
        found.sort_by_key(|path| self.jobs[path].accepted);
        found
    }

    /// Jobs whose manifest was seen.
    pub(super) fn completed(&self) -> Vec<String> {
        self.those(|known| matches!(known.end, Some(End::Completed(_))))
    }

    /// After a start: every job is where it was, or a step further.
    pub(super) fn look(&mut self, server: &Server) {
        for path in self.jobs.keys().cloned().collect::<Vec<_>>() {
            let answer = server.get(&path);
            let known = self.jobs.get_mut(&path).unwrap();
            match (answer.status, known.gone) {
                // Whether the server got to it before it was killed is settled now.
                (404, Some(_)) => known.gone = Some(true),
                (_, Some(false)) => known.gone = None,
                (status, gone) => assert_eq!((status == 404, gone), (false, None), "{path} is {status}"),
            }
            if answer.status == 202 {
                // It runs under this server, so from a snapshot of its own.
                known.least = self.starts.len();
                self.run_again += 1;
            }
            if answer.status != 404 {
                self.seen(server, &path, &answer);
            }
        }
    }

    /// A status answer: an end stays as it is.
    pub(super) fn seen(&mut self, server: &Server, path: &str, answer: &Answer) {
        let known = self.jobs.get_mut(path).unwrap();
        let end = match answer.status {
            202 => None,
            200 => Some(End::Completed(relative(answer.json(), &server.base))),
            _ => {
                assert_eq!((answer.status, answer.issue().as_str()), (500, "processing"), "{}", answer.text());
                assert!(answer.text().contains("the server stopped 3 times"), "{}", answer.text());
                assert!(self.kills - known.accepted >= ATTEMPTS, "{path}: {} kills", self.kills - known.accepted);
                Some(End::Failed)
            }
        };
        if known.end.is_some() {
            assert_eq!(known.end, end, "{path} had ended");
        }
        known.end = end;
    }

    /// The last look: everything has ended, is exact, and nothing else is there.
    pub(super) async fn close(&mut self, server: &Server) {
        for path in self.unfinished() {
            let answer = server.ended(&path, &[]);
            self.seen(server, &path, &answer);
        }
        // A kick-off whose answer was lost may have been accepted all the same.
        eventually("nothing runs", || async {
            let text = server.raw("GET", "/metrics", &[], &[]).text();
            ["waiting", "running"].iter().all(|state| text.contains(&format!("smelt_exports{{state=\"{state}\"}} 0\n")))
        })
        .await;
        let state = server.home.path().join("state");
        let fresh: BTreeSet<&str> = ["audit.ndjson", "jobs", "state.redb", "token.key"].into();
        assert_eq!(names(&state).iter().map(String::as_str).collect::<BTreeSet<_>>(), fresh);
        let directories = names(&state.join("jobs"));
        for id in &directories {
            let path = format!("/bulk-status/{id}");
            let manifest = server.manifest(&path);
            self.exact(server, &path, &manifest);
            on_disk(&state.join("jobs").join(id), &manifest);
        }
        for path in self.completed() {
            assert!(directories.iter().any(|id| path.ends_with(id)), "{path} has no files");
        }
        self.audited(server);
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }

    /// The files hold what the database held at one start, each resource once.
    fn exact(&self, server: &Server, path: &str, manifest: &Value) {
        let request = manifest["request"].as_str().unwrap();
        let ask = &request[request.find("/fhir").unwrap() + "/fhir".len()..];
        let known = self.jobs.get(path);
        assert!(known.is_none_or(|known| known.ask == ask), "{path}: {ask}");
        let wanted: BTreeSet<&str> = types(ask).into_iter().collect();
        let by_patient = ask.contains("organizeOutputBy");
        if !by_patient {
            let types = output_types(manifest);
            assert_eq!(types.iter().map(String::as_str).collect::<BTreeSet<_>>(), wanted, "{path}: {ask}");
        }
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for item in manifest["output"].as_array().unwrap() {
            let (name, url) = (item["type"].as_str(), item["url"].as_str().unwrap());
            assert_eq!(name.is_none(), by_patient, "{url}");
            let file = server.get(url);
            assert_eq!((file.status, file.body.len() as u64), (200, item["fileSize"].as_u64().unwrap()), "{url}");
            let text = file.text();
            assert!(text.ends_with('\n'), "{url}");
            let (mut count, mut patient) = (0, Value::Null);
            for line in text.lines() {
                let resource: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{url}: {error}: {line}"));
                let (kind, id) = (resource["resourceType"].as_str().unwrap(), &resource["id"]);
                if by_patient && kind == "Parameters" {
                    patient = resource["parameter"][0]["valueReference"]["reference"].clone();
                    continue;
                }
                let id = id.as_str().unwrap().to_owned();
                if by_patient {
                    let own = Value::from(format!("Patient/{id}"));
                    let of = if kind == "Patient" { &own } else { &resource["subject"]["reference"] };
                    assert_eq!(*of, patient, "{url}: {line} is in the block of another");
                } else {
                    assert_eq!(Some(kind), name, "{url}");
                }
                count += 1;
                assert!(found.entry(kind.to_owned()).or_default().insert(id), "{url}: {line} is there twice");
            }
            assert_eq!(count, item["count"].as_u64().unwrap(), "{url}");
        }
        // One snapshot: the same marks in every type.
        let least = known.map_or(1, |known| known.least);
        let fits = |marks: &usize| types(ask).iter().all(|name| found[*name] == ids(ask, name, *marks));
        let marks = (least..=self.starts.len()).find(fits).unwrap_or_else(|| {
            let counts: Vec<_> = found.iter().map(|(name, ids)| (name, ids.len())).collect();
            panic!("{path}: {ask}: {counts:?} is of no start from {least} to {}", self.starts.len())
        });
        let time = instant::read(manifest["transactionTime"].as_str().unwrap()).unwrap() / 1_000;
        let from = i128::from(self.starts[marks - 1] - UNSEEN);
        let to = self.starts.get(marks).map_or(i128::MAX, |next| i128::from(*next));
        assert!((from..to).contains(&time), "{path}: {from} <= {time} < {to}");
    }

    /// Whatever was answered is in the audit trail.
    fn audited(&self, server: &Server) {
        let trail = server.audit();
        let has = |deed: &str, path: &str| {
            let id = path.rsplit('/').next().unwrap();
            trail.iter().any(|line| {
                line["subtype"][1]["code"] == deed && line["entity"][0]["what"]["identifier"]["value"] == id
            })
        };
        for (path, known) in &self.jobs {
            assert!(has("kick-off", path), "{path}");
            assert!(!matches!(known.end, Some(End::Completed(_))) || has("manifest", path), "{path}");
        }
    }

    /// In numbers.
    pub(super) fn told(&self) -> String {
        let deleted = self.jobs.values().filter(|known| known.gone.is_some()).count();
        let failed = self.those(|known| known.end == Some(End::Failed)).len();
        format!(
            "{} kills, {} jobs: {} completed, {failed} given up, {deleted} deleted; {} were found unfinished",
            self.kills,
            self.jobs.len(),
            self.completed().len(),
            self.run_again
        )
    }
}

/// A manifest without what differs from server to server.
fn relative(mut manifest: Value, base: &str) -> Value {
    for list in ["output", "error", "outcome", "deleted"] {
        for item in manifest[list].as_array_mut().into_iter().flatten() {
            item["url"] = item["url"].as_str().unwrap().strip_prefix(base).unwrap().into();
        }
    }
    manifest
}

/// The directory of a completed job: what its manifest lists, as its manifest says, and no more.
fn on_disk(directory: &Path, public: &Value) {
    let json = std::fs::read(directory.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(manifest["transactionTime"], public["transactionTime"], "{}", directory.display());
    let mut expected = BTreeSet::from(["manifest.json".to_owned(), "report.json".to_owned()]);
    for list in ["output", "error", "deleted"] {
        assert_eq!(
            manifest[list].as_array().map(Vec::len).unwrap_or_default(),
            public[list].as_array().map(Vec::len).unwrap_or_default()
        );
        for item in manifest[list].as_array().into_iter().flatten() {
            let name = item["url"].as_str().unwrap();
            let bytes = std::fs::read(directory.join(name)).unwrap();
            let digest = format!("{:x}", Sha256::digest(&bytes));
            let stored = &item["extension"];
            assert_eq!((&stored["sha256"], &stored["storedSize"]), (&digest.into(), &bytes.len().into()), "{name}");
            expected.insert(name.to_owned());
        }
    }
    assert_eq!(names(directory).into_iter().collect::<BTreeSet<_>>(), expected);
}
