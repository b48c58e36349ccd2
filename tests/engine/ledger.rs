//! The key ledger by the real binary: what is gone is told to whoever held it, and nothing else is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::eventually;
use crate::support::pack::{export_command, runtime, watch, write};
use crate::support::server::Server;

const SCHEMA: &str = "create table t (id int primary key, v text);
    insert into t select i, 'x' from generate_series(1, 9) i;
    create table u (id int primary key, dead boolean not null default false);
    insert into u values (1);";
const LOCATION: &str = "table: t\nkey: id\nresource:\n  resourceType: Location\n  id: \"l-{{id}}\"\n  name: $v\n";
const ORGANIZATION: &str =
    "table: u\nkey: id\ndeleted: dead\nresource:\n  resourceType: Organization\n  id: \"o-{{id}}\"\n  name: x\n";
/// Long before anything here.
const EARLY: &str = "2020-01-01T00:00:00Z";

struct Bench {
    database: Database,
    admin: Client,
    home: TempDir,
    exports: u32,
}

/// What one export told.
#[derive(Debug)]
struct Told {
    time: String,
    /// `None` when the manifest has no `deleted`.
    deleted: Option<Vec<String>>,
    outcomes: String,
}

impl Bench {
    async fn new(schema: &str, location: &str) -> Self {
        let database = Database::new(schema).await;
        let admin = database.client().await;
        let home = tempfile::tempdir().unwrap();
        write(home.path(), &[("mappings/location.yaml", location)]);
        Self { database, admin, home, exports: 0 }
    }

    async fn sql(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }

    fn out(&mut self) -> PathBuf {
        self.exports += 1;
        self.home.path().join(format!("out-{}", self.exports))
    }

    fn run(&mut self, dsn: &str, args: &[&str]) -> Told {
        let out = self.out();
        let child = export_command(self.home.path(), dsn, &out).args(args).spawn().unwrap();
        let (code, told, _) = watch(child);
        assert_eq!(code, Some(0), "{told}");
        read(&out)
    }

    fn export(&mut self, since: Option<&str>) -> Told {
        let dsn = self.database.dsn().to_owned();
        let mut args = vec!["--ledger", "ledger"];
        args.extend(since.iter().flat_map(|since| ["--since", since]));
        self.run(&dsn, &args)
    }

    fn ledger(&self) -> PathBuf {
        self.home.path().join("ledger/mappings.location.ids.zst")
    }
}

fn read(out: &Path) -> Told {
    let manifest: Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let lines = |files: &Value| -> String {
        let files = files.as_array().unwrap().iter();
        files.map(|file| fs::read_to_string(out.join(file["url"].as_str().unwrap())).unwrap()).collect()
    };
    let url = |line: &str| {
        let bundle: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&bundle["type"], &bundle["entry"][0]["request"]["method"]),
            (&"transaction".into(), &"DELETE".into())
        );
        bundle["entry"][0]["request"]["url"].as_str().unwrap().to_owned()
    };
    let deleted = manifest.get("deleted").map(|files| lines(files).lines().map(url).collect());
    let outcomes = manifest.get("outcome").or(manifest.get("error")).map(lines).unwrap_or_default();
    Told { time: manifest["transactionTime"].as_str().unwrap().to_owned(), deleted, outcomes }
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| format!("Location/l-{id}")).collect()
}

// M-10, M-11, M-12
#[tokio::test(flavor = "current_thread")]
async fn each_consumer_gets_what_is_gone_for_it() {
    let mut bench = Bench::new(SCHEMA, LOCATION).await;
    let first = bench.export(None);
    assert_eq!(first.deleted, None, "nothing was asked for");
    bench.sql("delete from t where id in (2, 4)").await;
    let second = bench.export(Some(&first.time));
    assert_eq!(second.deleted, Some(ids(&["2", "4"])));
    bench.sql("delete from t where id = 6; insert into t values (2, 'again')").await;
    let third = bench.export(Some(&second.time));
    // A consumer that comes again is told again; one that begins later is told of what it could hold.
    assert_eq!(third.deleted, Some(ids(&["6"])));
    assert_eq!(bench.export(Some(&first.time)).deleted, Some(ids(&["4", "6"])));
    let last = bench.export(Some(&third.time));
    assert_eq!(last.deleted.map(|gone| gone.len()), Some(0), "computed, and nothing is gone");

    // Without the ledger, or without the type, nothing is claimed.
    let dsn = bench.database.dsn().to_owned();
    assert_eq!(bench.run(&dsn, &["--since", &third.time]).deleted, None);
    // From before it began, it does not know.
    let early = bench.export(Some(EARLY));
    assert_eq!(early.deleted, None);
    assert!(early.outcomes.contains("deletions of Location by mapping location are known from 20"), "{early:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(bench.ledger()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "current_thread")]
async fn another_mapping_or_database_deletes_nothing() {
    let mut bench = Bench::new(SCHEMA, LOCATION).await;
    let first = bench.export(None);
    // Its ids, its rows, its database: each begins anew, and says so.
    let changes = [
        LOCATION.replace("l-{{id}}", "loc-{{id}}"),
        LOCATION.replace("table: t", "sql: |\n  select id, v from t where id > 5"),
    ];
    for changed in changes {
        write(bench.home.path(), &[("mappings/location.yaml", &changed)]);
        let told = bench.export(Some(&first.time));
        assert_eq!(told.deleted, None, "{changed}");
        assert!(told.outcomes.contains("export it whole once"), "{told:?}");
    }
    write(bench.home.path(), &[("mappings/location.yaml", LOCATION)]);
    let again = bench.export(None);
    // What does not say which rows there are may change.
    write(bench.home.path(), &[("mappings/location.yaml", &format!("{LOCATION}  description: x\n"))]);
    bench.sql("delete from t where id = 1").await;
    assert_eq!(bench.export(Some(&again.time)).deleted, Some(ids(&["1"])));

    let other = Database::new(SCHEMA).await;
    other.client().await.batch_execute("delete from t").await.unwrap();
    let told = bench.run(other.dsn(), &["--ledger", "ledger", "--since", &again.time]);
    assert_eq!(told.deleted, None);
}

// M-11
#[tokio::test(flavor = "current_thread")]
async fn an_outcome_names_whose_deletions_are_not_known() {
    let mut bench = Bench::new(SCHEMA, LOCATION).await;
    write(bench.home.path(), &[("mappings/organization.yaml", ORGANIZATION)]);
    let dsn = bench.database.dsn().to_owned();
    let without = bench.run(&dsn, &["--since", EARLY]);
    assert_eq!(without.deleted.map(|gone| gone.len()), Some(0));
    assert!(
        without.outcomes.contains("deletions of Location by mapping location are not known"),
        "{}",
        without.outcomes
    );
    let first = bench.export(None);
    bench.sql("delete from t where id = 3; update u set dead = true").await;
    let both = bench.export(Some(&first.time));
    let mut gone = both.deleted.unwrap();
    gone.sort();
    assert_eq!(gone, ["Location/l-3", "Organization/o-1"]);
    assert!(!both.outcomes.contains("deletions of"), "{}", both.outcomes);
    // Types that are not exported say nothing.
    let only = bench.run(&dsn, &["--type", "Location", "--since", EARLY]);
    assert_eq!(only.deleted, None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_killed_export_leaves_the_ledger_as_it_was() {
    let mut bench = Bench::new(SCHEMA, LOCATION).await;
    let first = bench.export(None);
    bench.sql("delete from t where id = 5").await;
    let before = fs::read(bench.ledger()).unwrap();

    let holder = bench.database.client().await;
    holder.batch_execute("begin; lock table t in access exclusive mode").await.unwrap();
    let out = bench.out();
    let mut command = export_command(bench.home.path(), bench.database.dsn(), &out);
    let mut child = command.args(["--ledger", "ledger", "--since", &first.time]).spawn().unwrap();
    let waits = "select count(*) > 0 from pg_stat_activity where datname = current_database()
                 and application_name = 'smelt' and wait_event_type = 'Lock'";
    eventually("the export waits", async || bench.admin.query_one(waits, &[]).await.unwrap().get(0)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    holder.batch_execute("rollback").await.unwrap();
    assert_eq!(fs::read(bench.ledger()).unwrap(), before);
    assert_eq!(bench.export(Some(&first.time)).deleted, Some(ids(&["5"])));

    // What is damaged is refused, and the help says what to do.
    fs::write(bench.ledger(), &before[..before.len() - 5]).unwrap();
    let out = bench.out();
    let mut command = export_command(bench.home.path(), bench.database.dsn(), &out);
    let (code, told, _) = watch(command.args(["--ledger", "ledger"]).spawn().unwrap());
    assert_eq!(code, Some(6), "{told}");
    assert!(told.contains("is damaged") && told.contains("Remove the file"), "{told}");
    assert!(!out.join("manifest.json").exists());
}

// M-10
#[tokio::test(flavor = "current_thread")]
async fn the_server_keeps_one_in_its_state() {
    let bench = Bench::new(SCHEMA, LOCATION).await;
    let pack = bench.home.path().join("mappings");
    let first = ["--database", bench.database.dsn(), "--auth", "none", "--mappings", pack.to_str().unwrap()];
    let server = Server::start(&first, &["--ledger", "true"], tempfile::tempdir().unwrap());
    let export = |query: &str| {
        let status = server.kick_off(&format!("{}/$export{query}", server.base));
        server.manifest(&status)
    };
    let whole = export("");
    assert_eq!(whole.get("deleted"), None);
    bench.sql("delete from t where id in (7, 8)").await;
    let next = export(&format!("?_since={}", whole["transactionTime"].as_str().unwrap()));
    assert_eq!((&next["deleted"][0]["type"], &next["deleted"][0]["count"]), (&"Bundle".into(), &2.into()));
}

/// Most memory held, in KiB, by an increment over this many rows with a ledger of as many.
fn peak(rows: u32) -> u64 {
    let runtime = runtime();
    let schema = format!(
        "create table t (id int primary key, v text); insert into t select i, 'x' from generate_series(1, {rows}) i"
    );
    let mut bench = runtime.block_on(Bench::new(&schema, LOCATION));
    let first = bench.export(None);
    runtime.block_on(bench.sql("delete from t where id % 2 = 0; analyze t"));
    let out = bench.out();
    let mut command = export_command(bench.home.path(), bench.database.dsn(), &out);
    command.args(["--workers", "1", "--ledger", "ledger", "--since", &first.time]);
    let (code, told, peak) = watch(command.spawn().unwrap());
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(read(&out).deleted.map(|gone| gone.len()), Some(rows as usize / 2));
    peak
}

#[test]
#[ignore = "takes long: make soak"]
fn soak_a_ledger_takes_no_memory_for_its_ids() {
    let (few, many) = (peak(1_500_000), peak(6_000_000));
    assert!(many < few + 16 * 1024, "{few} KiB, then {many} KiB");
}
