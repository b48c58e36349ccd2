//! What the exit code of `smelt` says.

use std::fmt::Write as _;
use std::process::ExitCode;

/// Exit codes. They are an interface: scripts and schedulers decide by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; warnings may have been printed.
    Ok = 0,
    /// The mapping pack has errors, or a test of it fails.
    Diagnostics = 1,
    /// A flag, a setting or the request is wrong, or the pack cannot be read.
    Usage = 2,
    /// The database cannot be reached, or refuses the connection.
    SourceUnreachable = 4,
    /// The export is complete, but some rows could not become a resource; its OperationOutcome files say which.
    RowFailures = 5,
    /// The command failed on the way; there is no manifest.
    Failed = 6,
    /// Stopped by a signal.
    Interrupted = 130,
}

impl Exit {
    /// Every code with what it means and what to do.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Ok, "Done. Warnings may have been printed.", "Nothing."),
        (Self::Diagnostics, "The mapping pack has errors, or a test of it fails.", "Mend the places that are named."),
        (
            Self::Usage,
            "A flag, a setting or the request is wrong, or the pack cannot be read. Nothing was done.",
            "Correct what is named.",
        ),
        (
            Self::SourceUnreachable,
            "The database cannot be reached or refuses the connection. Nothing was done.",
            "Try again later, or correct the connection.",
        ),
        (
            Self::RowFailures,
            "The export is complete and has a manifest, but some rows could not become a resource.",
            "Read the OperationOutcome files and `report.json`.",
        ),
        (Self::Failed, "The command failed on the way. An export has no manifest.", "Read the message, try again."),
        (Self::Interrupted, "Stopped by a signal. An export has no manifest.", "Try again."),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The page `docs/src/reference/exit-codes.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Exit codes\n\n<!-- Generated from src/cli/exit.rs; a test compares it. -->\n\n\
         Every command of `smelt` ends with one of these codes.\n\n| code | meaning | what to do |\n|---|---|---|\n",
    );
    for (exit, meaning, remedy) in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} | {meaning} | {remedy} |", exit as u8);
    }
    page
}
