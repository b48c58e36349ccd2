//! What can go wrong between smelt and the database, in words that never repeat a value from it.
//!
//! PostgreSQL quotes cell values in its messages (`invalid input syntax for type integer: "…"`), so of an error raised
//! while a statement *runs* only the SQLSTATE, its meaning and messages known to hold identifiers alone are kept.
//! Errors of PREPARE speak about the statement's text and are kept whole. No variant carries the driver's error as
//! its source: printing the chain would print the message.

use std::{error::Error as _, fmt, io, time::Duration};

use tokio_postgres::error::{DbError, ErrorPosition};

use super::target::TargetError;

/// A failure of the clinical database or of the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The connection settings are wrong.
    #[error(transparent)]
    Target(#[from] TargetError),

    /// No connection could be made.
    #[error("failed to connect to {target}: {reason}")]
    Connect {
        /// Where to; without the password.
        target: String,
        /// What the server, the network or the TLS handshake said.
        reason: String,
        /// SQLSTATE when the server refused.
        sqlstate: Option<String>,
        /// True when trying again may help.
        transient: bool,
    },

    /// The server is older than what smelt supports.
    #[error("the server at {target} runs PostgreSQL {found}; version 14 or later is needed")]
    Version {
        /// Where.
        target: String,
        /// Its version.
        found: String,
    },

    /// Statements of one connection run on changing server sessions.
    #[error(
        "{target} is a pooler that changes the server session between transactions; connect to PostgreSQL directly, \
         or use a pool with pool_mode = session"
    )]
    Pooler {
        /// Where.
        target: String,
    },

    /// All connections that may be open are in use.
    #[error("no connection became free within {waited:?}; all {max} that max_connections allows are in use")]
    Exhausted {
        /// How long was waited.
        waited: Duration,
        /// The limit.
        max: usize,
    },

    /// Fewer connections are allowed than an export needs.
    #[error("max_connections is {0}; an export needs at least 2: one holds the snapshot, the others read")]
    TooFewConnections(usize),

    /// A statement failed while it ran. The session it ran in is over.
    #[error("the statement failed: {0}")]
    Statement(Failure),

    /// The server did not accept a statement's text.
    #[error(transparent)]
    Rejected(Box<Rejection>),

    /// The connection broke.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),

    /// The connection that holds the snapshot is gone, so nobody else can join the snapshot.
    #[error("the export's snapshot is gone: the connection that held it was closed")]
    SnapshotGone,

    /// The session has a statement running; one session runs one at a time.
    #[error("the session has a statement running")]
    Busy,

    /// The session ended by an earlier failure, or because rows were not read to their end.
    #[error("the session has ended; an earlier statement failed or was stopped")]
    Ended,

    /// A column that [`super::Session::query_text`] cannot show as text.
    #[error("column {column} has type {kind}, which cannot be read as text; cast it in SQL")]
    NotText {
        /// The column.
        column: String,
        /// PostgreSQL's name of its type.
        kind: String,
    },

    /// The driver and the server do not understand each other.
    #[error("unexpected answer from the database: {0}")]
    Unexpected(String),
}

impl SourceError {
    /// True when the same work may succeed if it is tried again with a new session (and a new snapshot).
    pub fn transient(&self) -> bool {
        match self {
            Self::Connect { transient, .. } => *transient,
            Self::Statement(failure) => transient_state(&failure.sqlstate),
            Self::Exhausted { .. } | Self::Lost(_) | Self::SnapshotGone => true,
            _ => false,
        }
    }

    /// The SQLSTATE, where the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Connect { sqlstate, .. } => sqlstate.as_deref(),
            Self::Statement(failure) => Some(&failure.sqlstate),
            Self::Rejected(rejection) => Some(&rejection.sqlstate),
            _ => None,
        }
    }

    /// An error raised while a statement ran.
    pub(super) fn running(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::Statement(Failure::new(db)),
            None => Self::driver(error),
        }
    }

    /// An error raised while a statement's text was checked.
    pub(super) fn preparing(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // Not about the text: shut-down, resources, connection, locks, timeouts.
            Some(db) if ["08", "40", "53", "55", "57", "58", "XX"].iter().any(|c| db.code().code().starts_with(c)) => {
                Self::Statement(Failure::new(db))
            }
            Some(db) => Self::Rejected(Box::new(Rejection::new(db))),
            None => Self::driver(error),
        }
    }

    /// An error raised while a connection was made. What the server says then is about role, database and
    /// authentication.
    pub(super) fn connecting(target: &str, error: &tokio_postgres::Error) -> Self {
        let target = target.to_owned();
        match error.as_db_error() {
            Some(db) => {
                let sqlstate = db.code().code().to_owned();
                let transient = transient_state(&sqlstate);
                Self::Connect { target, reason: db.message().to_owned(), sqlstate: Some(sqlstate), transient }
            }
            // A broken or refused socket may heal; certificates and settings do not.
            None => Self::Connect { target, reason: chain(error), sqlstate: None, transient: broken_socket(error) },
        }
    }

    /// An error that did not come from the server.
    fn driver(error: &tokio_postgres::Error) -> Self {
        if error.is_closed() || broken_socket(error) {
            Self::Lost(chain(error))
        } else {
            Self::Unexpected(error.to_string())
        }
    }
}

/// True when the network failed, as opposed to TLS, the protocol or the settings.
fn broken_socket(error: &tokio_postgres::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    io.is_some_and(|io| {
        !matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            && io.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
    })
}

/// The error and what caused it, in one line. Only for errors that hold no message of a running statement.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

/// What may be told about a statement that failed while it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Five characters, `57014`.
    pub sqlstate: String,
    /// What the SQLSTATE means, in our words.
    pub condition: &'static str,
    /// PostgreSQL's message, where it is known to name nothing but database objects.
    pub message: Option<String>,
}

impl Failure {
    fn new(error: &DbError) -> Self {
        // `aclcheck_error` names an object, `ProcessInterrupts` says why the server stopped. A function written in
        // SQL or PL/pgSQL cannot pose as either: the routine is the server's own C function.
        let tells = matches!(error.routine(), Some("aclcheck_error" | "ProcessInterrupts"));
        Self {
            sqlstate: error.code().code().to_owned(),
            condition: condition(error.code().code()),
            message: tells.then(|| error.message().to_owned()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{message} (SQLSTATE {})", self.sqlstate),
            None => write!(f, "{} (SQLSTATE {})", self.condition, self.sqlstate),
        }
    }
}

/// What the server says about a statement's text that it does not accept. Safe to show: it was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {sqlstate})")]
pub struct Rejection {
    /// Five characters, `42703`.
    pub sqlstate: String,
    /// PostgreSQL's message.
    pub message: String,
    /// PostgreSQL's detail.
    pub detail: Option<String>,
    /// PostgreSQL's hint.
    pub hint: Option<String>,
    /// Where, as the number of characters before it in the statement.
    pub position: Option<usize>,
}

impl Rejection {
    fn new(error: &DbError) -> Self {
        let position = match error.position() {
            Some(ErrorPosition::Original(one_based)) => (*one_based as usize).checked_sub(1),
            _ => None,
        };
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position,
        }
    }
}

fn transient_state(state: &str) -> bool {
    // Connection, serialization and recovery conflicts, resources, locks, shut-down and start-up.
    // `57014` is a timeout or a cancel: whoever set it meant it.
    matches!(state.get(..2), Some("08" | "40" | "53" | "55" | "57" | "58")) && state != "57014"
}

/// A SQLSTATE in words: the conditions an extract meets, else its class.
fn condition(state: &str) -> &'static str {
    match state {
        "21000" => "a subquery used as a value returned several rows",
        "22001" => "a text is too long for its type",
        "22003" => "a number is out of range",
        "22007" => "a text is not a date or time",
        "22008" => "a date or time is out of range",
        "22012" => "division by zero",
        "22021" => "a text is not valid in the database's encoding",
        "22P02" => "a text cannot be read as the type it is cast to",
        "22P05" => "a character has no equivalent in UTF-8",
        "25006" => "the statement writes, and smelt only reads",
        "25P02" => "the transaction was aborted by an earlier error",
        "25P03" => "the server's idle_in_transaction_session_timeout ended the session",
        "25P04" => "the server's transaction_timeout ended the session",
        "40001" => "the server gave up the snapshot (on a replica: a conflict with recovery)",
        "40P01" => "deadlock",
        "42501" => "permission denied",
        "42P01" => "a table is missing",
        "53100" => "the server's disk is full",
        "53200" => "the server is out of memory",
        "53300" => "the server has no free connection",
        "53400" => "a configured limit of the server was exceeded",
        "55P03" => "a lock was not available within lock_timeout",
        "57014" => "the statement was cancelled or ran into statement_timeout",
        "57P01" => "an administrator ended the session",
        "57P02" => "the server crashed",
        "57P03" => "the server does not accept connections now",
        "57P05" => "the server's idle_session_timeout ended the session",
        "58030" => "the server failed to read or write a file",
        "72000" => "the snapshot is too old",
        "P0001" => "a function raised an error",
        "XX001" | "XX002" => "the server found corrupted data",
        _ => match state.get(..2) {
            Some("08") => "connection failure",
            Some("0A") => "a feature is not supported",
            Some("21") => "wrong number of rows or columns",
            Some("22") => "a value does not fit an operation",
            Some("23") => "a constraint was violated",
            Some("25") => "wrong transaction state",
            Some("28") => "authentication failed",
            Some("38" | "39") => "an external routine failed",
            Some("40") => "the transaction was rolled back",
            Some("42") => "the statement's text does not fit the database",
            Some("53") => "the server is out of resources",
            Some("54") => "a limit of the server was exceeded",
            Some("55") => "an object is not in the needed state",
            Some("57") => "the server or an administrator intervened",
            Some("58") => "the server met a system error",
            Some("P0") => "a PL/pgSQL function failed",
            Some("XX") => "internal error of the server",
            _ => "the server reported an error",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_retries() {
        assert_eq!(condition("22P02"), "a text cannot be read as the type it is cast to");
        assert_eq!(condition("22999"), "a value does not fit an operation");
        assert_eq!(condition(""), "the server reported an error");
        assert!(transient_state("40001") && transient_state("57P03") && transient_state("53300"));
        assert!(!transient_state("57014") && !transient_state("22P02") && !transient_state("4"));
    }
}
