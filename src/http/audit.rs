//! The audit trail: FHIR AuditEvents as NDJSON, only ever appended. Who asked for what, which groups and how
//! many patients, which files were fetched, what was deleted; never which patients, never a value.
//!
//! An answer goes out after its line is on the disk, and what cannot be recorded is not done.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::reply::Problem;
use crate::bulk::instant;

/// The file.
#[derive(Debug, Clone)]
pub struct Audit {
    file: Arc<Mutex<File>>,
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
}

impl Deed {
    /// FHIR interaction, and the action of AuditEvent.
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Token | Self::KickOff => ("operation", "E"),
            Self::Manifest | Self::File | Self::Groups => ("read", "R"),
            Self::Delete => ("delete", "D"),
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
        }
    }
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) deed: Deed,
    /// The client; what an unknown one calls itself is not repeated.
    pub(super) client: Option<String>,
    pub(super) address: IpAddr,
    /// The request's name in the log.
    pub(super) request: String,
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
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// Writes a line, and is back when it is on the disk.
    pub(super) async fn record(&self, event: Event, now: i64) -> Result<(), Problem> {
        let mut line = event.to_json(now).to_string();
        line.push('\n');
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(line.as_bytes()).and_then(|()| file.sync_data())
        });
        match written.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "the audit trail cannot be written");
                Err(Problem::Unavailable("The audit trail"))
            }
        }
    }
}

impl Event {
    fn to_json(&self, now: i64) -> Value {
        let (interaction, action) = self.deed.codes();
        let outcome = match self.status {
            ..400 => "0",
            400..500 => "4",
            _ => "8",
        };
        let mut details = vec![json!({"type": "request", "valueString": self.request})];
        details.extend(self.details.iter().map(|(name, text)| json!({"type": name, "valueString": text})));
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
            "agent": [{
                "who": who,
                "requestor": true,
                "network": {"address": self.address.to_string(), "type": "2"},
            }],
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
            address: Ipv4Addr::LOCALHOST.into(),
            request: "r1".to_owned(),
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

    #[test]
    fn a_line_that_a_crash_has_cut_is_ended() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.ndjson");
        fs::write(&path, "{\"a\":").unwrap();
        drop(Audit::open(&path).unwrap());
        drop(Audit::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":\n");
    }
}
