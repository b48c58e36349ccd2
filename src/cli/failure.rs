//! An error on its way to the person at the terminal: message, causes, advice, exit code.

use std::error::Error;
use std::fmt;

use super::exit::Exit;
use crate::bulk::ParameterError;
use crate::config::{PackError, SettingsError};
use crate::sink::SinkError;

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error and what caused it, outermost first.
    pub chain: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Failure {
    /// An error with all its causes.
    pub fn new(exit: Exit, error: &dyn Error, help: Option<String>) -> Self {
        let mut chain = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        Self { exit, chain, help }
    }

    /// An error of the command line itself.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, chain: vec![message.into()], help: Some(help.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, message) in self.chain.iter().enumerate() {
            writeln!(f, "{}{message}", if n == 0 { "error: " } else { "  caused by: " })?;
        }
        self.help.iter().try_for_each(|help| writeln!(f, "  help: {help}"))
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, &error, error.help())
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        Self::new(Exit::Usage, &error, error.help())
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Self::new(Exit::Usage, &error, Some(error.help()))
    }
}

impl From<SinkError> for Failure {
    fn from(error: SinkError) -> Self {
        let exit = match &error {
            SinkError::NotEmpty { .. } | SinkError::NotDirectory { .. } | SinkError::InUse { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, &error, error.help().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_chain_is_told_once_with_advice_at_the_end() {
        let source = io::Error::new(io::ErrorKind::StorageFull, "No space left on device");
        let failure = Failure::from(SinkError::Full { path: PathBuf::from("out/Patient.001.ndjson"), source });
        assert_eq!(
            failure.to_string(),
            "error: no space left to write out/Patient.001.ndjson\n  \
             caused by: No space left on device\n  \
             help: Free space there, or choose another `--out`; nothing incomplete stays under its name.\n"
        );
        assert_eq!(failure.exit, Exit::Failed);
    }
}
