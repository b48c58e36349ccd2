//! Where the clinical database is and how to get in: connection string, service file, environment and password file,
//! in libpq's order.
//!
//! tokio-postgres' own parser knows neither the files nor the certificate settings, so everything is read here and
//! handed to it value by value.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres::config::{
    ChannelBinding, Config, LoadBalanceHosts, SslMode as Negotiation, SslNegotiation, TargetSessionAttrs,
};

use super::{
    dsn::{self, Settings},
    passfile::{self, Wanted},
};

/// Wrong connection settings. No message repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A key that smelt does not know.
    #[error("unknown setting {key} in {place}")]
    UnknownKey {
        /// The key, quoted.
        key: String,
        /// Where it stands.
        place: String,
    },
    /// A value that does not fit its key.
    #[error("setting `{key}` wants {wants}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What fits.
        wants: &'static str,
    },
    /// A text that cannot be read.
    #[error("the database connection settings cannot be read: {what}")]
    Syntax {
        /// The rule that it breaks.
        what: &'static str,
    },
    /// The named service is nowhere.
    #[error("service `{name}` is not in the service file")]
    NoService {
        /// Its name.
        name: String,
    },
    /// A certificate or key file that cannot be used.
    #[error("{key} {path}: {reason}")]
    Certificate {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No user is known.
    #[error("no database user is given; set user=…, PGUSER or a service")]
    NoUser,
}

/// How the connection is protected, by libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// TLS if the server has it; its certificate is checked only against a given `sslrootcert`.
    Prefer,
    /// TLS; the certificate is checked only against a given `sslrootcert`.
    Require,
    /// TLS with a certificate signed by a trusted authority.
    VerifyCa,
    /// TLS with a certificate signed by a trusted authority for this host's name.
    VerifyFull,
}

/// TLS settings; files are read when the connection is prepared.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    pub(super) mode: TlsMode,
    /// `None`: the system's authorities.
    pub(super) roots: Option<PathBuf>,
    /// Client certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// Where the clinical database is, and how to get in.
#[derive(Clone)]
pub struct Target {
    pub(super) config: Config,
    pub(super) tls: TlsSettings,
    pub(super) connect_timeout: Duration,
    /// Why the password file was not used.
    pub(super) password_note: Option<String>,
    label: String,
}

impl Target {
    /// Settings from a connection string (`key=value …` or `postgresql://…`), completed as libpq does: by the service
    /// it or `PGSERVICE` names, by the environment (read through `env`), by the password file.
    ///
    /// # Errors
    ///
    /// [`TargetError`], which names keys and files and never a value that could be secret.
    ///
    /// ```
    /// # use smelt::source::Target;
    /// let target = Target::resolve(Some("postgresql://etl:secret@db.example.org/ehr"), &|_| None)?;
    /// assert_eq!(target.to_string(), "etl@db.example.org:5432/ehr");
    /// # Ok::<(), smelt::source::TargetError>(())
    /// ```
    pub fn resolve(database: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TargetError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let home = env("HOME").map(PathBuf::from);
        let mut settings = dsn::parse(database.unwrap_or("postgresql://"))?;

        let service = settings.get("service").map(str::to_owned).or_else(|| env("PGSERVICE"));
        if let Some(name) = service {
            let user_file =
                env("PGSERVICEFILE").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".pg_service.conf")));
            let system = env("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".to_owned());
            let files: Vec<PathBuf> =
                user_file.into_iter().chain([PathBuf::from(system).join("pg_service.conf")]).collect();
            passfile::apply_service(&mut settings, &name, &files)?;
        }
        for key in dsn::KEYS {
            if let Some(value) = key.variable.and_then(env) {
                settings.fill(key.name, value);
            }
        }
        if let Some(user) = env("USER").or_else(|| env("LOGNAME")) {
            settings.fill("user", user);
        }
        Self::build(&settings, home.as_deref())
    }

    fn build(settings: &Settings, home: Option<&Path>) -> Result<Self, TargetError> {
        check_fixed(settings)?;
        let user = settings.get("user").ok_or(TargetError::NoUser)?;
        let dbname = settings.get("dbname").unwrap_or(user);
        let ports = ports(settings)?;
        let hosts = hosts(settings, ports.first().copied().unwrap_or(5432));
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(TargetError::Invalid { key: "port", wants: "one port, or as many as there are hosts" });
        }

        let mut config = Config::new();
        config.user(user).dbname(dbname);
        for host in &hosts {
            config.host(host);
        }
        for address in settings.get("hostaddr").into_iter().flat_map(|list| list.split(',')) {
            let address = address.parse();
            config.hostaddr(
                address.map_err(|_unreadable| TargetError::Invalid { key: "hostaddr", wants: "IP addresses" })?,
            );
        }
        for port in &ports {
            config.port(*port);
        }
        if let Some(name) = settings.get("application_name") {
            config.application_name(name);
        }
        if let Some(options) = settings.get("options") {
            config.options(options);
        }
        config.channel_binding(choice(
            settings,
            "channel_binding",
            "disable, prefer or require",
            &[
                ("prefer", ChannelBinding::Prefer),
                ("disable", ChannelBinding::Disable),
                ("require", ChannelBinding::Require),
            ],
        )?);
        config.target_session_attrs(choice(
            settings,
            "target_session_attrs",
            "any, read-write or read-only",
            &[
                ("any", TargetSessionAttrs::Any),
                ("read-write", TargetSessionAttrs::ReadWrite),
                ("read-only", TargetSessionAttrs::ReadOnly),
            ],
        )?);
        config.load_balance_hosts(choice(
            settings,
            "load_balance_hosts",
            "disable or random",
            &[("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)],
        )?);
        config.ssl_negotiation(choice(
            settings,
            "sslnegotiation",
            "postgres or direct",
            &[("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)],
        )?);

        let connect_timeout = seconds(settings, "connect_timeout")?.unwrap_or(Duration::from_secs(10));
        config.connect_timeout(connect_timeout);
        // Firewalls between hospital networks forget quiet connections after minutes; the snapshot's is quiet for
        // hours.
        config.keepalives(settings.get("keepalives") != Some("0"));
        config.keepalives_idle(seconds(settings, "keepalives_idle")?.unwrap_or(Duration::from_mins(1)));
        config.keepalives_interval(seconds(settings, "keepalives_interval")?.unwrap_or(Duration::from_secs(15)));
        config.keepalives_retries(number(settings, "keepalives_count")?.unwrap_or(4));
        if let Some(millis) = number(settings, "tcp_user_timeout")? {
            config.tcp_user_timeout(Duration::from_millis(u64::from(millis)));
        }

        let sockets_only = hosts.iter().all(|host| host.starts_with('/'));
        let tls = tls_settings(settings, home, sockets_only)?;
        config.ssl_mode(match tls.mode {
            TlsMode::Disable => Negotiation::Disable,
            TlsMode::Prefer => Negotiation::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => Negotiation::Require,
        });

        let mut password_note = None;
        if let Some(password) = settings.get("password") {
            config.password(password);
        } else if let Some(path) = settings.get("passfile").map(PathBuf::from).or_else(|| Some(home?.join(".pgpass"))) {
            match passfile::read_passfile(&path) {
                Ok(text) => {
                    let found = hosts.iter().enumerate().find_map(|(n, host)| {
                        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432).to_string();
                        passfile::find_password(text.as_deref()?, &Wanted { host, port: &port, dbname, user })
                    });
                    if let Some(password) = found {
                        config.password(password);
                    }
                }
                Err(note) => password_note = Some(note),
            }
        }

        let port = ports.first().copied().unwrap_or(5432);
        let label = format!("{user}@{}:{port}/{dbname}", hosts.join(","));
        Ok(Self { config, tls, connect_timeout, password_note, label })
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, dbname: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(dbname);
        let server = self.label.rsplit_once('/').map_or(self.label.as_str(), |(server, _)| server);
        other.label = format!("{server}/{dbname}");
        other
    }

    /// How the connection is protected.
    pub fn tls_mode(&self) -> TlsMode {
        self.tls.mode
    }
}

/// `user@host:port/database`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("label", &self.label).field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn ports(settings: &Settings) -> Result<Vec<u16>, TargetError> {
    let Some(list) = settings.get("port") else { return Ok(vec![5432]) };
    let port = |text: &str| if text.is_empty() { Some(5432) } else { text.parse().ok().filter(|port| *port != 0) };
    let all: Option<Vec<u16>> = list.split(',').map(|text| port(text.trim())).collect();
    all.ok_or(TargetError::Invalid { key: "port", wants: "numbers from 1 to 65535" })
}

/// The hosts to try. Without any: the usual socket directory that has the server's socket, else localhost.
fn hosts(settings: &Settings, port: u16) -> Vec<String> {
    let usual = || {
        let socket = format!(".s.PGSQL.{port}");
        let dirs = ["/var/run/postgresql", "/tmp"];
        dirs.into_iter().find(|dir| Path::new(dir).join(&socket).exists()).unwrap_or("localhost").to_owned()
    };
    match (settings.get("host"), settings.get("hostaddr")) {
        (Some(list), _) => {
            list.split(',').map(|host| if host.trim().is_empty() { usual() } else { host.trim().to_owned() }).collect()
        }
        // The address doubles as the name a certificate is checked for.
        (None, Some(list)) => list.split(',').map(|address| address.trim().to_owned()).collect(),
        (None, None) => vec![usual()],
    }
}

fn tls_settings(settings: &Settings, home: Option<&Path>, sockets_only: bool) -> Result<TlsSettings, TargetError> {
    let own = |file: &str| Some(home?.join(".postgresql").join(file)).filter(|path| path.exists());
    let roots = settings.get("sslrootcert").filter(|value| *value != "system").map(PathBuf::from).or_else(|| {
        let system = settings.get("sslrootcert").is_some();
        own("root.crt").filter(|_| !system)
    });
    let mode = choice(
        settings,
        "sslmode",
        "disable, prefer, require, verify-ca or verify-full",
        &[
            ("prefer", TlsMode::Prefer),
            ("disable", TlsMode::Disable),
            ("require", TlsMode::Require),
            ("verify-ca", TlsMode::VerifyCa),
            ("verify-full", TlsMode::VerifyFull),
        ],
    )?;
    let identity = match (settings.get("sslcert"), settings.get("sslkey")) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (None, None) => own("postgresql.crt").zip(own("postgresql.key")),
        _ => return Err(TargetError::Invalid { key: "sslkey", wants: "to be given together with sslcert" }),
    };
    // PostgreSQL has no TLS on Unix sockets; libpq ignores sslmode there too.
    Ok(TlsSettings { mode: if sockets_only { TlsMode::Disable } else { mode }, roots, identity })
}

/// Keys whose only accepted value is what smelt does anyway.
fn check_fixed(settings: &Settings) -> Result<(), TargetError> {
    let encoding = settings.get("client_encoding").unwrap_or("utf8");
    if !["utf8", "utf-8", "auto"].iter().any(|known| known.eq_ignore_ascii_case(encoding)) {
        return Err(TargetError::Invalid { key: "client_encoding", wants: "UTF8, which smelt always uses" });
    }
    if settings.get("gssencmode") == Some("require") {
        return Err(TargetError::Invalid { key: "gssencmode", wants: "disable; smelt encrypts with TLS alone" });
    }
    Ok(())
}

/// One of several words; the first is the default.
fn choice<T: Copy>(
    settings: &Settings,
    key: &'static str,
    wants: &'static str,
    words: &[(&str, T)],
) -> Result<T, TargetError> {
    let word = settings.get(key);
    let found = match word {
        None => words.first(),
        Some(word) => words.iter().find(|(known, _)| *known == word),
    };
    found.map(|(_, value)| *value).ok_or(TargetError::Invalid { key, wants })
}

fn number(settings: &Settings, key: &'static str) -> Result<Option<u32>, TargetError> {
    let parsed = settings.get(key).map(|value| value.trim().parse()).transpose();
    parsed.map_err(|_unreadable| TargetError::Invalid { key, wants: "a whole number" })
}

/// A number of seconds; zero, libpq's "no limit" or "the system's default", counts as not given.
fn seconds(settings: &Settings, key: &'static str) -> Result<Option<Duration>, TargetError> {
    Ok(number(settings, key)?.filter(|n| *n > 0).map(|n| Duration::from_secs(u64::from(n))))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn resolve(database: &str, env: &[(&str, &str)]) -> Result<Target, TargetError> {
        Target::resolve(Some(database), &|name| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_fills_in() {
        let env = [("PGHOST", "db"), ("PGPORT", "5433"), ("PGUSER", "etl"), ("PGDATABASE", "ehr"), ("PGPASSWORD", "p")];
        let target = resolve("user=mine", &env).expect("a target");
        assert_eq!(target.to_string(), "mine@db:5433/ehr");
        assert_eq!(target.config.get_password(), Some("p".as_bytes()));
        assert_eq!(resolve("", &[("USER", "me"), ("PGHOST", "x")]).expect("a target").to_string(), "me@x:5432/me");
        assert_eq!(resolve("host=x", &[]).expect_err("no user"), TargetError::NoUser);
    }

    #[test]
    fn files_fill_in() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = dir.path().to_str().expect("UTF-8");
        fs::write(dir.path().join(".pg_service.conf"), "[ehr]\nhost=db\nuser=etl\ndbname=ehr\n").expect("a file");
        let pgpass = dir.path().join(".pgpass");
        fs::write(&pgpass, "db:5432:ehr:etl:secret\n").expect("a file");
        let env = [("HOME", home), ("PGPORT", "5432")];

        fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o600)).expect("permissions");
        let target = resolve("service=ehr", &env).expect("a target");
        assert_eq!(target.to_string(), "etl@db:5432/ehr");
        assert_eq!(target.config.get_password(), Some("secret".as_bytes()));
        assert!(!format!("{target:?}").contains("secret"));

        fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o644)).expect("permissions");
        let target = resolve("service=ehr", &env).expect("a target");
        assert_eq!(target.config.get_password(), None);
        assert!(target.password_note.is_some_and(|note| note.contains("chmod 0600")));
    }

    #[test]
    fn wrong_values_are_told_by_key() {
        for (database, message) in [
            ("user=u port=x", "setting `port` wants numbers from 1 to 65535"),
            ("user=u host=a,b port=1,2,3", "setting `port` wants one port, or as many as there are hosts"),
            ("user=u sslmode=allow", "setting `sslmode` wants disable, prefer, require, verify-ca or verify-full"),
            ("user=u sslcert=x", "setting `sslkey` wants to be given together with sslcert"),
            ("user=u client_encoding=latin1", "setting `client_encoding` wants UTF8, which smelt always uses"),
            ("user=u gssencmode=require", "setting `gssencmode` wants disable; smelt encrypts with TLS alone"),
            ("user=u connect_timeout=soon", "setting `connect_timeout` wants a whole number"),
            ("service=nope", "service `nope` is not in the service file"),
        ] {
            assert_eq!(resolve(database, &[]).expect_err(database).to_string(), message);
        }
    }

    #[test]
    fn sockets_have_no_tls() {
        assert_eq!(resolve("user=u host=/tmp sslmode=require", &[]).expect("a target").tls_mode(), TlsMode::Disable);
        assert_eq!(resolve("user=u host=h sslmode=require", &[]).expect("a target").tls_mode(), TlsMode::Require);
    }
}
