//! Words of FHIR R4.

mod codes;
pub mod elements;
pub mod profiles;
mod table;

/// `Patient` of `http://hl7.org/fhir/StructureDefinition/Patient`.
fn last_segment(canonical: &'static str) -> &'static str {
    canonical.rsplit_once('/').map_or(canonical, |(_, name)| name)
}

/// Reads `0..1` or `1..*`.
fn cardinality(text: &str) -> (u32, Option<u32>) {
    let (min, max) = text.split_once("..").unwrap_or((text, "*"));
    (min.parse().unwrap_or_default(), max.parse().ok())
}
