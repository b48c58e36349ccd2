//! The commands' arguments.
//!
//! A flag that is a setting has its help text from the table of settings, so they cannot differ.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bulk::Parameters;
use crate::config::table::{Kind, all};

mod request;
mod server;

pub use request::{ExplainArgs, LevelArg, RequestArgs};
pub use server::{ReadyArgs, ServeArgs, ServerFlags};

/// Rows of a relational EHR store become FHIR R4 NDJSON.
///
/// smelt compiles a pack of declarative mappings against PostgreSQL and FHIR R4, and writes what it reads as Bulk
/// Data files. The clinical database is only ever read.
#[derive(Debug, Parser)]
#[command(name = "smelt", version, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the pack has errors, 2 wrong usage, 4 database unreachable,
5 finished with rejected rows, 6 failed, 130 interrupted.";

/// What `smelt` can do. The documentation of a command's arguments is its help text.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Export(ExportArgs),
    Validate(ValidateArgs),
    Preview(PreviewArgs),
    Test(TestArgs),
    Show(ShowArgs),
    Grants(GrantsArgs),
    Serve(ServeArgs),
    Ready(ReadyArgs),
    Config(ConfigArgs),
    Demo(DemoArgs),
    Explain(ExplainArgs),
    Completions(CompletionsArgs),
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Settings file; without it smelt.yaml in the working directory, where it exists [env: SMELT_CONFIG]
    #[arg(long, value_name = "FILE", global = true, env = "SMELT_CONFIG", hide_env = true, help_heading = "Common")]
    pub config: Option<PathBuf>,
    /// What is logged
    #[arg(long, value_name = "LEVEL", global = true, help_heading = "Common")]
    pub log_level: Option<String>,
    /// How it is logged
    #[arg(long, value_name = "FORMAT", global = true, help_heading = "Common")]
    pub log_format: Option<String>,
}

/// Which mapping pack.
#[derive(Debug, Default, Args)]
pub struct PackArgs {
    /// The mapping pack
    #[arg(long, value_name = "DIR")]
    pub mappings: Option<String>,
}

/// Which database.
#[derive(Debug, Default, Args)]
pub struct DatabaseArgs {
    /// The clinical database
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// How an export runs, and how its files are stored.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Parallel sessions
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// Margin of the watermark
    #[arg(long, value_name = "TIME")]
    pub overlap: Option<String>,
    /// How long to wait for open transactions
    #[arg(long, value_name = "TIME")]
    pub snapshot_wait: Option<String>,
    /// What new members of a Group bring
    #[arg(long, value_name = "WORD")]
    pub since_new_members: Option<String>,
    /// Size of a file
    #[arg(long, value_name = "SIZE")]
    pub file_size: Option<String>,
    /// Store files compressed by gzip
    #[arg(long, conflicts_with = "zstd")]
    pub gzip: bool,
    /// Store files compressed by Zstandard
    #[arg(long)]
    pub zstd: bool,
}

/// Export the resources of a pack as NDJSON files with a manifest.
///
/// All types are read from one snapshot. Files appear in the output directory only whole; the manifest comes last,
/// so a directory with a manifest.json is a complete export. report.json beside it accounts for every row.
#[derive(Debug, Default, Args)]
pub struct ExportArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// Where to
    #[arg(long, value_name = "DIR")]
    pub out: Option<String>,
    /// Export only this resource type; may be repeated, or be a comma list [default: every mapped type]
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// What is exported.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Export also what belongs to exported resources: LatestProvenanceResources, RelevantProvenanceResources, or
    /// _reference-closure for what they point to outside of patients' records; may be repeated, or be a comma list
    #[arg(long = "include-associated-data", value_name = "WHAT")]
    pub associated: Vec<String>,
    /// Write files with a block for each patient, instead of one type each
    #[arg(long, value_enum, value_name = "TYPE")]
    pub organize_by: Option<OrganizeBy>,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
    /// Have one file of a type at most that is smaller than this, before compression; workers then share the files
    #[arg(long, value_name = "SIZE")]
    pub minimum_file_size: Option<String>,
    /// Keep the ids of mappings without `deleted` in this directory, and with --since tell which of them are gone
    #[arg(id = "ledger_dir", long = "ledger", value_name = "DIR")]
    pub ledger_dir: Option<PathBuf>,
    /// Count the references that point to a resource that is not there; one question to the database per reference
    #[arg(long)]
    pub check_references: bool,
    /// Print the statements, ranges and expected rows of the export, and read nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What files can be organized by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OrganizeBy {
    /// A block for each patient.
    Patient,
}

/// Look at the settings.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub(super) action: ConfigAction,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigAction {
    Check(ConfigCheckArgs),
}

/// Check the settings of `smelt serve`, print what is in force and where it comes from, and change nothing.
///
/// The mapping pack, the registry of clients and the certificates are read. The database is not asked.
#[derive(Debug, Args)]
pub struct ConfigCheckArgs {
    /// What `smelt serve` would be given.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Check a pack, and with a database every statement and column of it.
///
/// Without --database nothing but files is read. Every mistake of every file is reported at once.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How to report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How diagnostics are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: the place, the caret, the advice.
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// Print what a mapping makes of some rows.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The mapping's name
    #[arg(value_name = "MAPPING")]
    pub mapping: String,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// Only rows of this patient, by FHIR id
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// How many resources
    #[arg(short = 'n', value_name = "N", default_value_t = 5)]
    pub number: usize,
    /// Say beside each element where it comes from, and what was left out and why
    #[arg(long)]
    pub why: bool,
}

/// Run the tests that stand beside the mappings. They need no database.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// Write what the mappings make into `expect` of the tests that fail
    #[arg(long)]
    pub update: bool,
}

/// Export synthetic patients from a database made for it.
///
/// Without --database a PostgreSQL server is started from the local binaries. The database is called smelt_demo_…,
/// nothing else on the server is touched, and it is dropped at the end.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A server to make the demo database on, as a role that may create databases
    #[arg(id = "demo_database", long = "database", value_name = "URL")]
    pub database: Option<String>,
    /// Leave the demo database where it is, and say how to connect to it
    #[arg(long)]
    pub keep: bool,
    /// Where the files go [default: a new directory below the working directory]
    #[arg(id = "demo_out", long = "out", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Print a mapping as it is after its base pack is merged in, or a shipped fragment.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The mapping's or fragment's name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
}

/// Print the SQL that gives a role what the pack reads, and nothing else.
#[derive(Debug, Args)]
pub struct GrantsArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// The role
    #[arg(long, value_name = "ROLE", default_value = "smelt_reader")]
    pub role: String,
}

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Settings given as flags: name and value.
pub type Flags = Vec<(&'static str, String)>;

impl CommonArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        given([("log-level", &self.log_level), ("log-format", &self.log_format)])
    }
}

impl PackArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        given([("mappings", &self.mappings)])
    }
}

impl DatabaseArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        given([("database", &self.database)])
    }
}

impl RunArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        let mut flags = given([
            ("workers", &self.workers),
            ("file-size", &self.file_size),
            ("overlap", &self.overlap),
            ("snapshot-wait", &self.snapshot_wait),
            ("since-new-members", &self.since_new_members),
        ]);
        let codecs = [(self.gzip, "gzip"), (self.zstd, "zstd")];
        let codec = codecs.into_iter().find(|(asked, _)| *asked);
        flags.extend(codec.map(|(_, codec)| ("compression", codec.to_owned())));
        flags
    }
}

impl ExportArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        let mut flags = self.database.flags();
        flags.extend(self.pack.flags());
        flags.extend(given([("out", &self.out)]));
        flags.extend(self.run.flags());
        flags
    }

    /// The kick-off parameters among them.
    pub fn parameters(&self) -> Parameters {
        Parameters {
            associated: self.associated.clone(),
            organize_by: self.organize_by.map(|OrganizeBy::Patient| "Patient".to_owned()),
            ..self.request.parameters(self.types.clone())
        }
    }
}

fn given<const N: usize>(flags: [(&'static str, &Option<String>); N]) -> Flags {
    flags.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))).collect()
}

/// Gives every flag that is a setting the help text of the setting.
pub(super) fn describe(command: clap::Command) -> clap::Command {
    command.mut_args(describe_arg).mut_subcommands(describe)
}

fn describe_arg(arg: clap::Arg) -> clap::Arg {
    let setting = all().find(|setting| arg.get_id().as_str().replace('_', "-") == setting.name);
    let Some(setting) = setting else { return arg };
    let meaning = setting.meaning.trim_end_matches('.');
    let words = match setting.kind {
        Kind::Words(words) => format!(": {}", words.join(", ")),
        Kind::Switch => ": true, false".to_owned(),
        _ => String::new(),
    };
    let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    arg.help(format!("{meaning}{words} [env: {}]{default}", setting.env))
}

#[cfg(test)]
mod tests;
