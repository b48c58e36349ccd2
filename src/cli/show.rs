//! `smelt show`.

use super::args::ShowArgs;
use super::engine::tell;
use super::exit::Exit;
use super::failure::Failure;
use crate::config::{Settings, read_pack};
use crate::fhir::alias;
use crate::mapping::pack::load;
use crate::mapping::print;

/// Prints a mapping, merged with what it extends, or a fragment.
pub(super) fn run(args: &ShowArgs, settings: &Settings) -> Result<Exit, Failure> {
    let loaded = load(&read_pack(&settings.mappings)?, alias::builtins());
    if let Some(mapping) = loaded.mappings.iter().find(|mapping| mapping.name == args.name) {
        let text = match &mapping.merged {
            Some(node) => print::yaml(node),
            None => loaded.sources.get(mapping.source).text.clone(),
        };
        return super::print(&text);
    }
    if let Some(fragment) = loaded.fragments.get(&args.name) {
        return super::print(&loaded.sources.get(fragment.source).text);
    }
    tell(&loaded.diagnostics, &loaded.sources);
    let mut names: Vec<&str> = loaded.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    names.extend(loaded.fragments.keys().map(String::as_str));
    Err(Failure::usage(
        format!("the pack has no mapping and no fragment `{}`", args.name),
        format!("It has {}.", names.join(", ")),
    ))
}
