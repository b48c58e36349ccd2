//! What is asked for about the files themselves, whatever is in them (K-67, K-68).

use serde::{Deserialize, Serialize};

/// Sizes are bytes before compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// `_minimumFileSize`: what every file of a type but one should have.
    pub minimum: Option<u64>,
    /// `_maximumFileSize`: what no file has more of, unless it is one resource alone.
    pub maximum: Option<u64>,
    /// `allowPartialManifests`: files may be told while the export goes on.
    pub early: bool,
}

impl Files {
    /// The query parameters that ask for it.
    pub(super) fn pairs(&self) -> [(&'static str, Option<String>); 3] {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        [
            ("_minimumFileSize", number(self.minimum)),
            ("_maximumFileSize", number(self.maximum)),
            ("allowPartialManifests", self.early.then(|| "true".to_owned())),
        ]
    }
}
