//! `smelt test`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::TestArgs;
use super::engine::{broken, check_files, locked, sound, tell};
use super::exit::Exit;
use super::failure::Failure;
use crate::config::{Settings, pack_directory, read_pack};
use crate::fixture::{self, Rewrite, update};
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::SourceId;
use crate::plan::compile::compile;
use crate::plan::lock::stale;

/// Runs the tests beside the mappings; types come from `columns.lock`.
pub(super) fn run(args: &TestArgs, settings: &Settings) -> Result<Exit, Failure> {
    let files = read_pack(&settings.mappings)?;
    let (pack, mut sources) = sound(check_files(&files))?;
    let mut diagnostics = Vec::new();
    let Some(lock) = locked(&files, &mut sources, &mut diagnostics) else {
        return Err(Failure::usage(
            "the pack has no columns.lock, so the types of its columns are not known",
            "Write it with `smelt validate --database URL`, and keep it under version control.",
        ));
    };
    diagnostics.extend(stale(&pack, &lock));
    let (compiled, found) = compile(&pack, &sources, &lock.catalog);
    diagnostics.extend(found);
    tell(&diagnostics, &sources);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(broken());
    }
    let own = files.layers.first().map(|layer| layer.files.as_slice()).unwrap_or_default();
    let tests: Vec<(String, String)> = own.iter().filter(|(path, _)| path.ends_with(".test.yaml")).cloned().collect();
    let run = fixture::run(&pack, &compiled, &lock.catalog, &mut sources, &tests)
        .map_err(|error| Failure::new(Exit::Failed, &error, None))?;
    tell(&run.diagnostics, &sources);

    let mut text = String::new();
    let mut rewrites: BTreeMap<SourceId, Vec<Rewrite>> = BTreeMap::new();
    let (mut passed, mut failed, mut updated) = (0, 0, 0);
    for result in &run.results {
        match &result.rewrite {
            Some(rewrite) if args.update => {
                updated += 1;
                rewrites.entry(result.source).or_default().push(rewrite.clone());
            }
            _ if result.passed() => passed += 1,
            _ => failed += 1,
        }
        if !result.passed() {
            let (line, _) = sources.line_column(result.place);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}:{line}\n{result}", sources.get(result.source).path);
        }
    }
    for (source, rewrites) in rewrites {
        let source = sources.get(source);
        let path = on_disk(&settings.mappings, &source.path)?;
        fs::write(&path, update(&source.text, &rewrites)).map_err(|error| Failure::new(Exit::Failed, &error, None))?;
    }
    let _ = write!(text, "{passed} passed, {failed} failed");
    if args.update {
        let _ = write!(text, ", {updated} updated");
    }
    text.push('\n');
    super::print(&text)?;
    Ok(if failed == 0 && run.diagnostics.is_empty() { Exit::Ok } else { Exit::Diagnostics })
}

/// Where a file of the own pack stands.
fn on_disk(mappings: &Path, shown: &str) -> Result<PathBuf, Failure> {
    let name = shown.rsplit('/').next().unwrap_or(shown);
    Ok(pack_directory(mappings)?.join(name))
}
