//! Connection strings: `key=value` lists and `postgresql://` URLs, by libpq's rules, into settings by key.

use std::collections::BTreeMap;

use super::target::TargetError;

/// A setting: libpq's key and the environment variable that stands in for it.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
}

const fn key(name: &'static str, variable: &'static str) -> Key {
    Key { name, variable: Some(variable) }
}

const fn bare(name: &'static str) -> Key {
    Key { name, variable: None }
}

/// Every key smelt understands. `PGOPTIONS` is left out on purpose: what it sets for psql does not fit an export.
pub(super) const KEYS: &[Key] = &[
    key("host", "PGHOST"),
    key("hostaddr", "PGHOSTADDR"),
    key("port", "PGPORT"),
    key("dbname", "PGDATABASE"),
    key("user", "PGUSER"),
    key("password", "PGPASSWORD"),
    key("passfile", "PGPASSFILE"),
    key("service", "PGSERVICE"),
    key("sslmode", "PGSSLMODE"),
    key("sslrootcert", "PGSSLROOTCERT"),
    key("sslcert", "PGSSLCERT"),
    key("sslkey", "PGSSLKEY"),
    key("sslnegotiation", "PGSSLNEGOTIATION"),
    key("channel_binding", "PGCHANNELBINDING"),
    key("application_name", "PGAPPNAME"),
    key("connect_timeout", "PGCONNECT_TIMEOUT"),
    key("target_session_attrs", "PGTARGETSESSIONATTRS"),
    key("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    bare("options"),
    bare("keepalives"),
    bare("keepalives_idle"),
    bare("keepalives_interval"),
    bare("keepalives_count"),
    bare("tcp_user_timeout"),
    // Accepted in the one form that says what smelt does anyway.
    bare("client_encoding"),
    bare("gssencmode"),
];

/// Settings by libpq's key.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets a key; `place` names where it stands, for the error about an unknown one.
    pub(super) fn set(&mut self, name: &str, value: String, place: &str) -> Result<(), TargetError> {
        let known = KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown(name, place))?;
        self.0.insert(known.name, value);
        Ok(())
    }

    /// Sets a key that is not set yet.
    pub(super) fn fill(&mut self, name: &'static str, value: String) {
        self.0.entry(name).or_insert(value);
    }
}

/// What stands where a key should be may be a piece of a password; only what looks like a key is repeated.
fn unknown(name: &str, place: &str) -> TargetError {
    let plain = !name.is_empty() && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let key = if plain { format!("`{name}`") } else { "an unreadable key".to_owned() };
    TargetError::UnknownKey { key, place: place.to_owned() }
}

const PLACE: &str = "the connection string";

fn syntax(what: &'static str) -> TargetError {
    TargetError::Syntax { what }
}

/// Reads a connection string. A bare word is a database name, as for psql.
pub(super) fn parse(text: &str) -> Result<Settings, TargetError> {
    let url = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
    match url {
        Some(rest) => parse_url(rest),
        None if text.contains("://") => Err(syntax("a URL starts with postgresql:// or postgres://")),
        None if text.contains('=') => parse_pairs(text),
        None => {
            let mut settings = Settings::default();
            settings.set("dbname", text.trim().to_owned(), PLACE)?;
            Ok(settings)
        }
    }
}

/// `host=db user='a b' password=it\'s`.
fn parse_pairs(text: &str) -> Result<Settings, TargetError> {
    let mut settings = Settings::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(syntax("a key is not followed by `=`"))?;
        let mut chars = after.trim_start().chars();
        let mut value = String::new();
        if chars.as_str().starts_with('\'') {
            chars.next();
            loop {
                match chars.next().ok_or(syntax("a quoted value is not closed"))? {
                    '\'' => break,
                    '\\' => value.extend(chars.next()),
                    other => value.push(other),
                }
            }
        } else {
            while let Some(next) = chars.clone().next().filter(|c| !c.is_whitespace()) {
                chars.next();
                if next == '\\' {
                    value.extend(chars.next());
                } else {
                    value.push(next);
                }
            }
        }
        settings.set(name.trim_end(), value, PLACE)?;
        rest = chars.as_str().trim_start();
    }
    Ok(settings)
}

/// `user:password@host:port,host2/dbname?key=value`, after the scheme.
fn parse_url(text: &str) -> Result<Settings, TargetError> {
    let mut settings = Settings::default();
    // Credentials end at the first `@` before any `/`, as in libpq.
    let rest = match text.split_once('@') {
        Some((credentials, rest)) if !credentials.contains('/') => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            for (name, value) in [("user", user), ("password", password)] {
                if !value.is_empty() {
                    settings.set(name, decode(value)?, PLACE)?;
                }
            }
            rest
        }
        _ => text,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    if hosts.contains('@') {
        return Err(syntax("an `@` in the user or password of a URL is written %40, a `/` is written %2F"));
    }
    if !hosts.is_empty() {
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = split_port(host)?;
            names.push(decode(name)?);
            ports.push(port);
        }
        settings.set("host", names.join(","), PLACE)?;
        if ports.iter().any(|port| !port.is_empty()) {
            settings.set("port", ports.join(","), PLACE)?;
        }
    }
    if !dbname.is_empty() {
        settings.set("dbname", decode(dbname)?, PLACE)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(syntax("a URL parameter has no `=`"))?;
        match (name, value) {
            // JDBC's way to say it, which libpq accepts too.
            ("ssl", "true") => settings.set("sslmode", "require".to_owned(), PLACE)?,
            _ => settings.set(&decode(name)?, decode(value)?, PLACE)?,
        }
    }
    Ok(settings)
}

/// `host`, `host:port`, `[::1]:port`.
fn split_port(host: &str) -> Result<(&str, &str), TargetError> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(syntax("an IPv6 address is not closed by `]`"))?;
        return Ok((address, port.strip_prefix(':').unwrap_or(port)));
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

fn decode(text: &str) -> Result<String, TargetError> {
    let wrong = || syntax("a `%` in a URL is followed by two hexadecimal digits and makes UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16)).ok_or_else(wrong);
        let decoded = digit(rest.next())? * 16 + digit(rest.next())?;
        if decoded == 0 {
            return Err(wrong());
        }
        bytes.push(decoded as u8);
    }
    String::from_utf8(bytes).map_err(|_not_utf8| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let settings = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found: Vec<_> = settings.0.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn error(text: &str) -> String {
        parse(text).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn pairs() {
        check("ehr", &[("dbname", "ehr")]);
        check("host=db port=5433", &[("host", "db"), ("port", "5433")]);
        check(
            " host = 'my db'  user=a\\ b password='it\\'s' ",
            &[("host", "my db"), ("password", "it's"), ("user", "a b")],
        );
        check("password='' user=x", &[("password", ""), ("user", "x")]);
    }

    #[test]
    fn urls() {
        check("postgresql://", &[]);
        check(
            "postgres://u:p%40s@h:1,[::1]:2/d%20b?sslmode=require&application_name=x",
            &[
                ("application_name", "x"),
                ("dbname", "d b"),
                ("host", "h,::1"),
                ("password", "p@s"),
                ("port", "1,2"),
                ("sslmode", "require"),
                ("user", "u"),
            ],
        );
        check("postgresql://%2Frun%2Fpg/ehr", &[("dbname", "ehr"), ("host", "/run/pg")]);
        check(
            "postgresql:///ehr?host=/run/pg&ssl=true",
            &[("dbname", "ehr"), ("host", "/run/pg"), ("sslmode", "require")],
        );
        check("postgresql://u:a?b@h", &[("host", "h"), ("password", "a?b"), ("user", "u")]);
    }

    #[test]
    fn errors_name_the_key_and_never_a_secret() {
        assert_eq!(error("host=db sslcompression=1"), "unknown setting `sslcompression` in the connection string");
        for text in [
            "postgres://u:Geheim@1@host/db",
            "postgres://u:Geheim%zz@host/db",
            "postgres://u:Geheim@host/db?Geheim=1",
            "postgres://u:x@host/db?Geheim",
            "password=x Geheim=1",
            "password='Geheim",
            "user=x password=x Geheim",
            "mysql://u:Geheim@host/db",
        ] {
            let message = error(text);
            assert!(!message.is_empty() && !message.contains("Geheim"), "{text}: {message}");
        }
    }
}
