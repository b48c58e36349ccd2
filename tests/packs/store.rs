//! A Synthea store in a database of its own, and what `smelt` exports from it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::SinkExt as _;
use serde_json::Value;
use smelt::bulk::report::Report;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::rust_text::root;
use crate::support::database::Database;

/// The demo seed, loaded once. Tests only read it.
pub(crate) async fn demo() -> &'static Database {
    static DEMO: OnceCell<Database> = OnceCell::const_new();
    DEMO.get_or_init(filled).await
}

/// A database with the demo seed.
pub(crate) async fn filled() -> Database {
    let (database, client) = empty().await;
    let file = File::open(root().join("sql/demo/seed.sql.zst")).expect("the seed");
    let mut script = BufReader::new(zstd::Decoder::new(file).expect("zstd"));
    let mut statement = String::new();
    while script.read_line(&mut statement).expect("UTF-8") > 0 {
        let mut rows = Vec::new();
        let mut next = 0;
        while rows[next..] != *b"\\.\n" {
            next = rows.len();
            assert!(script.read_until(b'\n', &mut rows).expect("zstd") > 0, "{statement} has an end");
        }
        rows.truncate(next);
        copy(&client, statement.trim_end().trim_end_matches(';'), rows).await;
        statement.clear();
    }
    finish(&client).await;
    database
}

/// A database with the tables of the demo and the rows of `tests/packs/eleven`.
pub(super) async fn eleven() -> Database {
    let folder = root().join("tests/packs/eleven");
    let (database, client) = empty().await;
    for line in fs::read_to_string(folder.join("tables.txt")).expect("a file").lines() {
        let (table, columns) = line.split_once(' ').expect("a table and its columns");
        // Empty tables are left out.
        let Ok(file) = File::open(folder.join(format!("tables/{table}.csv.gz"))) else { continue };
        let mut rows = Vec::new();
        GzDecoder::new(file).read_to_end(&mut rows).expect("gzip");
        copy(&client, &format!("copy {table} ({columns}) from stdin (format csv)"), rows).await;
    }
    finish(&client).await;
    database
}

fn sql(name: &str) -> String {
    fs::read_to_string(root().join("sql/demo").join(name)).expect("a file of the demo")
}

async fn empty() -> (Database, Client) {
    let database = Database::with_options("").await;
    let client = database.client().await;
    client.batch_execute(&sql("schema.sql")).await.expect("the schema");
    (database, client)
}

async fn copy(client: &Client, statement: &str, rows: Vec<u8>) {
    let mut sink = Box::pin(client.copy_in::<_, Bytes>(statement).await.expect("a copy begins"));
    sink.send(Bytes::from(rows)).await.expect("rows");
    sink.as_mut().finish().await.expect("rows that fit the table");
}

async fn finish(client: &Client) {
    client.batch_execute(&sql("constraints.sql")).await.expect("the constraints");
    client.batch_execute("analyze").await.expect("statistics");
}

/// Runs `smelt COMMAND --mappings … --database … ARGS`, without settings of this machine.
pub(super) fn smelt(database: &Database, command: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smelt"))
        .current_dir(root())
        .env_clear()
        .args([command, "--mappings", "mappings/synthea", "--database", database.dsn()])
        .args(args)
        .output()
        .expect("smelt runs")
}

/// A finished export.
pub(super) struct Exported {
    dir: TempDir,
    /// `report.json`.
    pub(super) report: Report,
    /// `manifest.json`.
    pub(super) manifest: Value,
}

/// Exports, and expects no rejected row.
pub(super) fn export(database: &Database, args: &[&str]) -> Exported {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let output = smelt(database, "export", &[&["--out", &out.display().to_string()], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read(out.join(name)).expect("a file of the export");
    Exported {
        report: serde_json::from_slice(&read("report.json")).expect("a report"),
        manifest: serde_json::from_slice(&read("manifest.json")).expect("a manifest"),
        dir,
    }
}

impl Exported {
    /// Where the files are.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Every item of the manifest's `output`: type and file.
    pub(super) fn output(&self) -> Vec<(String, PathBuf)> {
        let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
        let items = self.manifest["output"].as_array().expect("a list");
        items.iter().map(|item| (text(item, "type"), self.path().join(text(item, "url")))).collect()
    }

    /// The types with resources, in the order of the manifest.
    pub(super) fn types(&self) -> Vec<String> {
        let mut types: Vec<String> = self.output().into_iter().map(|(name, _)| name).collect();
        types.dedup();
        types
    }

    /// The lines of a type, file after file.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let files = self.output().into_iter().filter(|(of, _)| of == name);
        files.flat_map(|(_, path)| lines(&path)).collect()
    }

    /// The resources of a type.
    pub(super) fn resources(&self, name: &str) -> Vec<Value> {
        self.lines(name).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// The lines of a file, decoded.
pub(super) fn lines(path: &Path) -> Vec<String> {
    BufReader::new(decoded(path)).lines().map(|line| line.expect("UTF-8")).collect()
}

/// A file as its name says it is stored.
pub(super) fn decoded(path: &Path) -> Box<dyn Read> {
    let file = File::open(path).expect("a file");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(GzDecoder::new(file)),
        Some("zst") => Box::new(zstd::Decoder::new(file).expect("zstd")),
        _ => Box::new(file),
    }
}

/// The text at the end of a path of names and positions.
pub(super) fn text<'a>(resource: &'a Value, pointer: &str) -> Option<&'a str> {
    resource.pointer(pointer)?.as_str()
}
