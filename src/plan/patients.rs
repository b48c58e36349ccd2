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
        params: vec![Param::TextArray(keys)],
    }
}

/// How an id of a mapping leads back to its row's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdForm {
    /// The key's text between a prefix and a suffix.
    Key {
        /// Text before the key.
        prefix: String,
        /// Text after it.
        suffix: String,
    },
    /// Made from the key in a way that has no inverse; the keys have to be read to find it.
    Hashed,
}

/// The form of a mapping's ids.
pub fn id_form(mapping: &Mapping) -> IdForm {
    let (mut prefix, mut suffix, mut seen) = (String::new(), String::new(), false);
    for part in &mapping.id.parts {
        match part {
            Part::Literal(text) if seen => suffix.push_str(text),
            Part::Literal(text) => prefix.push_str(text),
            Part::Column(_) if !seen && mapping.header.key.len() == 1 => seen = true,
            _ => return IdForm::Hashed,
        }
    }
    if seen { IdForm::Key { prefix, suffix } } else { IdForm::Hashed }
}

impl IdForm {
    /// The key's text in an id, if the id can be one of this form and the text one of this type.
    pub fn key<'a>(&self, id: &'a str, kind: &PgKind) -> Option<&'a str> {
        let Self::Key { prefix, suffix } = self else { return None };
        let key = id.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?;
        let fits = match kind {
            PgKind::Uuid => uuid::Uuid::parse_str(key).is_ok_and(|uuid| uuid.to_string() == key),
            PgKind::Int2 => key.parse::<i16>().is_ok_and(|number| number.to_string() == key),
            PgKind::Int4 => key.parse::<i32>().is_ok_and(|number| number.to_string() == key),
            PgKind::Int8 => key.parse::<i64>().is_ok_and(|number| number.to_string() == key),
            PgKind::Text | PgKind::Char => !key.is_empty(),
            _ => false,
        };
        fits.then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_keys() {
        let form = IdForm::Key { prefix: "omop-".into(), suffix: String::new() };
        assert_eq!(form.key("omop-17", &PgKind::Int8), Some("17"));
        assert_eq!(form.key("omop-017", &PgKind::Int8), None);
        assert_eq!(form.key("17", &PgKind::Int8), None);
        let raw = IdForm::Key { prefix: String::new(), suffix: String::new() };
        let id = "a3f1c2d4-0001-4c5e-9b7a-1f2e3d4c5b6a";
        assert_eq!(raw.key(id, &PgKind::Uuid), Some(id));
        assert_eq!(raw.key(&id.to_uppercase(), &PgKind::Uuid), None);
        assert_eq!(raw.key("x' or true", &PgKind::Uuid), None);
    }
}
