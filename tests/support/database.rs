//! Databases for tests: one throw-away cluster per test process, one fresh database per test.
//!
//! `TEST_DATABASE_URL` (a superuser's) names a server to use instead; tests of TLS, passwords and replicas start
//! their own cluster all the same, because they need its files.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use smelt::source::{Source, SourceOptions, Target};
use tokio_postgres::{Client, NoTls};

/// A PostgreSQL server that ends with the test process.
pub struct Cluster {
    /// Holds the socket and the certificates: `authority.crt`, `stranger.crt`, `client.crt`, `client.key`.
    pub dir: PathBuf,
    /// On 127.0.0.1 (the server's certificate is for `localhost`), and part of the socket's name.
    pub port: u16,
    /// Closing its input ends the cluster.
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _watchdog: Child,
}

/// The cluster of this test process.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    /// Starts a cluster of its own, for a test that brings it down.
    pub fn start() -> Self {
        let bin = server_programs();
        let port = free_port();
        let mut watchdog = unprivileged()
            .args(["-c", include_str!("cluster.sh"), "cluster.sh"])
            .arg(&bin)
            .arg(port.to_string())
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
    pub fn dsn(&self, dbname: &str) -> String {
        format!("host={} port={} user=postgres dbname={dbname}", self.dir.display(), self.port)
    }

    /// A superuser's connection to database `postgres`.
    pub async fn client(&self) -> Client {
        client(&self.dsn("postgres")).await
    }

    /// A file in [`Cluster::dir`], for a setting.
    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Starts a streaming replica, once; its port.
    pub fn standby(&self) -> u16 {
        static STANDBY: OnceLock<u16> = OnceLock::new();
        *STANDBY.get_or_init(|| {
            let port = free_port();
            let mut pipes = self.pipes.lock().expect("nobody failed");
            writeln!(pipes.0, "{port}").expect("the shell reads");
            ready(&mut pipes.1);
            port
        })
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

/// A database of its own, gone with this value.
pub struct Database {
    /// Its name, also a good name for what is shared by the whole cluster, as roles are.
    pub name: String,
    dsn: String,
}

/// Connection settings of the server in use, for a database.
fn server_dsn(dbname: &str) -> String {
    let Ok(url) = env::var("TEST_DATABASE_URL") else { return cluster().dsn(dbname) };
    let Some((scheme, rest)) = url.split_once("://") else { return format!("{url} dbname={dbname}") };
    let (rest, query) = rest.split_once('?').map_or((rest, String::new()), |(rest, query)| (rest, format!("?{query}")));
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{dbname}{query}")
}

async fn client(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

impl Database {
    /// A fresh database made by `schema`. The schema is run once per test process, then copied.
    pub async fn new(schema: &str) -> Self {
        static TEMPLATES: tokio::sync::Mutex<Option<HashMap<String, String>>> = tokio::sync::Mutex::const_new(None);
        let admin = client(&server_dsn("postgres")).await;
        let template = {
            let mut templates = TEMPLATES.lock().await;
            let templates = templates.get_or_insert_default();
            if let Some(name) = templates.get(schema) {
                name.clone()
            } else {
                let name = unique("template");
                admin.batch_execute(&format!("create database {name} template template0")).await.expect("a template");
                client(&server_dsn(&name)).await.batch_execute(schema).await.expect("the schema is right");
                templates.insert(schema.to_owned(), name.clone());
                name
            }
        };
        Self::create(&admin, &format!("template {template}")).await
    }

    /// An empty database, with options of `create database`.
    pub async fn with_options(options: &str) -> Self {
        Self::create(&client(&server_dsn("postgres")).await, options).await
    }

    async fn create(admin: &Client, options: &str) -> Self {
        let name = unique("db");
        // The connection that filled the template may still be on its way out.
        let sql = format!("create database {name} {options}");
        super::eventually("the database can be created", || async {
            match admin.batch_execute(&sql).await {
                Ok(()) => true,
                Err(error) if error.code().is_some_and(|code| code.code() == "55006") => false,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        Self { dsn: server_dsn(&name), name }
    }

    /// Connection settings of a superuser.
    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    /// The same with one setting more, or another one.
    pub fn dsn_with(&self, key: &str, value: &str) -> String {
        match (self.dsn.contains("://"), self.dsn.contains('?')) {
            (false, _) => format!("{} {key}='{value}'", self.dsn),
            (true, false) => format!("{}?{key}={value}", self.dsn),
            (true, true) => format!("{}&{key}={value}", self.dsn),
        }
    }

    /// A superuser's connection, to arrange and look.
    pub async fn client(&self) -> Client {
        client(&self.dsn).await
    }

    /// The database as smelt sees it.
    pub async fn source(&self) -> Source {
        self.source_with(SourceOptions::default()).await
    }

    /// The database as smelt sees it.
    pub async fn source_with(&self, options: SourceOptions) -> Source {
        Source::connect(target(&self.dsn), options).await.expect("the source connects")
    }
}

/// Connection settings without the environment of whoever runs the tests.
pub fn target(dsn: &str) -> Target {
    Target::resolve(Some(dsn), &|_| None).expect("good settings")
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("drop database if exists {} with (force)", self.name);
        // Not on the test's own runtime, which cannot wait here.
        let done = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { client(&server_dsn("postgres")).await.batch_execute(&sql).await })
        });
        drop(done.join());
    }
}

fn unique(kind: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("smelt_test_{kind}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
