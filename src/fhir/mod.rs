//! Words of FHIR R4, as data: what types there are and what they hold, which codes are closed, what profiles ask, how
//! ids, references and times are written. No I/O, and nothing of smelt is known here.
//!
//! | question | asked of |
//! | --- | --- |
//! | which members has a type, how many, of which types, bound to which codes | `elements` |
//! | what does a US Core profile ask beyond that | `profiles` |
//! | what does a search parameter look at | `search` |
//! | by which elements does a resource belong to a patient | `compartment` |
//! | is this an id, a reference, an absolute URI | `id` |
//! | is this a date, when is this instant | `instant` |
//! | how does one tell a client what went wrong | `outcome` |
//! | which URI does `loinc` or `us-core-patient` stand for | `alias` |
//!
//! The tables come from the official packages (`hl7.fhir.r4.core` 4.0.1, `hl7.fhir.us.core` 6.1.0, 7.0.0 and 8.0.0,
//! CC0-1.0) by `generate.py`, which also reports drift (`--check`). They are text, embedded, split into blocks at the
//! first question, and a block is parsed when it is first asked for: a short command pays for the types it names.
//!
//! ```
//! use smelt::fhir::elements::{child_type_path, codes, json_member};
//!
//! let (element, ty) = json_member("Observation", "valueQuantity").ok_or("no such member")?;
//! assert_eq!((element.path, element.min, ty.code), ("Observation.value[x]", 0, "Quantity"));
//! assert_eq!(child_type_path(element, ty), "Quantity");
//!
//! let (status, _) = json_member("Observation", "status").ok_or("no such member")?;
//! let allowed = status.required_value_set.and_then(codes).ok_or("not a closed list")?;
//! assert!(allowed.contains("final") && !allowed.contains("done"));
//! # Ok::<(), &str>(())
//! ```

pub mod alias;
mod codes;
pub mod compartment;
pub mod decimal;
pub mod elements;
pub mod id;
pub mod instant;
pub mod outcome;
pub mod path;
pub mod profiles;
pub mod search;
pub mod span;
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
