//! `smelt validate`.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::args::{Format, ValidateArgs};
use super::engine::{check_files, connect, locked, runtime, target};
use super::exit::Exit;
use super::failure::Failure;
use crate::config::settings::DatabaseUrl;
use crate::config::{Settings, pack_directory, read_pack};
use crate::export::{preflight, prepare, verify};
use crate::mapping::check::Checked;
use crate::mapping::compartment;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::render;
use crate::mapping::source::Sources;
use crate::mapping::tree::Pack;
use crate::plan::compile::compile;
use crate::plan::lock::{self, stale};
use crate::source::Source;

/// Checks the pack, and against the database when one is named. `columns.lock` stands in for the database, and is
/// written when there is one.
pub(super) fn run(args: &ValidateArgs, settings: &Settings) -> Result<Exit, Failure> {
    let files = read_pack(&settings.mappings)?;
    let Checked { mut sources, mut diagnostics, pack } = check_files(&files);
    let mappings = pack.as_ref().map_or(0, |pack| pack.mappings.len());
    let compartment = pack.as_ref().map(compartment::paths).unwrap_or_default();
    let mut against = "without a database";
    if let (Some(pack), Some(database)) = (&pack, &settings.database) {
        against = "against the database";
        let directory = pack_directory(&settings.mappings)?;
        sources = runtime()?.block_on(live(
            pack.clone(),
            sources,
            database,
            settings.overlap,
            &directory,
            &mut diagnostics,
        ))?;
    } else if let Some(pack) = &pack
        && let Some(lock) = locked(&files, &mut sources, &mut diagnostics)
    {
        against = "against columns.lock";
        diagnostics.extend(stale(pack, &lock));
        diagnostics.extend(compile(pack, &sources, &lock.catalog).1);
    }
    let text = match args.format {
        Format::Text => {
            let mut text = render::text(&diagnostics, &sources, io::stdout().is_terminal());
            if diagnostics.is_empty() {
                text = format!("{mappings} mappings checked {against}: no errors, no warnings\n");
            }
            text + &render::compartment(&compartment)
        }
        Format::Json => render::json(&diagnostics, &sources, &compartment),
        Format::Sarif => render::sarif(&diagnostics, &sources),
    };
    super::print(&text)?;
    Ok(if diagnostics.iter().any(Diagnostic::is_error) { Exit::Diagnostics } else { Exit::Ok })
}

/// Everything the database can tell; a pack without errors gets its `columns.lock` written.
async fn live(
    pack: Pack,
    sources: Sources,
    database: &DatabaseUrl,
    overlap: Duration,
    directory: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Sources, Failure> {
    let source = connect(target(Some(database.expose()))?, &pack.project, 4, overlap).await?;
    let sources = ask(&source, pack, sources, directory, diagnostics).await;
    source.closed().await;
    sources
}

async fn ask(
    source: &Source,
    pack: Pack,
    sources: Sources,
    directory: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Sources, Failure> {
    let session = source.session().await?;
    let (prepared, found) = prepare(&session, pack, sources).await?;
    diagnostics.extend(found);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(sources) => return Ok(sources),
    };
    diagnostics.extend(verify(&session, &prepared).await?);
    let preflight = preflight(source, &prepared).await?;
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr(), "{preflight}");
    let path = directory.join(lock::FILE_NAME);
    let text = lock::render(&prepared.pack, &prepared.catalog);
    if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
        // A pack that cannot be written to (an image, another's directory) is checked all the same.
        match fs::write(&path, text) {
            Ok(()) => tracing::info!(path = %path.display(), "columns.lock was written"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "columns.lock could not be written"),
        }
    }
    Ok(prepared.sources)
}
