//! Those who do the work: smelt, and PostgreSQL by itself.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::machine::{Server, Usage};
use super::{Result, one};

/// What smelt reads for a patient: its row and those of its lists, in order.
pub(crate) const PATIENT: [&str; 5] = ["patient", "names", "addresses", "telecoms", "identifiers"];

/// What smelt reads for everything.
pub(crate) const ALL: [&str; 8] =
    ["patient", "names", "addresses", "telecoms", "identifiers", "encounter", "condition", "observation"];

/// The types of the pack, and the files that build their resources in SQL.
pub(crate) const TYPES: [&str; 4] = ["Patient", "Encounter", "Condition", "Observation"];
/// As [`TYPES`].
pub(crate) const RESOURCES: [&str; 4] = ["patient", "encounter", "condition", "observation"];

/// The columns that smelt reads, by the name of what is read.
fn columns(name: &str) -> &'static str {
    match name {
        "observation" => {
            "select row_id, updated_at, code, description, patient, encounter, date, \
             case when type = 'numeric' then value::numeric end, units, case when type <> 'numeric' then value end \
             from observations"
        }
        "encounter" => {
            "select id, updated_at, stop, code, description, patient, provider, start, reasoncode, reasondescription, \
             organization from encounters"
        }
        "condition" => "select row_id, updated_at, stop, code, description, patient, encounter, start from conditions",
        "patient" => "select id, updated_at, gender, birthdate, deathdate from patients",
        "names" => "select patient, use, family, given, prefix from patient_names",
        "addresses" => "select patient, use, line, city, state, postal_code from patient_addresses",
        "telecoms" => "select patient, system, value, use from patient_telecoms",
        _ => "select patient, system, value from patient_identifiers",
    }
}

/// What of a store an export asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Part {
    /// All of it.
    #[default]
    Whole,
    /// What was changed after the first load: a thousandth.
    Changed,
    /// One patient.
    Patient,
    /// A Group with a hundredth of the patients.
    Group,
}

impl Part {
    /// As [`one::command`] takes it.
    fn asked(self, server: &Server, schema: &str) -> Result<String> {
        Ok(match self {
            Self::Whole => String::new(),
            Self::Changed => "since=2099-12-31T00:00:00Z".to_owned(),
            Self::Patient => {
                format!("patient={}", server.query(&format!("select id from {schema}.patients order by id limit 1"))?)
            }
            Self::Group => "group=hundredth".to_owned(),
        })
    }
}

/// One way to read a store.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// An export by this build.
    Smelt { schema: &'static str, types: Vec<&'static str>, part: Part, sink: &'static str, workers: usize },
    /// `COPY … TO STDOUT (FORMAT binary)` by psql.
    Copy { schema: &'static str, names: Vec<&'static str> },
    /// Resources built in SQL, copied out.
    Json { schema: &'static str, names: Vec<&'static str>, jsonb: bool },
    /// So many MiB of nothing written and synced by dd: what the disk takes, without a database.
    Disk { mebibytes: u32 },
}

impl Peer {
    pub(crate) fn smelt(schema: &'static str, types: &[&'static str], sink: &'static str, workers: usize) -> Self {
        Self::Smelt { schema, types: types.to_vec(), part: Part::Whole, sink, workers }
    }

    /// Four types of a part of a store, to files, two workers.
    pub(crate) fn part(schema: &'static str, part: Part) -> Self {
        Self::Smelt { schema, types: TYPES.to_vec(), part, sink: "file", workers: 2 }
    }

    pub(crate) fn copy(schema: &'static str, names: &[&'static str]) -> Self {
        Self::Copy { schema, names: names.to_vec() }
    }

    pub(crate) fn json(schema: &'static str, names: &[&'static str], jsonb: bool) -> Self {
        Self::Json { schema, names: names.to_vec(), jsonb }
    }

    /// Runs it once.
    pub(crate) fn run(&self, server: &Server) -> Result<Usage> {
        match self {
            Self::Smelt { schema, types, part, sink, workers } => {
                let out = tempfile::tempdir()?;
                let part = part.asked(server, schema)?;
                server.measure(&mut [one::command(&server.url(), schema, types, &part, sink, *workers, out.path())?])
            }
            Self::Copy { schema, names } => {
                let mut commands: Vec<Command> = names.iter().map(|name| copy(server, schema, columns(name))).collect();
                server.measure(&mut commands)
            }
            Self::Json { schema, names, jsonb } => {
                let mut commands = Vec::new();
                for name in names {
                    let sql = json_sql(name)?;
                    let sql = if *jsonb { sql.replace("json_", "jsonb_") } else { sql };
                    commands.push(copy(server, schema, &sql));
                }
                server.measure(&mut commands)
            }
            Self::Disk { mebibytes } => {
                let out = tempfile::tempdir()?;
                let mut dd = Command::new("dd");
                dd.args(["if=/dev/zero", "bs=1M", "conv=fsync", "status=none", &format!("count={mebibytes}")]);
                dd.arg(format!("of={}", out.path().join("zeroes").display()));
                server.measure(&mut [dd])
            }
        }
    }
}

/// `COPY` of a query by psql.
fn copy(server: &Server, schema: &str, sql: &str) -> Command {
    let mut command = server.psql(schema);
    command.args(["-c", &format!("copy ({sql}) to stdout (format binary)")]);
    command
}

/// The query that builds the resources of a type.
fn json_sql(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/e2e/sql/{name}.sql"));
    Ok(fs::read_to_string(path)?)
}

/// Makes sure that smelt and the queries in SQL make the same resources of `schema`.
pub(crate) fn equal(server: &Server, schema: &str) -> Result<()> {
    for (resource_type, name) in TYPES.into_iter().zip(RESOURCES) {
        let out = tempfile::tempdir()?;
        server.measure(&mut [one::command(&server.url(), schema, &[resource_type], "", "file", 2, out.path())?])?;
        let mut ours = BTreeMap::new();
        for entry in fs::read_dir(out.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "ndjson") {
                read(&fs::read_to_string(path)?, &mut ours)?;
            }
        }
        let sql = server.psql(schema).args(["-At", "-c", &json_sql(name)?]).output()?;
        let mut theirs = BTreeMap::new();
        // PostgreSQL writes the offset of UTC in digits.
        read(&String::from_utf8(sql.stdout)?.replace("+00:00\"", "Z\""), &mut theirs)?;
        if ours.is_empty() || ours != theirs {
            return Err(format!("{resource_type}: smelt and SQL make different resources").into());
        }
        eprintln!("{resource_type}: {} resources of smelt and SQL are equal", ours.len());
    }
    Ok(())
}

/// A digest of each resource, by id: a million trees would not leave room for what is measured next.
fn read(lines: &str, into: &mut BTreeMap<String, u64>) -> Result<()> {
    for line in lines.lines() {
        let resource: Value = serde_json::from_str(line)?;
        let id = resource.get("id").and_then(Value::as_str).ok_or("a resource without an id")?.to_owned();
        let mut digest = DefaultHasher::new();
        // A parsed object is ordered by name, so equal resources are equal texts.
        resource.to_string().hash(&mut digest);
        if into.insert(id, digest.finish()).is_some() {
            return Err("two resources have one id".into());
        }
    }
    Ok(())
}
