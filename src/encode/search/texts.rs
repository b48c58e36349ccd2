//! Texts of a search, by R4's rules: case and accents do not count unless `:exact` is asked.

use serde_json::value::RawValue;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::{below, object, text};
use crate::plan::search::{Step, TextMatch};

/// A text to be found, folded if case does not count.
#[derive(Debug)]
pub(super) struct Texts {
    how: TextMatch,
    any: Vec<String>,
}

impl Texts {
    pub(super) fn new(how: TextMatch, any: &[String]) -> Self {
        let form = |text: &String| if how == TextMatch::Exact { text.clone() } else { folded(text) };
        Self { how, any: any.iter().map(form).collect() }
    }

    /// Compares a string, or each part of a name or an address.
    pub(super) fn is(&self, value: &RawValue) -> bool {
        /// The parts of HumanName and Address that are searched.
        const PARTS: [&str; 12] = [
            "text",
            "family",
            "given",
            "prefix",
            "suffix",
            "line",
            "city",
            "district",
            "state",
            "postalCode",
            "country",
            "display",
        ];
        if let Some(text) = text(value) {
            return self.alike(&text);
        }
        let Some(object) = object(value) else { return false };
        PARTS
            .iter()
            .filter_map(|part| object.get(*part))
            .any(|part| below(part, &[], &mut |value| text(value).is_some_and(|text| self.alike(&text))))
    }

    /// Compares the text beside a code: of a CodeableConcept, a Coding or an Identifier (`:text`).
    pub(super) fn beside(&self, value: &RawValue) -> bool {
        let member = |name: &str| Step::Member(name.to_owned());
        let places = [vec!["text"], vec!["display"], vec!["coding", "display"], vec!["type", "text"]];
        places.iter().any(|place| {
            let steps: Vec<Step> = place.iter().map(|name| member(name)).collect();
            below(value, &steps, &mut |value| text(value).is_some_and(|text| self.alike(&text)))
        })
    }

    fn alike(&self, text: &str) -> bool {
        if self.how == TextMatch::Exact {
            return self.any.iter().any(|wanted| wanted == text);
        }
        let text = folded(text);
        self.any.iter().any(|wanted| match self.how {
            TextMatch::Contains => text.contains(wanted),
            _ => text.starts_with(wanted),
        })
    }
}

/// Lower case, without accents.
pub(super) fn folded(text: &str) -> String {
    text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}
