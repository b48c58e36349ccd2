//! `smelt validate`.

use std::io::{self, IsTerminal as _};

use super::args::{Format, ValidateArgs};
use super::engine::{checked, connect, runtime};
use super::exit::Exit;
use super::failure::Failure;
use crate::config::Settings;
use crate::export::learn;
use crate::mapping::check::Checked;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::render;
use crate::plan::compile::compile;

/// Checks the pack, and against the database when one is named.
pub(super) fn run(args: &ValidateArgs, settings: &Settings) -> Result<Exit, Failure> {
    let Checked { sources, mut diagnostics, pack } = checked(settings)?;
    if let (Some(pack), Some(database)) = (&pack, &settings.database) {
        let (catalog, _, found) = runtime()?.block_on(async {
            let source = connect(Some(database), &pack.project, 4).await?;
            let session = source.session().await?;
            Ok::<_, Failure>(learn(&session, pack, &sources).await?)
        })?;
        diagnostics.extend(found);
        diagnostics.extend(compile(pack, &sources, &catalog).1);
    }
    let text = match args.format {
        Format::Text => {
            let mut text = render::text(&diagnostics, &sources, io::stdout().is_terminal());
            if diagnostics.is_empty() {
                let against = if settings.database.is_some() { "against the database" } else { "without a database" };
                let mappings = pack.as_ref().map_or(0, |pack| pack.mappings.len());
                text = format!("{mappings} mappings checked {against}: no errors, no warnings\n");
            }
            text
        }
        Format::Json => render::json(&diagnostics, &sources),
        Format::Sarif => render::sarif(&diagnostics, &sources),
    };
    super::print(&text)?;
    Ok(if diagnostics.iter().any(Diagnostic::is_error) { Exit::Diagnostics } else { Exit::Ok })
}
