//! A pack's files become project, mappings, code maps and fragments, with every mistake of every file (§2.2).
//!
//! Every name is looked up in the own pack first, then in the pack it extends, and so on (§2.13); `project.yaml` and
//! mappings that say `extends:` are merged with their base by [`patch::merge`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, nearest};
use super::fragment::{self, Fragment, SHIPPED};
use super::header::{self, SqlFiles};
use super::source::{SourceId, Sources, Span};
use super::tree::{CodeMap, Header, Project};
use super::yaml::{self, Kind, Node};
use super::{codes, patch, project, shape};

mod files;

use files::Role;

/// The texts of a pack and of the packs it extends.
#[derive(Debug, Clone, Default)]
pub struct PackFiles {
    /// Own pack first, then its base, then that one's base.
    pub layers: Vec<Layer>,
}

/// One pack's texts.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// The pack's name: the name of its directory.
    pub name: String,
    /// Display path with `/` (`mappings/synthea/patient.yaml`, `sql/synthea/patients.sql`) and text.
    pub files: Vec<(String, String)>,
}

/// What the files say.
#[derive(Debug)]
pub struct Loaded {
    /// Every text, shipped fragments included; spans point into it.
    pub sources: Sources,
    /// All mistakes of all files.
    pub diagnostics: Vec<Diagnostic>,
    /// `project.yaml`, when it can be used at all.
    pub project: Option<Project>,
    /// `every:` of `project.yaml`: a map merged into every resource.
    pub every: Option<Node>,
    /// Every mapping that could be read, ordered by name, patches applied.
    pub mappings: Vec<RawMapping>,
    /// Names of the mappings that are there and could not be read; a reference to one is no mistake of its own.
    pub broken: BTreeSet<String>,
    /// Every code map that could be read, ordered by name.
    pub code_maps: Vec<CodeMap>,
    /// Every fragment by name, shipped ones included.
    pub fragments: BTreeMap<String, Fragment>,
    /// SHA-256 (hex) over the paths and texts of the pack, in path order; tests and `columns.lock` are not in it.
    pub digest: String,
}

/// One mapping file, patches applied, its resource not yet looked at.
#[derive(Debug, Clone)]
pub struct RawMapping {
    /// File stem; what references call it.
    pub name: String,
    /// The file (of the own pack where a patch and a base exist).
    pub source: SourceId,
    /// Everything above `resource:`.
    pub header: Header,
    /// The map under `resource:`.
    pub resource: Node,
    /// The whole file merged with its base, where it is a patch.
    pub merged: Option<Node>,
}

/// Reads a pack. `builtin` are the aliases every pack has: name and URI.
pub fn load<'a>(files: &PackFiles, builtin: impl IntoIterator<Item = (&'a str, &'a str)>) -> Loaded {
    let mut loader = Loader { sources: Sources::default(), out: Vec::new() };
    let layers: Vec<Files<'_>> = files.layers.iter().map(|layer| loader.layer(layer)).collect();

    let builtin = builtin.into_iter().map(|(name, uri)| (name.to_owned(), uri.to_owned())).collect();
    let name = files.layers.first().map_or("", |layer| &*layer.name);
    let (project, every) = loader.project(name, &layers, &builtin).unzip();
    let aliases = project.as_ref().map_or(&builtin, |project: &Project| &project.alias);
    let code_maps = loader.code_maps(&layers, aliases);
    let fragments = loader.fragments(&layers);
    let (mappings, broken) = loader.mappings(&layers);

    let Loader { sources, mut out } = loader;
    // A SQL file or a base is looked at once per user.
    let mut seen = HashSet::new();
    out.retain(|one| seen.insert((one.code, one.primary.span, one.message.clone())));
    Loaded {
        sources,
        diagnostics: out,
        project,
        every: every.flatten(),
        mappings,
        broken,
        code_maps,
        fragments,
        digest: digest(&layers),
    }
}

/// A text with its number.
type Text<'a> = (SourceId, &'a str);

/// One layer's files by what they are.
#[derive(Default)]
struct Files<'a> {
    /// Where `project.yaml` is, or should be.
    project: Option<Text<'a>>,
    mappings: BTreeMap<&'a str, Text<'a>>,
    code_maps: BTreeMap<&'a str, (Text<'a>, CodeFormat)>,
    fragments: BTreeMap<&'a str, Text<'a>>,
    sql: BTreeMap<&'a str, Text<'a>>,
    /// Path and text of each of them.
    all: Vec<(&'a str, &'a str)>,
}

#[derive(Clone, Copy)]
enum CodeFormat {
    Csv,
    ConceptMap,
}

struct Loader {
    sources: Sources,
    out: Vec<Diagnostic>,
}

impl Loader {
    fn layer<'a>(&mut self, layer: &'a Layer) -> Files<'a> {
        let mut files = Files::default();
        let root = files::root(layer);
        let mut names: BTreeMap<(&str, &str), SourceId> = BTreeMap::new();
        for (path, text) in &layer.files {
            let role = files::role(path, root, &layer.name);
            if matches!(role, Role::Test | Role::Lock | Role::Other) {
                continue;
            }
            let source = self.sources.add(path, text);
            let place = Span::new(source, 0, 0);
            let mut named = |kind: &'static str, name: &'a str, out: &mut Vec<Diagnostic>| {
                if !files::is_name(name) {
                    let warning = Diagnostic::warning("M107", place, format!("`{name}` cannot be used as a name"));
                    out.push(warning.help("start with a letter, then letters, digits, `-` and `_`"));
                }
                if let Some(first) = names.insert((kind, name), source) {
                    let error = Diagnostic::error("M107", place, format!("two {kind}s are called `{name}`"));
                    out.push(error.also(Span::new(first, 0, 0), "the other"));
                }
            };
            let file = (source, text.as_str());
            match role {
                Role::Project => files.project = Some(file),
                Role::Mapping(name) => {
                    named("mapping", name, &mut self.out);
                    files.mappings.insert(name, file);
                }
                Role::Csv(name) => {
                    named("code map", name, &mut self.out);
                    files.code_maps.insert(name, (file, CodeFormat::Csv));
                }
                Role::ConceptMap(name) => {
                    named("code map", name, &mut self.out);
                    files.code_maps.insert(name, (file, CodeFormat::ConceptMap));
                }
                Role::Fragment(name) => {
                    named("fragment", name, &mut self.out);
                    files.fragments.insert(name, file);
                }
                Role::Sql(name) => drop(files.sql.insert(name, file)),
                Role::Stray(help) => {
                    self.out.push(Diagnostic::warning("M107", place, "this file is not read").help(help));
                    continue;
                }
                Role::Test | Role::Lock | Role::Other => {}
            }
            files.all.push((path, text));
        }
        if files.project.is_none() {
            let source = self.sources.add(format!("{root}project.yaml"), "");
            let error = Diagnostic::error("M107", Span::new(source, 0, 0), "this pack has no project.yaml");
            self.out.push(error.help("create it; `format: 1` is all it must say"));
        }
        files
    }

    /// The project of all layers merged, and its `every:`.
    fn project(
        &mut self,
        name: &str,
        layers: &[Files<'_>],
        builtin: &BTreeMap<String, String>,
    ) -> Option<(Project, Option<Node>)> {
        let mut merged: Option<Node> = None;
        for (n, layer) in layers.iter().enumerate().rev() {
            let Some((source, text)) = layer.project else { continue };
            let Some(node) = yaml::parse(source, text, &mut self.out) else { continue };
            project::format(&node, &mut self.out);
            if let Some(base) = node.get("extends").filter(|_| n + 1 == layers.len()) {
                let message = format!("no pack `{}`", base.text().unwrap_or_default());
                self.out.push(Diagnostic::error("M107", base.span, message).label("the pack this one is based on"));
            }
            merged = Some(match merged {
                Some(base) => patch::merge(base, &node),
                None => node,
            });
        }
        Some(project::read(name, &merged?, builtin, &mut self.out))
    }

    fn code_maps(&mut self, layers: &[Files<'_>], aliases: &codes::Aliases) -> Vec<CodeMap> {
        let found = first_found(layers, |layer| &layer.code_maps);
        let read = found.into_iter().filter_map(|(name, ((source, text), format))| {
            let read = match format {
                CodeFormat::Csv => codes::csv,
                CodeFormat::ConceptMap => codes::concept_map,
            };
            read(name, source, text, aliases, &mut self.out)
        });
        read.collect()
    }

    fn fragments(&mut self, layers: &[Files<'_>]) -> BTreeMap<String, Fragment> {
        let mut found = first_found(layers, |layer| &layer.fragments);
        for (name, text) in SHIPPED {
            found.entry(name).or_insert_with(|| (self.sources.add(format!("smelt:fragments/{name}.yaml"), text), text));
        }
        let mut fragments = BTreeMap::new();
        for (name, (source, text)) in found {
            let node = yaml::parse(source, text, &mut self.out);
            if let Some(fragment) = node.and_then(|node| fragment::read(name, source, &node, &mut self.out)) {
                fragments.insert(name.to_owned(), fragment);
            }
        }
        fragments
    }

    fn mappings(&mut self, layers: &[Files<'_>]) -> (Vec<RawMapping>, BTreeSet<String>) {
        let sql: SqlFiles<'_> = first_found(layers, |layer| &layer.sql);
        let (mut mappings, mut broken) = (Vec::new(), BTreeSet::new());
        for (name, (source, _)) in first_found(layers, |layer| &layer.mappings) {
            let mapping = self.merged(name, layers).and_then(|node| self.mapping(name, source, &node, &sql));
            match mapping {
                Some(mapping) => mappings.push(mapping),
                None => drop(broken.insert(name.to_owned())),
            }
        }
        (mappings, broken)
    }

    /// The mapping called `name` in the first layer that has it, merged with what it extends in the layers below.
    fn merged(&mut self, name: &str, layers: &[Files<'_>]) -> Option<Node> {
        let at = layers.iter().position(|layer| layer.mappings.contains_key(name))?;
        let (here, below) = layers.get(at..)?.split_first()?;
        let &(source, text) = here.mappings.get(name)?;
        let mut node = yaml::parse(source, text, &mut self.out)?;
        let Some(extends) = node.get("extends").cloned() else { return Some(node) };
        let base = shape::text(&extends, "extends", "the name of a mapping of the base pack", &mut self.out)?;
        if !below.iter().any(|layer| layer.mappings.contains_key(&*base.text)) {
            self.out.push(no_base(&base.text, base.span, below));
            return None;
        }
        let base = self.merged(&base.text, below)?;
        if let Kind::Map(entries) = &mut node.kind {
            entries.retain(|entry| entry.key.text != "extends");
        }
        Some(patch::merge(base, &node))
    }

    fn mapping(&mut self, name: &str, source: SourceId, node: &Node, sql: &SqlFiles<'_>) -> Option<RawMapping> {
        let header = header::read(node, sql, &mut self.out);
        let resource = node.get("resource");
        if let (None, Some(last)) = (resource, node.entries().and_then(<[_]>::last)) {
            let error = Diagnostic::error("M108", last.key.span, "a mapping needs `resource`");
            let error = error.label("`resource` is missing");
            self.out.push(error.help("write the FHIR resource below `resource:`, starting with `resourceType`"));
        }
        let resource = resource.filter(|node| shape::object(node, "resource", &mut self.out).is_some()).cloned();
        let patched = self.sources.get(source).text.lines().any(|line| line.starts_with("extends:"));
        let merged = patched.then(|| node.clone());
        Some(RawMapping { name: name.to_owned(), source, header: header?, resource: resource?, merged })
    }
}

/// Every name with the file of the first layer that has it.
fn first_found<'a, T: Copy>(
    layers: &[Files<'a>],
    of: impl for<'f> Fn(&'f Files<'a>) -> &'f BTreeMap<&'a str, T>,
) -> BTreeMap<&'a str, T> {
    let mut found = BTreeMap::new();
    for layer in layers {
        for (name, file) in of(layer) {
            found.entry(*name).or_insert(*file);
        }
    }
    found
}

fn no_base(name: &str, span: Span, below: &[Files<'_>]) -> Diagnostic {
    let error = Diagnostic::error("M107", span, format!("no mapping `{name}` to be extended"));
    if below.is_empty() {
        return error
            .label("this pack extends no other")
            .help("say which in project.yaml: `extends: …`; a mapping extends one of the base pack");
    }
    let error = error.label("not in the base pack");
    match nearest(name, below.iter().flat_map(|layer| layer.mappings.keys().copied())) {
        Some(near) => error.edit("did you mean", span, near),
        None => error,
    }
}

fn digest(layers: &[Files<'_>]) -> String {
    let mut all: Vec<(&str, &str)> = layers.iter().flat_map(|layer| layer.all.iter().copied()).collect();
    all.sort_unstable();
    let mut hash = Sha256::new();
    for part in all.into_iter().flat_map(|(path, text)| [path, text]) {
        // The length keeps one part from running into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hex: Vec<String> = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

#[cfg(test)]
mod tests;
