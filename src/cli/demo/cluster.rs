//! A PostgreSQL server of our own, gone with the value that stands for it, or with the process.
//!
//! A shell watches over the server. It reads a pipe that only this process writes to: when the pipe closes, because we
//! are done, were interrupted or were killed, the shell stops the server and removes its directory.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, fs, io};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The oldest supported major version.
const OLDEST: u32 = 14;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClusterError {
    /// Its programs are not on this machine.
    #[error("the programs of PostgreSQL {OLDEST} or later are not on this machine")]
    NoPrograms,
    /// PostgreSQL refuses to run as root, and there is nobody else to be.
    #[error("PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`")]
    NoUser,
    /// The watching shell cannot be started.
    #[error("failed to start a shell that watches over the server")]
    Shell(#[source] io::Error),
    /// The server does not start.
    #[error("PostgreSQL in {} does not start: {reason}", programs.display())]
    Start {
        /// The directory of its programs.
        programs: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A signal came first.
    #[error("the demo was stopped")]
    Cancelled,
}

/// A running server. Dropping it stops it and removes its directory.
#[derive(Debug)]
pub(super) struct Cluster {
    directory: PathBuf,
    major: u32,
    watch: Watch,
}

/// The watching shell; dropped, it is waited for, so the server is gone by then.
#[derive(Debug)]
struct Watch {
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.orders.take();
        // A shell that cannot be waited for has ended.
        let _ = self.shell.wait();
    }
}

impl Cluster {
    /// Starts a server from the programs of this machine.
    pub(super) fn start(runtime: &Runtime, cancel: &CancellationToken) -> Result<Self, ClusterError> {
        let (major, programs) = programs(&candidates()).ok_or(ClusterError::NoPrograms)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", include_str!("cluster.sh"), "smelt-demo"]).arg(&programs);
        // A Ctrl-C at the terminal is for us alone.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            shell.env_remove(name);
        }
        if id(&["-u"]) == Some(0) {
            let user = ["postgres", "nobody"].into_iter().find(|user| id(&["-u", user]).is_some());
            let user = user.ok_or(ClusterError::NoUser)?;
            let (uid, gid) = id(&["-u", user]).zip(id(&["-g", user])).ok_or(ClusterError::NoUser)?;
            shell.uid(uid).gid(gid);
        }
        let mut shell = shell.spawn().map_err(ClusterError::Shell)?;
        let (orders, answers) = (shell.stdin.take(), shell.stdout.take());
        let watch = Watch { shell, orders };
        let (answered, answer) = tokio::sync::oneshot::channel();
        // Ends with the shell's first line, or with the shell.
        std::thread::Builder::new()
            .name("smelt-cluster".to_owned())
            .spawn(move || drop(answered.send(answers.map(first_answer).unwrap_or_default())))
            .map_err(ClusterError::Shell)?;
        let answer = runtime.block_on(async {
            tokio::select! {
                () = cancel.cancelled() => Err(ClusterError::Cancelled),
                answer = answer => Ok(answer.unwrap_or_default()),
            }
        })?;
        match answer.strip_prefix("ready ") {
            Some(directory) => Ok(Self { directory: PathBuf::from(directory.trim_end()), major, watch }),
            None => Err(ClusterError::Start { programs, reason: answer.trim().to_owned() }),
        }
    }

    /// Connection settings for a database of it.
    pub(super) fn dsn(&self, database: &str) -> String {
        format!("host={} port=5432 user=smelt dbname={database}", self.directory.display())
    }

    /// Holds socket, data and log.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's major version.
    pub(super) fn major(&self) -> u32 {
        self.major
    }

    /// Leaves the server running when this process has ended.
    pub(super) fn keep(mut self) {
        if let Some(orders) = &mut self.watch.orders {
            // A shell that does not listen has ended, and the server with it.
            let _ = orders.write_all(b"keep\n");
        }
    }
}

/// The first line; when it is not that the server is ready, all that is said.
fn first_answer(answers: impl io::Read) -> String {
    let mut answers = BufReader::new(answers);
    let mut text = String::new();
    // What cannot be read was not said.
    let _ = answers.read_line(&mut text);
    if !text.starts_with("ready ") {
        let _ = answers.read_to_string(&mut text);
    }
    text
}

/// Where the server's programs may be: `PATH`, what `pg_config` says, Debian's place with the newest first.
fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        found.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    packaged.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.extend(packaged.into_iter().map(|(_, directory)| directory));
    found
}

/// The first of these directories that has the server's programs in a supported version, and that version.
fn programs(directories: &[PathBuf]) -> Option<(u32, PathBuf)> {
    directories.iter().find_map(|directory| {
        let whole = ["initdb", "pg_ctl", "postgres"].iter().all(|program| directory.join(program).is_file());
        let major = whole.then(|| major(&directory.join("postgres")))??;
        (major >= OLDEST).then(|| (major, directory.clone()))
    })
}

fn major(postgres: &Path) -> Option<u32> {
    let said = Command::new(postgres).arg("--version").output().ok()?;
    major_of(&String::from_utf8_lossy(&said.stdout))
}

/// 15 of `postgres (PostgreSQL) 15.4 (Debian 15.4-1)`, 18 of `postgres (PostgreSQL) 18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let word = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What `id` says of this process or a user.
fn id(args: &[&str]) -> Option<u32> {
    let said = Command::new("id").args(args).stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&said.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.4 (Debian 15.4-1.pgdg120+1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("command not found\n"), None);
    }

    #[test]
    fn the_first_whole_and_supported_directory_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let directory = |name: &str, version: u32, programs: &[&str]| {
            let directory = home.path().join(name);
            fs::create_dir(&directory).unwrap();
            for program in programs {
                let path = directory.join(program);
                fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}.1'\n")).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            directory
        };
        let all = ["initdb", "pg_ctl", "postgres"];
        let old = directory("old", 13, &all);
        let client = directory("client", 16, &["psql"]);
        let first = directory("first", 14, &all);
        let second = directory("second", 17, &all);
        let nowhere = home.path().join("nowhere");
        assert_eq!(programs(&[nowhere.clone(), old.clone(), client.clone(), first.clone(), second]), Some((14, first)));
        assert_eq!(programs(&[nowhere, old, client]), None);
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        assert_eq!(first_answer(&b"ready /tmp/x\nmore"[..]), "ready /tmp/x\n");
        assert_eq!(first_answer(&b"initdb: error\nfull disk\n"[..]), "initdb: error\nfull disk\n");
        assert_eq!(first_answer(&b""[..]), "");
    }
}
