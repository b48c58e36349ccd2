//! Lists of ids, without a Group around them.

use super::CohortError;
use crate::bulk::request::patient_id;
use crate::bulk::roster::RosterBuilder;

/// A list of ids, read as it arrives: one to a line, as `ID` or `Patient/ID`.
#[derive(Debug)]
pub struct RosterReader {
    base_url: String,
    /// The first line may be a heading.
    heading: bool,
    list: RosterBuilder,
    /// What has arrived of a line.
    rest: Vec<u8>,
    number: usize,
}

/// Longest line of a list.
const LINE: usize = 1024;

impl RosterReader {
    /// Reads plain text, or CSV of one column, whose first line may be its name.
    pub fn new(base_url: &str, csv: bool) -> Self {
        let (base_url, list, rest) = (base_url.to_owned(), RosterBuilder::default(), Vec::new());
        Self { base_url, heading: csv, list, rest, number: 0 }
    }

    /// Takes some more bytes.
    ///
    /// # Errors
    ///
    /// A line that is no id.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), CohortError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = bytes.split_at(end);
            bytes = after.get(1..).unwrap_or_default();
            if self.rest.is_empty() {
                self.line(line)?;
            } else {
                self.rest.extend_from_slice(line);
                let whole = std::mem::take(&mut self.rest);
                self.line(&whole)?;
            }
        }
        self.rest.extend_from_slice(bytes);
        if self.rest.len() > LINE { Err(self.wrong("is too long")) } else { Ok(()) }
    }

    /// All ids, after the last bytes.
    ///
    /// # Errors
    ///
    /// The last line is no id.
    pub fn finish(mut self) -> Result<RosterBuilder, CohortError> {
        let last = std::mem::take(&mut self.rest);
        self.line(&last)?;
        Ok(self.list)
    }

    fn wrong(&self, problem: &'static str) -> CohortError {
        CohortError::Line { number: self.number + 1, problem }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), CohortError> {
        let text = std::str::from_utf8(line).map_err(|_other| self.wrong("is no UTF-8 text"))?;
        let text = if self.number == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let text = text.trim();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let heading = self.heading && self.number == 0 && ["id", "patient"].contains(&&*bare.to_ascii_lowercase());
        if !text.is_empty() && !heading {
            let path = bare.strip_prefix(self.base_url.trim_end_matches('/')).unwrap_or(bare);
            let id = patient_id(path).ok_or_else(|| self.wrong("is not the id of a Patient, alone on its line"))?;
            self.list.push(id)?;
        }
        self.number += 1;
        Ok(())
    }
}
