//! Exports that do not end as they should: whatever is killed, nothing that stays behind looks finished, the exit code
//! says what happened, the server is left in peace, and the next run works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use tempfile::TempDir;
use tokio_postgres::Client;

use crate::support::database::{Cluster, Database};
use crate::support::eventually;
use crate::support::pack::{export_command, watch, write};

/// Some milliseconds of work on the server per row, and as many bytes as make it send every row at once.
const SLOW: &str =
    "select t.id, repeat('x', 8000) || (select count(*) from generate_series(1, 50000) g where g > t.id) as v
    from t";
const MAPPING: &str = "sql: slow.sql\nkey: id\npatient: none\nresource:\n  resourceType: Basic\n  id: \"b-{{id}}\"\n  \
                       code: {text: $v}\n";
const LISTED: &str = "table: small\nkey: id\nlists: {items: {table: small, parent: id, order: id}}\nresource:\n  \
                      resourceType: Patient\n  id: \"p-{{id}}\"\n  contact:\n    - $each items:\n        \
                      name: {text: \"{{id}}\"}\n";

/// An export on its way: its statements run, and a file is being written.
struct Running {
    home: TempDir,
    out: PathBuf,
    dsn: String,
    admin: Client,
    child: Child,
}

/// The transaction that all others have their snapshot from.
const OLDEST: &str = "xact_start = (select min(xact_start) from pg_stat_activity
    where datname = current_database() and application_name = 'smelt')";

/// Rows of [`SLOW`] that take much longer than any test waits.
const FOREVER: u32 = 20_000;

async fn start(dsn: &str, admin: Client, rows: u32, out: Option<&Path>) -> Running {
    // More rows are expected than there are: so many of the slow table that it comes first, and so many of the other one
    // that its list gets a session of its own.
    let schema = format!(
        "create table t (id int primary key); insert into t select generate_series(1, {rows}); analyze t;
         create table small (id int primary key); insert into small values (1); analyze small;
         update pg_class set reltuples = case relname when 't' then 90000 else 20000 end
         where relname in ('t', 'small')"
    );
    admin.batch_execute(&schema).await.expect("a schema");
    let home = tempfile::tempdir().expect("a directory");
    write(home.path(), &[("mappings/slow.yaml", MAPPING), ("mappings/z.yaml", LISTED), ("sql/slow.sql", SLOW)]);
    let out = out.map_or_else(|| home.path().join("out"), Path::to_owned);
    let child = export_command(home.path(), dsn, &out).args(["--workers", "1"]).spawn().expect("smelt starts");
    Running { home, out, dsn: dsn.to_owned(), admin, child }
}

impl Running {
    async fn in_the_middle(&self) {
        eventually("a file is being written", || async {
            entries(&self.out).iter().any(|(name, size)| name.strip_suffix(".part").is_some() && *size > 0)
        })
        .await;
        assert!(self.backends("state = 'active'").await > 0);
    }

    async fn backends(&self, which: &str) -> i64 {
        let sql = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'smelt' and {which}"
        );
        self.admin.query_one(&sql, &[]).await.expect("a count").get(0)
    }

    async fn terminate(&self, which: &str) {
        let sql = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and application_name = 'smelt' and {which}"
        );
        let ended: i64 = self.admin.query_one(&sql, &[]).await.expect("a count").get(0);
        assert_eq!(ended, 1, "one backend was to be ended");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// Waits for the end; what is left must not look finished, and the same directory must do for the next run.
    async fn ends(self, code: Option<i32>) -> String {
        let Self { home, out, dsn, admin, child } = self;
        let (have, told, _) = tokio::task::spawn_blocking(|| watch(child)).await.expect("it is watched");
        assert_eq!(have, code, "{told}");
        nothing_finished(&out);
        let left = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'smelt'";
        let admin = Arc::new(admin);
        eventually("the server runs nothing of it any more", || {
            let admin = Arc::clone(&admin);
            async move { admin.query_one(left, &[]).await.expect("a count").get::<_, i64>(0) == 0 }
        })
        .await;
        again(home.path(), &dsn, &out);
        told
    }
}

fn entries(out: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().map_or(0, |metadata| metadata.len()))
        })
        .collect()
}

fn nothing_finished(out: &Path) {
    for (name, _) in entries(out) {
        assert!(name.starts_with('.'), "{name} looks finished");
    }
}

/// A run that has less to do, into the same directory.
fn again(home: &Path, dsn: &str, out: &Path) {
    fs::write(home.join("sql/slow.sql"), "select id, 'v' as v from t where id <= 3").expect("a file");
    let done = export_command(home, dsn, out).output().expect("smelt runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut names: Vec<String> = entries(out).into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["Basic.0001.ndjson", "Patient.0001.ndjson", "manifest.json", "report.json"]);
    assert_eq!(fs::read_to_string(out.join("Basic.0001.ndjson")).expect("a file").lines().count(), 3);
}

async fn running(rows: u32) -> (Database, Running) {
    let database = Database::with_options("").await;
    let running = start(database.dsn(), database.client().await, rows, None).await;
    running.in_the_middle().await;
    (database, running)
}

#[tokio::test]
async fn kill_leaves_hidden_files_only() {
    let (_database, running) = running(FOREVER).await;
    running.signal("-KILL");
    running.ends(None).await;
}

#[tokio::test]
async fn an_interrupt_cancels_the_statement_and_cleans_up() {
    for signal in ["-INT", "-TERM"] {
        let (_database, running) = running(FOREVER).await;
        running.signal(signal);
        let told = running.ends(Some(130)).await;
        assert!(told.contains("the export was stopped"), "{told}");
    }
}

#[tokio::test]
async fn an_interrupt_leaves_nothing_behind() {
    let (_database, mut running) = running(FOREVER).await;
    running.signal("-INT");
    assert_eq!(running.child.wait().expect("it ends").code(), Some(130));
    assert_eq!(entries(&running.out), []);
}

#[tokio::test]
async fn a_terminated_worker_fails_the_export() {
    let (_database, running) = running(FOREVER).await;
    running.terminate("state = 'active'").await;
    let told = running.ends(Some(6)).await;
    assert!(told.contains("terminating connection due to administrator command"), "{told}");
}

#[tokio::test]
async fn a_lost_snapshot_fails_the_export_when_it_is_needed() {
    // The second mapping needs a session more than the first has, and it can no longer join.
    let (_database, running) = running(300).await;
    running.terminate(OLDEST).await;
    let told = running.ends(Some(6)).await;
    assert!(told.contains("snapshot"), "{told}");
}

#[tokio::test]
async fn a_crashed_server_fails_the_export() {
    let cluster = Cluster::start();
    let running = start(&cluster.dsn("postgres"), cluster.client().await, FOREVER, None).await;
    running.in_the_middle().await;
    let file = cluster.dir.join("data/postmaster.pid");
    let postmaster = fs::read_to_string(file).expect("the server's id");
    let id = postmaster.lines().next().expect("a line");
    // An immediate shutdown.
    assert!(Command::new("kill").args(["-QUIT", id]).status().expect("kill runs").success());
    let (code, told, _) = tokio::task::spawn_blocking(|| watch(running.child)).await.expect("it is watched");
    assert_eq!(code, Some(6), "{told}");
    nothing_finished(&running.out);
}

#[tokio::test]
async fn the_log_of_the_server_says_nothing_of_a_run_that_goes_well() {
    let cluster = Cluster::start();
    let Running { home, dsn, child, .. } = start(&cluster.dsn("postgres"), cluster.client().await, 3, None).await;
    let (code, told, _) = tokio::task::spawn_blocking(|| watch(child)).await.expect("it is watched");
    assert_eq!(code, Some(0), "{told}");
    for words in [&["validate"][..], &["preview", "z"], &["explain", "z"], &["export", "--dry-run", "--out", "none"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
        let mappings = home.path().join("mappings");
        command.args(words).arg("--mappings").arg(mappings).args(["--database", &dsn]);
        let done = command.output().expect("smelt runs");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let log = fs::read_to_string(cluster.file("log")).expect("the server's log");
    let (_, log) = log.split_once("ready to accept connections").expect("it has started");
    assert!(!log.contains("smelt") && !log.contains("EOF"), "{log}");
}

#[tokio::test]
async fn a_full_disk_fails_the_export() {
    let Some(disk) = SmallDisk::new() else { return in_a_namespace("engine::kill::a_full_disk_fails_the_export") };
    let database = Database::with_options("").await;
    let running = start(database.dsn(), database.client().await, FOREVER, Some(&disk.path().join("out"))).await;
    let told = running.ends(Some(6)).await;
    assert!(told.contains("no space left to write"), "{told}");
}

/// Runs a test of this file as a user who may mount, in namespaces of its own.
fn in_a_namespace(test: &str) {
    assert!(std::env::var_os("SMELT_TEST_MOUNTS").is_none(), "not even a namespace lets this user mount");
    let mut again = Command::new("unshare");
    again.args(["--map-current-user", "--keep-caps", "--mount"]).arg(std::env::current_exe().expect("a program"));
    let status = again.args(["--exact", test]).env("SMELT_TEST_MOUNTS", "yes").status().expect("unshare runs");
    assert!(status.success(), "{test} in a namespace: {status}");
}

/// A file system of one megabyte.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where this user may not mount.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().expect("a directory"));
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(disk.0.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}
