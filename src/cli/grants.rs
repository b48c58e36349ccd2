//! `smelt grants`.

use super::args::GrantsArgs;
use super::engine::open;
use super::exit::Exit;
use super::failure::Failure;
use crate::config::Settings;
use crate::export::grants;

/// Prints the SQL that lets a role read what the pack reads.
pub(super) fn run(args: &GrantsArgs, settings: &Settings) -> Result<Exit, Failure> {
    let engine = open(settings, 1, 1)?;
    let script = engine.runtime.block_on(async {
        let session = engine.source.session().await?;
        grants(&session, &engine.prepared, &args.role).await
    })?;
    super::print(&script)
}
