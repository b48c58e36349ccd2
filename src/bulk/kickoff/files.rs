//! Kick-off parameters about files: `_minimumFileSize`, `_maximumFileSize`, `allowPartialManifests` (K-67, K-68).

use super::mistake::Mistake;
use super::{add, keep};
use crate::bulk::files::Files;
use crate::bulk::kickoff::pairs::Given;

const MINIMUM: &str = "_minimumFileSize";
const MAXIMUM: &str = "_maximumFileSize";
const EARLY: &str = "allowPartialManifests";

/// Their values as given.
#[derive(Debug, Default)]
pub(super) struct Asked {
    minimum: Option<String>,
    maximum: Option<String>,
    early: Option<String>,
}

impl Asked {
    /// Keeps the value of a parameter, if it is one of these; gives it back otherwise.
    pub(super) fn keep(&mut self, name: &str, value: Given, mistakes: &mut Vec<Mistake>) -> Option<Given> {
        let place = match name {
            MINIMUM => (MINIMUM, &mut self.minimum),
            MAXIMUM => (MAXIMUM, &mut self.maximum),
            EARLY => (EARLY, &mut self.early),
            _ => return Some(value),
        };
        keep(place, value, mistakes);
        None
    }

    /// What they ask for.
    pub(super) fn read(self, mistakes: &mut Vec<Mistake>) -> Files {
        let minimum = size(MINIMUM, self.minimum, mistakes);
        let maximum = size(MAXIMUM, self.maximum, mistakes);
        let fit = minimum.zip(maximum).is_none_or(|(minimum, maximum)| minimum < maximum);
        if !fit {
            add(mistakes, Mistake::FileSizes);
        }
        // The one that is a promise stays.
        let early = once(EARLY, self.early, mistakes).is_some_and(|text| {
            let text = text.trim().to_ascii_lowercase();
            if text != "true" && text != "false" {
                add(mistakes, Mistake::NotABoolean(EARLY));
            }
            text == "true"
        });
        Files { minimum: minimum.filter(|_| fit), maximum, early }
    }
}

/// A value; one that contradicts another is none.
fn once(name: &'static str, text: Option<String>, mistakes: &[Mistake]) -> Option<String> {
    text.filter(|_| !mistakes.contains(&Mistake::Contradiction(name)))
}

/// A number of bytes.
fn size(name: &'static str, text: Option<String>, mistakes: &mut Vec<Mistake>) -> Option<u64> {
    let text = once(name, text, mistakes)?;
    let digits = text.trim();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| plain && *number > 0);
    if number.is_none() {
        add(mistakes, Mistake::NotASize(name));
    }
    number
}
