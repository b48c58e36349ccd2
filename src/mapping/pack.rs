//! A pack's files become project, mappings, code maps and fragments, with every mistake of every file (§2.2).

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::fragment::Fragment;
use super::source::{SourceId, Sources};
use super::tree::{CodeMap, Header, Project};
use super::yaml::Node;

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
    /// Every code map that could be read, ordered by name.
    pub code_maps: Vec<CodeMap>,
    /// Every fragment by name, shipped ones included.
    pub fragments: BTreeMap<String, Fragment>,
    /// SHA-256 (hex) over the paths and texts of the pack, in path order.
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
}
