//! libpq's two files: `~/.pgpass` (passwords) and `pg_service.conf` (named settings).

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{dsn::Settings, target::TargetError};

/// What a password is looked up by.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The text of a password file, `None` when there is none.
///
/// A file that others may read is not used, as in libpq; the reason is given so that a failed login can tell it.
pub(super) fn read_passfile(path: &Path) -> Result<Option<String>, String> {
    let Ok(meta) = fs::metadata(path) else { return Ok(None) };
    if !meta.is_file() {
        return Err(format!("password file {} is not a plain file", path.display()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(format!(
                "password file {} was not used: group or others may read it; chmod 0600 it",
                path.display()
            ));
        }
    }
    fs::read_to_string(path)
        .map(Some)
        .map_err(|error| format!("password file {} could not be read: {}", path.display(), error.kind()))
}

/// The password of the first matching line (`host:port:database:user:password`, `*` matches all, `\` escapes).
pub(super) fn find_password(file: &str, wanted: &Wanted<'_>) -> Option<String> {
    let host = match wanted.host {
        "" | "/tmp" | "/var/run/postgresql" | "/run/postgresql" => "localhost",
        host => host,
    };
    let first = file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for value in [host, wanted.port, wanted.dbname, wanted.user] {
            let (field, after) = split_field(rest)?;
            if field != "*" && unescape(field) != value {
                return None;
            }
            rest = after;
        }
        Some(unescape(rest))
    });
    first.filter(|password| !password.is_empty())
}

/// Cuts at the first colon that is not escaped.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = line.find(|c: char| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    line.split_at_checked(at).map(|(field, rest)| (field, rest.strip_prefix(':').unwrap_or(rest)))
}

fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    text
}

/// Adds the settings of service `name` from the first of `files` that has it; what is set already stays.
pub(super) fn apply_service(settings: &mut Settings, name: &str, files: &[PathBuf]) -> Result<(), TargetError> {
    for path in files {
        let Ok(text) = fs::read_to_string(path) else { continue };
        if let Some(section) = section(&text, name) {
            let place = format!("service file {}", path.display());
            let mut found = Settings::default();
            for line in section {
                let (key, value) = line
                    .split_once('=')
                    .ok_or(TargetError::Syntax { what: "a line of the service file is not `key=value`" })?;
                if key == "service" {
                    return Err(TargetError::Syntax { what: "a service cannot name another service" });
                }
                found.set(key, value.to_owned(), &place)?;
            }
            for key in super::dsn::KEYS {
                if let Some(value) = found.get(key.name) {
                    settings.fill(key.name, value.to_owned());
                }
            }
            return Ok(());
        }
    }
    Err(TargetError::NoService { name: name.to_owned() })
}

/// The lines of `[name]`, without blank ones and comments.
fn section<'a>(text: &'a str, name: &str) -> Option<impl Iterator<Item = &'a str>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find(|line| line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) == Some(name))?;
    Some(lines.take_while(|line| !line.starts_with('[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# db:5432:ehr:etl:commented
db:5432:ehr:etl:plain
db:*:ehr:other:with\\:colon and \\\\
localhost:5432:*:sock:local
::1:5432:*:etl:never, a colon in a host is escaped
\\:\\:1:5432:*:etl:v6
broken line
*:*:*:empty:
*:*:*:*:rest
";

    fn check(host: &str, port: &str, dbname: &str, user: &str, expected: Option<&str>) {
        let found = find_password(FILE, &Wanted { host, port, dbname, user });
        assert_eq!(found.as_deref(), expected, "{host}:{port}:{dbname}:{user}");
    }

    #[test]
    fn lines_match_as_in_libpq() {
        check("db", "5432", "ehr", "etl", Some("plain"));
        check("db", "1", "ehr", "other", Some("with:colon and \\"));
        check("/var/run/postgresql", "5432", "x", "sock", Some("local"));
        check("", "5432", "x", "sock", Some("local"));
        check("/elsewhere", "5432", "x", "sock", Some("rest"));
        check("::1", "5432", "x", "etl", Some("v6"));
        check("db", "5432", "ehr", "nobody", Some("rest"));
        check("db", "5432", "ehr", "empty", None);
        assert_eq!(find_password("db:1:e:u:p", &Wanted { host: "db", port: "1", dbname: "e", user: "v" }), None);
    }

    #[test]
    fn a_service_fills_what_is_not_set() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("services");
        let text = "# all\n[other]\nhost=x\n\n[ehr]\nhost=db \n# c\nport=5433\nuser=svc\n[last]\nhost=y\n";
        fs::write(&path, text).expect("a file");
        let files = [dir.path().join("missing"), path];

        let mut settings = Settings::default();
        settings.set("user", "mine".to_owned(), "").expect("a known key");
        apply_service(&mut settings, "ehr", &files).expect("the service");
        assert_eq!(
            (settings.get("host"), settings.get("port"), settings.get("user")),
            (Some("db"), Some("5433"), Some("mine"))
        );

        let missing = apply_service(&mut settings, "nope", &files).expect_err("no such service");
        assert_eq!(missing.to_string(), "service `nope` is not in the service file");
    }
}
