//! A throw-away PostgreSQL server, gone with the process that started it.

use std::{
    env,
    io::{BufRead, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

/// A PostgreSQL server that ends with the test process.
pub(crate) struct Cluster {
    /// Holds the socket and the certificates: `authority.crt`, `stranger.crt`, `client.crt`, `client.key`.
    pub(crate) dir: PathBuf,
    /// On 127.0.0.1 (the server's certificate is for `localhost`), and part of the socket's name.
    pub(crate) port: u16,
    /// Closing its input ends the cluster.
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _watchdog: Child,
}

impl Cluster {
    /// Starts a cluster of its own, for a test that brings it down.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a cluster with further lines in its `postgresql.conf`.
    pub(crate) fn start_with(conf: &str) -> Self {
        let bin = server_programs();
        let port = free_port();
        let mut watchdog = unprivileged()
            .args(["-c", include_str!("cluster.sh"), "cluster.sh"])
            .arg(&bin)
            .arg(port.to_string())
            .env("SMELT_TEST_POSTGRES_CONF", conf)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let input = watchdog.stdin.take().expect("a pipe");
        let mut output = BufReader::new(watchdog.stdout.take().expect("a pipe"));
        let dir = PathBuf::from(ready(&mut output));
        Self { dir, port, pipes: Mutex::new((input, output)), _watchdog: watchdog }
    }

    /// Connection settings over the Unix socket.
    pub(crate) fn dsn(&self, dbname: &str) -> String {
        format!("host={} port={} user=postgres dbname={dbname}", self.dir.display(), self.port)
    }

    /// A file in [`Cluster::dir`], for a setting.
    pub(crate) fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Starts a streaming replica, once; its port.
    pub(crate) fn standby(&self) -> u16 {
        static STANDBY: OnceLock<u16> = OnceLock::new();
        *STANDBY.get_or_init(|| {
            let port = free_port();
            self.order(&port.to_string());
            port
        })
    }

    /// Ends the server as a crash does.
    pub(crate) fn down(&self) {
        self.order("down");
    }

    /// Starts it again.
    pub(crate) fn up(&self) {
        self.order("up");
    }

    fn order(&self, line: &str) {
        let mut pipes = self.pipes.lock().expect("nobody failed");
        writeln!(pipes.0, "{line}").expect("the shell reads");
        ready(&mut pipes.1);
    }
}

fn ready(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("the shell answers");
    line.trim().strip_prefix("ready ").expect("PostgreSQL starts").to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A directory with the programs of PostgreSQL 14 or later: from `PATH`, `pg_config`, or Debian's place, newest first.
fn server_programs() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let mut packaged: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    packaged.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    dirs.extend(packaged.into_iter().map(|(_, dir)| dir));
    let programs = ["initdb", "pg_ctl", "postgres", "pg_basebackup"];
    dirs.into_iter()
        .find(|dir| programs.iter().all(|program| dir.join(program).exists()) && major(dir) >= 14)
        .expect("PostgreSQL 14 or later is installed")
}

fn major(dir: &Path) -> u32 {
    let output = Command::new(dir.join("postgres")).arg("--version").output().expect("postgres runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.and_then(|version| version.split(['.', 'b', 'r', 'd']).next()?.parse().ok()).unwrap_or(0)
}

/// A shell; PostgreSQL does not run as root, so for root it is that of another user.
fn unprivileged() -> Command {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().expect("id runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if id(&["-u"]).as_deref() != Some("0") {
        return Command::new("sh");
    }
    let user = ["postgres", "nobody"].into_iter().find(|user| id(&["-u", user]).is_some()).expect("a user to be");
    let group = id(&["-g", user]).unwrap_or_default();
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args(["--clear-groups", "sh"]);
    command
}
