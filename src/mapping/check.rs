//! Raw YAML by FHIR type: every scalar classified (§2.4), shorthands, fragments and `every:` expanded, names still
//! names. Finds every mistake that can be known without a database.

mod code_map;
mod compartment;
mod constant;
mod fragment;
mod id;
mod merge;
mod object;
mod profile;
mod reference;
mod report;
mod required;
mod scope;
mod text;
mod unknown;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use self::code_map::MapUses;
pub use self::profile::demanded;
pub(super) use self::reference::over as id_over;
use self::report::Report;
use self::scope::Scope;
use super::diagnostic::Diagnostic;
use super::fragment::Fragment;
use super::pack::{Loaded, RawMapping};
use super::source::{Sources, Span};
use super::tree::{CodeMap, Mapping, Object, Pack, Project, Text};
use super::yaml::Node;

/// A pack after every check that needs no database.
#[derive(Debug)]
pub struct Checked {
    /// Every text; spans point into it.
    pub sources: Sources,
    /// All mistakes of all files, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// The pack; `None` when anything is an error.
    pub pack: Option<Pack>,
}

/// What references and checks need to know of each mapping before any resource is looked at.
struct Head {
    name: String,
    resource_type: Option<&'static str>,
    type_span: Span,
    /// Over the mapping's own key; `None` when it is wrong or missing (and reported).
    id: Option<Text>,
}

/// State of the check of one pack.
struct Checker<'a> {
    sources: &'a Sources,
    project: &'a Project,
    mappings: &'a [RawMapping],
    /// Mappings that are there and could not be read.
    broken: &'a BTreeSet<String>,
    heads: Vec<Head>,
    code_maps: &'a [CodeMap],
    fragments: &'a BTreeMap<String, Fragment>,
    maps: MapUses,
    report: Report,
}

/// Checks a loaded pack.
pub fn check(loaded: Loaded) -> Checked {
    let Loaded { sources, diagnostics, project, every, mappings, broken, code_maps, fragments, digest } = loaded;
    let report = Report::new(diagnostics);
    let Some(project) = project else {
        return Checked { diagnostics: report.finish(), sources, pack: None };
    };
    let resources: Vec<Node> =
        mappings.iter().map(|mapping| merge::with_every(every.as_ref(), &mapping.resource)).collect();
    let mut checker = Checker {
        sources: &sources,
        project: &project,
        mappings: &mappings,
        broken: &broken,
        heads: Vec::new(),
        code_maps: &code_maps,
        fragments: &fragments,
        maps: MapUses::default(),
        report,
    };
    checker.heads(&resources);
    let mut roots = Vec::new();
    for (n, resource) in resources.iter().enumerate() {
        roots.push(checker.resource(n, resource));
    }
    checker.fragments_alone();
    let heads = std::mem::take(&mut checker.heads);
    let used_maps = checker.maps.take();
    let report = checker.report;

    let whole = !report.has_errors();
    let pack = whole.then(|| {
        let checked = mappings.into_iter().zip(heads).zip(roots).filter_map(|((raw, head), root)| {
            let (id, root) = (head.id?, root?);
            let resource_type = head.resource_type?.to_owned();
            let type_span = head.type_span;
            Some(Mapping { name: raw.name, source: raw.source, header: raw.header, resource_type, type_span, id, root })
        });
        Pack { mappings: checked.collect(), project: project.clone(), code_maps: used_maps, digest }
    });
    Checked { diagnostics: report.finish(), sources, pack }
}

impl<'a> Checker<'a> {
    /// The resource of mapping `n`.
    fn resource(&mut self, n: usize, node: &'a Node) -> Option<Object> {
        let mapping = self.mappings.get(n)?;
        let head = self.heads.get(n)?;
        let (resource_type, type_span, id) = (head.resource_type?, head.type_span, head.id.clone());
        let scope = Scope::root(mapping);
        let root = self.root(&scope, resource_type, type_span, id, node);
        self.local_references(root.as_ref());
        self.search_names(mapping, resource_type);
        if let Some(root) = &root {
            self.compartment(mapping, resource_type, type_span, root);
            self.profiles(resource_type, type_span, root);
        }
        root
    }
}

#[cfg(test)]
mod tests;
