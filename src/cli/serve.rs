//! `smelt serve` and `smelt config check`.

use super::exit::Exit;
use super::failure::Failure;
use crate::config::Settings;

/// Serves.
pub(super) fn run(_args: &super::args::ServeArgs, _settings: &Settings) -> Result<Exit, Failure> {
    Err(Failure::usage("not yet", ""))
}

/// Says what is in force.
pub(super) fn check(_settings: &Settings) -> Result<Exit, Failure> {
    Err(Failure::usage("not yet", ""))
}
