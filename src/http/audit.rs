//! The audit trail: FHIR AuditEvents as NDJSON, only ever appended. Who asked for what, which groups and how
//! many patients, which files were fetched, what was deleted; never which patients, never a value.
//!
//! An answer goes out after its line is on the disk, and what cannot be recorded is not done.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::reply::Problem;
use crate::bulk::instant;
use crate::clock::Clock;
use crate::job::{self, Job, Listener, State};

/// The file.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
    trail: Arc<Mutex<Trail>>,
}

#[derive(Debug)]
struct Trail {
    file: File,
    /// The last line may be there in part.
    is_cut: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// A token was asked for.
    Token,
    /// An export was asked for.
    KickOff,
    /// A manifest was fetched.
    Manifest,
    /// A file was fetched.
    File,
    /// An export was cancelled or released.
    Delete,
    /// Groups were read.
    Groups,
    /// An export was completed.
    Completed,
    /// An export failed for good.
    Failed,
    /// An export and its files went away, because their time was over.
    Expired,
}

impl Deed {
    /// FHIR interaction, and the action of AuditEvent.
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Token | Self::KickOff => ("operation", "E"),
            Self::Manifest | Self::File | Self::Groups => ("read", "R"),
            Self::Delete | Self::Expired => ("delete", "D"),
            Self::Completed | Self::Failed => ("create", "C"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::KickOff => "kick-off",
            Self::Manifest => "manifest",
            Self::File => "file",
            Self::Delete => "delete",
            Self::Groups => "group",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) deed: Deed,
    /// The client; what an unknown one calls itself is not repeated.
    pub(super) client: Option<String>,
    /// Where the request came from, and its name in the log; nobody asked for what the server does by itself.
    pub(super) request: Option<(IpAddr, String)>,
    /// The job.
    pub(super) job: Option<String>,
    /// Status of the answer.
    pub(super) status: u16,
    /// More about it: name and text.
    pub(super) details: Vec<(&'static str, String)>,
}

impl Audit {
    /// Opens the file for appending, makes it where it is not, and ends a line that a crash has cut.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), trail: Arc::new(Mutex::new(open(path)?)) })
    }

    /// Goes on in a new file where the old one was renamed; the old one stays in use if there can be none.
    pub fn reopen(&self) -> io::Result<()> {
        let fresh = open(&self.path)?;
        *self.trail.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Writes what becomes of jobs, with nobody asking. It has happened already: if it cannot be written, the log says
    /// so.
    pub fn listener(&self, clock: Arc<dyn Clock>) -> Listener {
        let audit = self.clone();
        Arc::new(move |step, job| {
            let Some(event) = Event::of_job(step, job) else { return };
            if let Err(error) = audit.append(&event.to_line(clock.now_micros())) {
                tracing::error!(job = %job.id, ?step, %error, "the audit trail cannot be written");
            }
        })
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        if trail.is_cut {
            trail.file.write_all(b"\n")?;
        }
        trail.is_cut = true;
        trail.file.write_all(line.as_bytes())?;
        trail.is_cut = false;
        trail.file.sync_data()
    }

    /// Writes a line, and is back when it is on the disk.
    pub(super) async fn record(&self, event: Event, now: i64) -> Result<(), Problem> {
        let line = event.to_line(now);
        let audit = self.clone();
        let written = tokio::task::spawn_blocking(move || audit.append(&line));
        match written.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "the audit trail cannot be written");
                Err(Problem::Unavailable("The audit trail"))
            }
        }
    }
}

fn open(path: &Path) -> io::Result<Trail> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    // A line that a crash has cut is ended before the next one.
    Ok(Trail { file, is_cut: last != *b"\n" })
}

impl Event {
    /// What becomes of a job without a request; `None` for steps that requests tell, or that are no end.
    fn of_job(step: job::Event, job: &Job) -> Option<Self> {
        let deed = match step {
            job::Event::Completed => Deed::Completed,
            job::Event::Failed => Deed::Failed,
            job::Event::Expired => Deed::Expired,
            job::Event::Accepted | job::Event::Started | job::Event::PutBack | job::Event::Deleted => return None,
        };
        // As a poll is answered, or was.
        let status = if deed == Deed::Failed { 500 } else { 200 };
        let mut details = match &job.state {
            State::Completed { rejected, .. } => vec![
                ("files", job.files().count().to_string()),
                ("resources", job.output().map(|file| file.count).sum::<u64>().to_string()),
                ("rejected", rejected.to_string()),
            ],
            State::Failed(failed) => vec![("reason", failed.text.clone())],
            State::Accepted | State::InProgress => Vec::new(),
        };
        details.push(("runs", job.attempts.to_string()));
        let (client, id) = (Some(job.client.clone()), Some(job.id.to_string()));
        Some(Self { deed, client, request: None, job: id, status, details })
    }

    fn to_line(&self, now: i64) -> String {
        format!("{}\n", self.to_json(now))
    }

    fn to_json(&self, now: i64) -> Value {
        let (interaction, action) = self.deed.codes();
        let outcome = match self.status {
            ..400 => "0",
            400..500 => "4",
            _ => "8",
        };
        let name = self.request.iter().map(|(_, name)| ("request", name));
        let details = name.chain(self.details.iter().map(|(name, text)| (*name, text)));
        let details: Vec<Value> = details.map(|(name, text)| json!({"type": name, "valueString": text})).collect();
        let mut entity = json!({
            "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-entity-type", "code": "2"},
            "detail": details,
        });
        if let Some(job) = &self.job {
            entity["what"] = json!({"identifier": {"value": job}});
        }
        let who = self
            .client
            .as_deref()
            .map_or_else(|| json!({"display": "unknown"}), |client| json!({"identifier": {"value": client}}));
        let mut agent = json!({"who": who, "requestor": self.request.is_some()});
        if let Some((address, _)) = &self.request {
            agent["network"] = json!({"address": address.to_string(), "type": "2"});
        }
        json!({
            "resourceType": "AuditEvent",
            "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
            "subtype": [
                {"system": "http://hl7.org/fhir/restful-interaction", "code": interaction},
                {"code": self.deed.name()},
            ],
            "action": action,
            "recorded": instant::write(now),
            "outcome": outcome,
            "outcomeDesc": self.status.to_string(),
            "agent": [agent],
            "source": {"observer": {"display": concat!("smelt ", env!("CARGO_PKG_VERSION"))}},
            "entity": [entity],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;

    use super::*;

    fn event(status: u16) -> Event {
        Event {
            deed: Deed::KickOff,
            client: Some("lab".to_owned()),
            request: Some((Ipv4Addr::LOCALHOST.into(), "r1".to_owned())),
            job: Some("j1".to_owned()),
            status,
            details: vec![("patients", "3".to_owned())],
        }
    }

    //
    #[actix_web::test]
    async fn lines_are_appended_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.ndjson");
        for status in [202, 403] {
            Audit::open(&path).unwrap().record(event(status), 1_000_000).await.unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["outcome"], &lines[1]["outcome"]), (&json!("0"), &json!("4")));
        assert_eq!(lines[0]["recorded"], "1970-01-01T00:00:01Z");
        assert_eq!(lines[0]["agent"][0]["who"]["identifier"]["value"], "lab");
        assert_eq!(lines[0]["entity"][0]["detail"][1], json!({"type": "patients", "valueString": "3"}));
    }

    #[actix_web::test]
    async fn a_renamed_file_is_left_behind() {
        let home = tempfile::tempdir().unwrap();
        let (path, old) = (home.path().join("audit.ndjson"), home.path().join("old.ndjson"));
        let audit = Audit::open(&path).unwrap();
        audit.record(event(202), 1).await.unwrap();
        fs::rename(&path, &old).unwrap();
        audit.record(event(202), 2).await.unwrap();
        audit.reopen().unwrap();
        audit.record(event(202), 3).await.unwrap();
        let lines = |path| fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&old), lines(&path)), (2, 1));
    }

    #[actix_web::test]
    async fn a_line_that_a_crash_has_cut_is_ended() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.ndjson");
        fs::write(&path, "{\"a\":").unwrap();
        Audit::open(&path).unwrap().record(event(202), 1).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"a\":\n{\"action\"") && text.lines().count() == 2, "{text}");
    }
}
