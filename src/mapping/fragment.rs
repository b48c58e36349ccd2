//! Fragments (§2.12): named pieces of a resource, expanded by `$use` at compile time.

use super::source::SourceId;
use super::tree::Name;
use super::yaml::Node;

/// One fragment, unexpanded.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// Name, as used by `$use`: the file's stem.
    pub name: String,
    /// FHIR type its members belong to: `Extension`, `Quantity`.
    pub fhir_type: Name,
    /// Parameters and their FHIR types, in file order.
    pub params: Vec<(Name, Name)>,
    /// The map under `value:`; its members are inserted where `$use` stands.
    pub value: Node,
    /// Its file.
    pub source: SourceId,
}
