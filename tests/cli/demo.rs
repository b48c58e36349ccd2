//! `smelt demo` from start to end, with a server of its own; and what is left when it ends otherwise.

#![expect(clippy::unwrap_used, reason = "helpers fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::database::cluster;

/// A place for the files and, where everybody may write, for the server.
struct Home {
    files: tempfile::TempDir,
    servers: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let files = tempfile::tempdir().unwrap();
        let servers = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(servers.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self { files, servers }
    }

    /// `smelt demo`, with settings that are not about its database.
    fn demo(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
        command.current_dir(self.files.path()).env("TMPDIR", self.servers.path()).arg("demo");
        command.env("PGHOST", "nowhere.invalid").env("PGOPTIONS", "-c nonsense=1").env("SMELT_DATABASE", "nowhere");
        command
    }

    fn out(&self) -> PathBuf {
        self.files.path().join("smelt-demo-out")
    }

    /// The directory of the server that runs, if one does.
    fn server(&self) -> Option<PathBuf> {
        fs::read_dir(self.servers.path()).unwrap().flatten().map(|entry| entry.path()).next()
    }

    fn nothing_runs(&self) -> bool {
        // A server is named by its data directory on its command line.
        let marks = self.servers.path().to_str().unwrap().as_bytes().to_vec();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let running = processes
            .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
            .any(|line| line.windows(marks.len()).any(|window| window == marks));
        self.server().is_none() && !running
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(3);
    while !holds() {
        assert!(Instant::now() < deadline, "still not so after three minutes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Lines of every file, by resource type, as the manifest counts them.
fn counted(out: &Path) -> BTreeMap<String, u64> {
    let manifest = json(&out.join("manifest.json"));
    let mut counts = BTreeMap::new();
    for file in manifest["output"].as_array().unwrap() {
        let text = fs::read_to_string(out.join(file["url"].as_str().unwrap())).unwrap();
        let of = file["type"].as_str().unwrap();
        let start = format!("{{\"resourceType\":\"{of}\",");
        assert!(text.ends_with('\n') && text.lines().all(|line| line.starts_with(&start)), "{file}");
        let lines = text.lines().count() as u64;
        assert_eq!(file["count"].as_u64(), Some(lines), "{file}");
        *counts.entry(of.to_owned()).or_default() += lines;
    }
    counts
}

/// Resources and rejected rows by type, from the closing table.
fn table(told: &str) -> BTreeMap<String, (u64, u64)> {
    let rows = told.lines().skip_while(|line| !line.starts_with("type ")).skip(2);
    rows.take_while(|line| !line.starts_with("---"))
        .map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let number = |n: usize| cells[n].replace(',', "").parse().unwrap();
            (cells[0].to_owned(), (number(1), number(2)))
        })
        .collect()
}

#[test]
fn every_type_is_exported_and_nothing_else_is_left() {
    let home = Home::new();
    let done = home.demo().output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 0), "{told}");
    assert!(home.nothing_runs(), "{told}");

    let counts = counted(&home.out());
    let table = table(&told);
    assert_eq!(table.len(), counts.len(), "{told}");
    for (resource_type, (resources, rejected)) in table {
        assert_eq!((resources, rejected), (counts[&resource_type], 0), "{resource_type}");
    }
    assert_eq!((counts["Patient"], counts["Encounter"]), (295, 16_854));
    assert!(counts.len() > 20 && counts["Observation"] > 100_000, "{counts:?}");
    assert!(told.contains("files: smelt-demo-out"), "{told}");

    // References were looked at, and every patient is there.
    let report = json(&home.out().join("report.json"));
    let mappings = report["mappings"].as_array().unwrap();
    assert!(mappings.iter().all(|mapping| mapping["danglingByPath"].is_object()), "{report}");

    // The first one stays as it is.
    let first = fs::read(home.out().join("manifest.json")).unwrap();
    let mut second = home.demo().stderr(Stdio::null()).spawn().unwrap();
    until("the second server starts", || home.server().is_some());
    assert!(home.files.path().join("smelt-demo-out-2").exists());
    second.kill().unwrap();
    second.wait().unwrap();
    until("its server is gone", || home.nothing_runs());
    assert_eq!(fs::read(home.out().join("manifest.json")).unwrap(), first);
}

/// Runs until files are being written.
fn under_way(home: &Home) -> Child {
    let child = home.demo().stderr(Stdio::null()).spawn().unwrap();
    until("a file is being written", || {
        let entries = fs::read_dir(home.out()).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().ends_with(".part"))
    });
    child
}

fn visible(out: &Path) -> Vec<String> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

#[test]
fn a_killed_demo_leaves_no_server_and_nothing_that_looks_finished() {
    let home = Home::new();
    let mut child = under_way(&home);
    assert!(!home.nothing_runs(), "the server is found while it runs");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(visible(&home.out()), [""; 0]);
    until("the server is gone", || home.nothing_runs());
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let home = Home::new();
    let mut child = under_way(&home);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(home.nothing_runs());
    assert!(!home.out().exists());
}

#[test]
fn on_a_server_that_is_named_the_database_is_dropped() {
    let home = Home::new();
    let databases = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sql = "select count(*) from pg_database where datname like 'smelt\\_demo\\_%'";
            cluster().client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
        })
    };
    let mut child = home.demo();
    child.env_remove("PGHOST").env_remove("PGOPTIONS").args(["--database", &cluster().dsn("postgres")]);
    let mut child = child.args(["--out", "here"]).stderr(Stdio::null()).spawn().unwrap();
    until("the database is made", || databases() == 1);
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(databases(), 0);
    assert!(home.nothing_runs() && !home.files.path().join("here").exists());
}

#[test]
fn a_server_that_cannot_be_reached_is_told() {
    let home = Home::new();
    let done = home.demo().args(["--database", "postgresql://nobody@127.0.0.1:1/postgres"]).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(4), "{told}");
    assert!(told.contains("failed to connect to nobody@127.0.0.1:1/postgres"), "{told}");
    assert!(!home.out().exists());
}
