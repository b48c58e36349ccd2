//! The table of settings: the file's keys, the variables, the flags' help and the reference page all follow it.

use std::fmt::{self, Write as _};

pub use super::server_table::SERVER_SETTINGS;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Key in the settings file.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Value when nothing is given; none where there is no fixed one.
    pub default: Option<&'static str>,
    /// Variable of the environment.
    pub env: &'static str,
    /// Flag.
    pub flag: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// What a setting's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A connection URL or `key=value` list.
    Database,
    /// A path; in the settings file relative to that file.
    Path,
    /// A whole number from 1.
    Count,
    /// A number of bytes, as in `256MiB`.
    Size,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Some text.
    Text,
    /// A comma list.
    List,
    /// `true` or `false`.
    Switch,
    /// An address with a port.
    Address,
    /// A URL without a query.
    Url,
    /// A comma list of networks.
    Networks,
    /// A time from so many seconds to so many.
    Time(u64, u64),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("a connection URL, postgresql://user@host/database"),
            Self::Path => f.write_str("a path"),
            Self::Count => f.write_str("a whole number from 1"),
            Self::Size => f.write_str("a number of bytes from 64KiB, as in 256MiB or 1GiB"),
            Self::Words(words) => write!(f, "one of {}", words.join(", ")),
            Self::Text => f.write_str("some text"),
            Self::List => f.write_str("a comma list"),
            Self::Switch => f.write_str("true or false"),
            Self::Address => f.write_str("an address with a port, as in 0.0.0.0:8080 or [::]:8080"),
            Self::Url => f.write_str("a URL of scheme, host and path, https://ehr.example.org/fhir"),
            Self::Networks => f.write_str("a comma list of networks, as in 10.0.0.0/8, ::1"),
            Self::Time(least, most) => {
                write!(f, "a time from {} to {}, as in 90s, 5min, 24h or 7d", span(*least), span(*most))
            }
        }
    }
}

/// `90s`, `5min`, `24h`, `7d`.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// Every setting.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(SERVER_SETTINGS)
}

/// The settings that are not about the server alone.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "database",
        kind: Kind::Database,
        default: None,
        env: "SMELT_DATABASE",
        flag: "--database",
        meaning: "The clinical database. Only ever read. Keep a password out of the flag: other users see flags.",
    },
    Setting {
        name: "mappings",
        kind: Kind::Path,
        default: Some("mappings"),
        env: "SMELT_MAPPINGS",
        flag: "--mappings",
        meaning: "Directory of the mapping pack: it has a project.yaml, or exactly one pack below it does.",
    },
    Setting {
        name: "out",
        kind: Kind::Path,
        default: None,
        env: "SMELT_OUT",
        flag: "--out",
        meaning: "Output directory of an export: new, empty, or left behind by an unfinished export.",
    },
    Setting {
        name: "workers",
        kind: Kind::Count,
        default: None,
        env: "SMELT_WORKERS",
        flag: "--workers",
        meaning: "Parallel sessions. Unless given, half of this machine's cores plus one.",
    },
    Setting {
        name: "overlap",
        kind: Kind::Time(0, 604_800),
        default: Some("10min"),
        env: "SMELT_OVERLAP",
        flag: "--overlap",
        meaning: "How far `transactionTime` is put back where the oldest open writer cannot be seen: other sessions \
            are hidden from the role, the server is a replica, a prepared transaction is open, rows come by logical \
            replication. It must be longer than any transaction that writes.",
    },
    Setting {
        name: "snapshot-wait",
        kind: Kind::Time(0, 3_600),
        default: Some("5s"),
        env: "SMELT_SNAPSHOT_WAIT",
        flag: "--snapshot-wait",
        meaning: "How long an export waits, before it takes its snapshot, for transactions that are open: each that ends \
            in time holds `transactionTime` back no longer.",
    },
    Setting {
        name: "since-new-members",
        kind: Kind::Words(&["include", "exclude"]),
        default: Some("include"),
        env: "SMELT_SINCE_NEW_MEMBERS",
        flag: "--since-new-members",
        meaning: "What an export of a Group with `_since` gives of members who joined after it: their whole record, or \
            what changed since, as of the others. When somebody joined is told by `joined` or `start` of the mapping's \
            `members`; of Groups that clients make it is the time at which they were listed.",
    },
    Setting {
        name: "file-size",
        kind: Kind::Size,
        default: Some("256MiB"),
        env: "SMELT_FILE_SIZE",
        flag: "--file-size",
        meaning: "The most that a file holds, before compression, unless it is one resource alone. A client of the server may ask for \
            less, never for more.",
    },
    Setting {
        name: "compression",
        kind: Kind::Words(&["none", "gzip", "zstd"]),
        default: None,
        env: "SMELT_COMPRESSION",
        flag: "--gzip, --zstd",
        meaning: "How output files are stored. Unless given, `smelt export` stores them as they are and `smelt \
            serve` by gzip: what a client accepts is sent as it is stored, for others it is unpacked on the way.",
    },
    Setting {
        name: "log-level",
        kind: Kind::Words(&["error", "warn", "info", "debug", "trace"]),
        default: Some("warn"),
        env: "SMELT_LOG_LEVEL",
        flag: "--log-level",
        meaning: "What is logged to standard error.",
    },
    Setting {
        name: "log-format",
        kind: Kind::Words(&["text", "json"]),
        default: Some("text"),
        env: "SMELT_LOG_FORMAT",
        flag: "--log-format",
        meaning: "How it is logged.",
    },
];

/// The page `docs/src/reference/settings.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\n<!-- Generated from src/config/table.rs; a test compares it. -->\n\n\
         A setting is looked for in this order: the flag, the variable of the environment, the settings file, the\n\
         default. The settings file is the one named by `--config` or `SMELT_CONFIG`, else `smelt.yaml` in the working\n\
         directory where it exists. It holds `key: value` lines in YAML; a key that is no setting is refused. Paths in\n\
         it are relative to the file. `smelt config check` prints what is in force and where it comes from.\n",
    );
    for setting in all() {
        if setting.name == SERVER_SETTINGS[0].name {
            page.push_str("\n# Settings of the server\n\n`smelt serve` reads these beside the others.\n");
        }
        let default = setting.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## `{}`\n\n{}\n\n| value | default | variable | flag |\n|---|---|---|---|\n| {} | {default} | `{}` | `{}` |\n",
            setting.name, setting.meaning, setting.kind, setting.env, setting.flag
        );
    }
    page
}
