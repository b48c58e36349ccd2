//! `smelt serve` as a process, and a client of HTTP/1.1 that sends exactly what it is told to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use smelt::fhir::elements::codes;
use tempfile::TempDir;

use crate::rust_text::root;

/// Longest that an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server of one test; it is gone with this value.
pub(crate) struct Server {
    child: Child,
    /// The base URL.
    pub(crate) base: String,
    address: String,
    /// Where its standard error goes.
    log: PathBuf,
    /// Its state directory, kept for a server that follows.
    pub(crate) home: TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// Serves the shipped pack on a database, asking nobody who they are.
    pub(crate) fn open(dsn: &str, args: &[&str]) -> Self {
        Self::start(&["--database", dsn, "--auth", "none"], args, tempfile::tempdir().expect("a directory"))
    }

    /// Serves; `home` is the server's directory, as an earlier one may have left it.
    pub(crate) fn start(first: &[&str], more: &[&str], home: TempDir) -> Self {
        let mut child = Self::spawn(&[first, more].concat(), home.path());
        let log = home.path().join("log");
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().expect("a pipe"));
        told.read_line(&mut line).expect("the server says that it is ready");
        let ready = line.trim().strip_prefix("smelt is ready at ").and_then(|rest| rest.split_once(", listening on "));
        let (base, address) = ready.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap_or_default()));
        let (base, address) = (base.to_owned(), address.to_owned());
        Self { child, base, address, log, home }
    }

    /// The process alone, which may not be ready for a while.
    pub(crate) fn spawn(args: &[&str], home: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
        command.current_dir(root()).env_clear().env("SMELT_LOG_LEVEL", "info").arg("serve").args(args);
        if !args.contains(&"--mappings") {
            command.args(["--mappings", "mappings/synthea"]);
        }
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(home.join("log")).expect("a log");
        command
            .arg("--state-dir")
            .arg(home.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("smelt starts")
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> &str {
        &self.address
    }

    /// `/fhir`.
    pub(crate) fn prefix(&self) -> &str {
        let origin = self.base.len() - self.base.splitn(4, '/').nth(3).map_or(0, |path| path.len() + 1);
        &self.base[origin..]
    }

    /// Sends a request to an absolute URL, or a path below the base.
    pub(crate) fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let origin = format!("http://{}", self.authority());
        let target = match url.strip_prefix(&origin) {
            Some(path) => path.to_owned(),
            None => format!("{}{url}", self.prefix()),
        };
        self.raw(method, &target, headers, body)
    }

    /// Sends a request to a path of the host.
    pub(crate) fn raw(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut lines = vec![format!("{method} {target} HTTP/1.1"), "Connection: close".to_owned()];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push(format!("Host: {}", self.authority()));
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if !body.is_empty() {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let head = lines.join("\r\n") + "\r\n\r\n";
        self.bytes(&[head.as_bytes(), body].concat(), method == "HEAD")
    }

    /// Sends bytes as they are, and reads one answer.
    pub(crate) fn bytes(&self, bytes: &[u8], head: bool) -> Answer {
        let mut stream = self.connect();
        // A server that has answered already may not read the rest.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream, head)
    }

    /// A connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.authority()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream
    }

    pub(crate) fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[], &[])
    }

    pub(crate) fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", url, headers, &[])
    }

    pub(crate) fn delete(&self, url: &str) -> Answer {
        self.send("DELETE", url, &[], &[])
    }

    /// Kicks off by GET; the status URL.
    pub(crate) fn kick_off(&self, url: &str) -> String {
        self.get(url).accepted()
    }

    /// Polls until the job has ended.
    pub(crate) fn ended(&self, status_url: &str, headers: &[(&str, &str)]) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get_with(status_url, headers);
            let separate = answer.header("x-export-status").is_some_and(|status| status.starts_with("202"));
            if answer.status != 202 && !separate {
                return answer;
            }
            assert!(Instant::now() < deadline, "the job does not end");
        }
    }

    /// Polls until the manifest is there.
    pub(crate) fn manifest(&self, status_url: &str) -> Value {
        let answer = self.ended(status_url, &[]);
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.log());
        answer.json()
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// The lines of the audit trail.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.path().join("state/audit.ndjson")).expect("a trail");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("it is waited for").code()
    }

    /// Ends it at once; what it leaves.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is waited for");
        std::mem::replace(&mut self.home, tempfile::tempdir().expect("a directory"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// Reads an answer up to the length it names.
    pub(crate) fn read(stream: &mut impl Read, head: bool) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = reader.read_line(&mut line).expect("an answer");
            assert!(count > 0, "the answer ends early: {lines:?}");
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let status = lines[0].split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: Vec::new() };
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
        if !head && status != 304 {
            reader.take(length).read_to_end(&mut answer.body).expect("a body");
            assert_eq!(answer.body.len() as u64, length, "the body ends early");
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The status URL of a kick-off that was accepted.
    pub(crate) fn accepted(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.text());
        self.header("content-location").expect("a status URL").to_owned()
    }

    /// The code of the first issue; the answer must be an error with a sound OperationOutcome (K-13, O-01).
    pub(crate) fn issue(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/fhir+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["resourceType"], "OperationOutcome");
        let known = codes("http://hl7.org/fhir/ValueSet/issue-type").expect("a value set");
        for issue in json["issue"].as_array().expect("issues") {
            assert!(known.contains(issue["code"].as_str().expect("a code")), "{issue}");
            assert!(["fatal", "error", "warning", "information"].contains(&issue["severity"].as_str().unwrap()));
            assert!(issue["details"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{issue}");
        }
        json["issue"][0]["code"].as_str().expect("a code").to_owned()
    }
}
