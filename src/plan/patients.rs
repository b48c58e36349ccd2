//! Which rows belong to which patient: the compartment of a mapping (§2.10), and patient ids turned into keys.

use super::bind::from_item;
use super::catalog::Catalog;
use super::filter::cast_name;
use super::select::{Param, Statement, quote_ident};
use crate::mapping::compartment::{Tie, tie};
use crate::mapping::tree::{Mapping, Pack, Part};
use crate::row::PgKind;

/// How a mapping's rows are tied to patients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compartment {
    /// The rows are the patients; these columns are their key.
    Self_ {
        /// Key column and its type.
        column: (String, PgKind),
    },
    /// A column holds the key of a row of a Patient mapping.
    Column {
        /// The column and its type.
        column: (String, PgKind),
        /// The mapping whose key it holds; `None` when the header names the column and any patient mapping may.
        mapping: Option<String>,
    },
    /// FHIR does not put the type into the patient compartment, or the mapping says `patient: none`.
    Outside,
    /// It belongs there, but no column says to whom (M701).
    Unknown,
}

/// The tie of `mapping` to patients, with the types of its columns.
pub fn compartment(pack: &Pack, mapping: &Mapping, catalog: &Catalog) -> Compartment {
    let kind = |name: &str| {
        catalog.rows.get(&mapping.name).and_then(|rows| rows.column(name)).map(|(_, column)| column.kind.clone())
    };
    let typed = |name: &str| kind(name).map(|kind| (name.to_owned(), kind));
    if mapping.resource_type == "Patient" {
        return match mapping.header.key.as_slice() {
            [key] => typed(&key.text).map_or(Compartment::Unknown, |column| Compartment::Self_ { column }),
            _ => Compartment::Unknown,
        };
    }
    let makes_patients =
        |name: &str| pack.mappings.iter().any(|target| target.name == name && target.resource_type == "Patient");
    match tie(&mapping.resource_type, &mapping.header, &mapping.root, makes_patients) {
        Tie::Column { name, mapping } => match typed(name) {
            Some(column) => Compartment::Column { column, mapping: mapping.map(str::to_owned) },
            None => Compartment::Unknown,
        },
        Tie::Outside => Compartment::Outside,
        Tie::Missing { .. } => Compartment::Unknown,
    }
}

/// Reads which of these keys (as text) a mapping's rows have: one `text` per row.
pub fn existing_keys(mapping: &Mapping, kind: &PgKind, keys: Vec<String>) -> Statement {
    let column = mapping.header.key.first().map_or_else(String::new, |name| format!("q.{}", quote_ident(&name.text)));
    Statement {
        text: format!(
            "select distinct {column}::text from {} where {column} = any($1::text[]::{}[])",
            from_item(&mapping.header.rows, "q"),
            cast_name(kind)
        ),
        params: vec![Param::TextArray(keys.into())],
    }
}

/// Ids that are the key's text between a prefix and a suffix, so that they lead back to it. Of all others the keys have
/// to be read, and their ids made, to find one ([`identities`](super::compile::identities)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainId {
    prefix: String,
    suffix: String,
    kind: PgKind,
}

impl PlainId {
    /// The form of a mapping's ids, if it is this one; `kind` is the type of its key.
    pub fn of(mapping: &Mapping, kind: &PgKind) -> Option<Self> {
        let reads_back =
            matches!(kind, PgKind::Uuid | PgKind::Int2 | PgKind::Int4 | PgKind::Int8 | PgKind::Text | PgKind::Char);
        let (before, after) = match mapping.id.parts.as_slice() {
            [Part::Column(_)] => ("", ""),
            [Part::Literal(before), Part::Column(_)] => (before.as_str(), ""),
            [Part::Column(_), Part::Literal(after)] => ("", after.as_str()),
            [Part::Literal(before), Part::Column(_), Part::Literal(after)] => (before.as_str(), after.as_str()),
            _ => return None,
        };
        (reads_back && mapping.header.key.len() == 1).then(|| Self {
            prefix: before.to_owned(),
            suffix: after.to_owned(),
            kind: kind.clone(),
        })
    }

    /// The key's text in an id, if the id can be one of this form and the text one of the key's type.
    pub fn key<'a>(&self, id: &'a str) -> Option<&'a str> {
        let key = id.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        let fits = match self.kind {
            PgKind::Uuid => uuid::Uuid::parse_str(key).is_ok_and(|uuid| uuid.to_string() == key),
            PgKind::Int2 => key.parse::<i16>().is_ok_and(|number| number.to_string() == key),
            PgKind::Int4 => key.parse::<i32>().is_ok_and(|number| number.to_string() == key),
            PgKind::Int8 => key.parse::<i64>().is_ok_and(|number| number.to_string() == key),
            _ => !key.is_empty(),
        };
        fits.then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_keys() {
        let form = |prefix: &str, kind| PlainId { prefix: prefix.to_owned(), suffix: String::new(), kind };
        let omop = form("omop-", PgKind::Int8);
        assert_eq!(omop.key("omop-17"), Some("17"));
        assert_eq!(omop.key("omop-017"), None);
        assert_eq!(omop.key("17"), None);
        let raw = form("", PgKind::Uuid);
        let id = "a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a";
        assert_eq!(raw.key(id), Some(id));
        assert_eq!(raw.key(&id.to_uppercase()), None);
        assert_eq!(raw.key("x' or true"), None);
    }
}
