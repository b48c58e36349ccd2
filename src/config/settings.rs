//! Settings: from a file, the environment and flags, the later ones winning.
//!
//! What they are is said by [`SETTINGS`](super::table::SETTINGS).

use std::env::VarError;
use std::fmt;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lookup::Lookup;
use super::server::ServerSettings;
use super::table::{Setting, all};
use super::value;
use crate::sink::Codec;

/// The settings file that is read when no other is named.
pub const DEFAULT_FILE: &str = "smelt.yaml";

/// What variables of the environment start with.
const PREFIX: &str = "SMELT_";

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `database`
    pub database: Option<DatabaseUrl>,
    /// `mappings`
    pub mappings: PathBuf,
    /// `out`
    pub out: Option<PathBuf>,
    /// `workers`
    pub workers: Option<NonZeroU32>,
    /// `overlap`
    pub overlap: Duration,
    /// `file-size`, in bytes.
    pub file_size: u64,
    /// `compression`
    pub codec: Option<Codec>,
    /// `log-level`
    pub log_level: tracing::Level,
    /// `log-format`: true for json.
    pub log_json: bool,
    /// What `smelt serve` goes by.
    pub server: ServerSettings,
    /// Every setting that has a value: its name, the value as written, where it comes from. Passwords are left out.
    pub listing: Vec<(&'static str, String, Origin)>,
    /// Variables that look like settings and are none.
    pub unknown_variables: Vec<String>,
}

/// Where the database is. It may hold a password, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a connection URL or `key=value` list.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The text, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Line of the settings file.
    File(PathBuf, usize),
    /// Variable of the environment.
    Env(&'static str),
    /// Flag.
    Flag(&'static str),
    /// Built in.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("failed to read settings file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file is not `key: value` lines.
    #[error("{}:{line}: the settings file {problem}", path.display())]
    NotFlat {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key that is no setting.
    #[error("{}:{line}: `{key}` is no setting", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value that does not fit. It is not repeated: it may be a password.
    #[error("{origin}: the value of `{}` is not {}", setting.name, setting.kind)]
    Value {
        /// Where it comes from.
        origin: Origin,
        /// The setting.
        setting: &'static Setting,
    },
    /// A variable that is not text.
    #[error("{name} is not UTF-8 text")]
    NotText {
        /// The variable.
        name: &'static str,
    },
}

impl SettingsError {
    /// What would be right.
    pub fn help(&self) -> Option<String> {
        let Self::Unknown { key, .. } = self else { return None };
        let near = all().min_by_key(|setting| strsim::damerau_levenshtein(setting.name, key))?;
        Some(if strsim::damerau_levenshtein(near.name, key) <= 2 {
            format!("Did you mean `{}`?", near.name)
        } else {
            let names: Vec<&str> = all().map(|setting| setting.name).collect();
            format!("Settings: {}.", names.join(", "))
        })
    }
}

impl Settings {
    /// Reads the settings file (`file`, or [`DEFAULT_FILE`] where it exists), the environment of this process, and
    /// `flags`: pairs of setting name and value.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Self, SettingsError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match fs::read_to_string(path) {
            Ok(text) => Some((path, text)),
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(SettingsError::Io { path: path.to_owned(), source }),
        };
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut settings =
            Self::resolve(text.as_ref().map(|(path, text)| (*path, text.as_str())), |name| std::env::var(name), flags)?;
        // `SMELT_CONFIG` names the settings file; it is read with the flags.
        let known = |name: &String| name == "SMELT_CONFIG" || all().any(|setting| setting.env == *name);
        settings.unknown_variables = names.filter(|name| name.starts_with(PREFIX) && !known(name)).collect();
        Ok(settings)
    }

    /// The same from values: the file's path and text, a look into the environment, and flags.
    pub fn resolve(
        file: Option<(&Path, &str)>,
        env: impl Fn(&str) -> Result<String, VarError>,
        flags: &[(&str, String)],
    ) -> Result<Self, SettingsError> {
        let look = Lookup::new(file, env, flags)?;
        Ok(Self {
            database: look.get("database", value::text)?.map(DatabaseUrl),
            mappings: look.path("mappings")?.unwrap_or_default(),
            out: look.path("out")?,
            workers: look.get("workers", |text| text.parse().ok())?,
            overlap: look.time("overlap")?.unwrap_or_default(),
            file_size: look.get("file-size", value::size)?.unwrap_or(u64::MAX),
            codec: look.get("compression", value::codec)?,
            log_level: look.get("log-level", value::level)?.unwrap_or(tracing::Level::WARN),
            log_json: look.get("log-format", value::is_json)?.unwrap_or(false),
            server: ServerSettings::resolve(&look)?,
            listing: look.listing()?,
            unknown_variables: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let flags: Vec<(&str, String)> = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let look = |name: &str| {
            env.iter().find(|(found, _)| *found == name).map(|(_, text)| (*text).to_owned()).ok_or(VarError::NotPresent)
        };
        Settings::resolve(Some((Path::new("etc/smelt.yaml"), file)), look, &flags)
    }

    #[test]
    fn defaults() {
        let settings = resolve("", &[], &[]).unwrap();
        assert_eq!(settings.mappings, Path::new("mappings"));
        assert_eq!((settings.file_size, settings.codec, settings.workers), (256 << 20, None, None));
        assert_eq!((settings.log_level, settings.log_json), (tracing::Level::WARN, false));
        assert_eq!((settings.database, settings.out), (None, None));
    }

    #[test]
    fn flags_win_over_variables_over_the_file() {
        let file = "workers: 1\nmappings: packs/a\ncompression: gzip\n";
        let settings = resolve(file, &[("SMELT_WORKERS", "2"), ("SMELT_MAPPINGS", "b")], &[("workers", "3")]).unwrap();
        assert_eq!(settings.workers.map(NonZeroU32::get), Some(3));
        assert_eq!(settings.mappings, Path::new("b"));
        assert_eq!(settings.codec, Some(Codec::Gzip));
        assert_eq!(resolve(file, &[], &[]).unwrap().mappings, Path::new("etc/packs/a"), "relative to the file");
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        let error = resolve("workers: 1\nworker: 2\n", &[], &[]).unwrap_err();
        assert_eq!(error.to_string(), "etc/smelt.yaml:2: `worker` is no setting");
        assert_eq!(error.help().as_deref(), Some("Did you mean `workers`?"));
    }

    #[test]
    fn wrong_values_say_where_and_never_what() {
        for (name, text) in [
            ("workers", "0"),
            ("workers", "many"),
            ("overlap", "8d"),
            ("file-size", "5"),
            ("file-size", "1PB"),
            ("file-size", "99999999999GiB"),
            ("compression", "brotli"),
            ("log-level", "loud"),
            ("log-format", "xml"),
            ("database", ""),
            ("mappings", " "),
            ("listen", "8080"),
            ("base-url", "ehr.example.org"),
            ("token-lifetime", "1s"),
            ("status-hold", "11s"),
            ("page-interval", "2h"),
            ("trusted-proxies", "proxy"),
            ("require-prefer", "maybe"),
        ] {
            let error = resolve("", &[], &[(name, text)]).unwrap_err().to_string();
            let setting = all().find(|setting| setting.name == name).unwrap();
            assert_eq!(error, format!("{}: the value of `{name}` is not {}", setting.flag, setting.kind));
            let error = resolve("", &[(setting.env, text)], &[]).unwrap_err().to_string();
            assert!(error.starts_with(setting.env), "{error}");
        }
        let error = resolve("mappings: [a, b]\n", &[], &[]).unwrap_err().to_string();
        assert_eq!(error, "etc/smelt.yaml:1: the value of `mappings` is not a path");
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = resolve("", &[("SMELT_DATABASE", "postgresql://me:secret@host/db")], &[]).unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
        assert!(settings.listing.iter().any(|(name, text, _)| (*name, text.as_str()) == ("database", "(not shown)")));
        assert_eq!(settings.database.unwrap().expose(), "postgresql://me:secret@host/db");
    }

    #[test]
    fn every_default_is_a_value() {
        for setting in all() {
            let Some(default) = setting.default else { continue };
            resolve("", &[], &[(setting.name, default)]).unwrap();
        }
    }
}
