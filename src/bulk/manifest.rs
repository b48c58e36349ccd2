//! The output manifest (Bulk Data IG, "Response - Output Manifest").
//!
//! Its form is read by clients of every published version: `error` is always there, `outcome` repeats it under the
//! name of the coming version, and `extension` is an object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kickoff::Dialect;

/// Canonical of the manifest's own logical model.
const MANIFEST_TYPE: &str = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest";

/// Media type of every file.
const FORMAT: &str = "application/fhir+ndjson";

/// What an export has produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// FHIR instant: everything that changed up to it is in the files.
    pub transaction_time: String,
    /// The kick-off URL, without what a request body holds.
    pub request: String,
    /// Whether the files need the access token the export needed.
    pub requires_access_token: bool,
    /// The type whose blocks the files of resources hold; none when they hold one type each (M-15).
    #[serde(default)]
    pub output_organized_by: Option<String>,
    /// Files of resources; types without data have none.
    pub output: Vec<ManifestFile>,
    /// Files of deletions; `None` when deletions were not computed, empty when there are none.
    pub deleted: Option<Vec<ManifestFile>>,
    /// Files of OperationOutcomes.
    pub outcome: Vec<ManifestFile>,
    /// What made the resources.
    pub extension: ManifestExtension,
}

/// What made the resources of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestExtension {
    /// Name and version of this program.
    pub software: String,
    /// Name of the mapping pack.
    pub pack: String,
    /// SHA-256 (hex) of the mapping pack.
    pub pack_digest: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFile {
    /// Type of every resource in it: `Bundle` for deletions, `OperationOutcome` for messages; empty where it holds blocks
    /// of all types.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub resource_type: String,
    /// Where it is: absolute, or relative to the manifest.
    pub url: String,
    /// The file in which its last block goes on, as its `url` says it (F-21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues_in_file: Option<String>,
    /// Number of resources, exact; the headers of blocks are none.
    pub count: u64,
    /// Bytes, not compressed.
    pub file_size: u64,
    /// How it is stored.
    #[serde(rename = "extension")]
    pub stored: Stored,
}

/// How a file is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Bytes as stored.
    pub stored_size: u64,
    /// SHA-256 (hex) over the bytes as stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `gzip` or `zstd`, when it is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
}

impl Manifest {
    /// Orders the files: Patient, Encounter, then by type; the files of a type by number. Files of blocks stay as they
    /// are: what goes on stands right before where it goes on.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        if self.output_organized_by.is_none() {
            sort(&mut self.output);
        }
        self.deleted.as_deref_mut().map(sort);
        sort(&mut self.outcome);
        self
    }

    /// Every file it lists.
    pub fn files(&self) -> impl Iterator<Item = &ManifestFile> {
        self.output.iter().chain(self.deleted.iter().flatten()).chain(&self.outcome)
    }

    /// The manifest over HTTP. `$export` has all that readers of versions 1 to 3 need, and `type` in every item (M-13,
    /// T-02, T-24); `$export-v4` has neither `request` nor `error`, and only items of `output` are typed (M-14).
    pub fn to_json(&self, form: &Form<'_>) -> Result<Vec<u8>, serde_json::Error> {
        let compatible = form.dialect == Dialect::Compatible;
        serde_json::to_vec(&Public {
            manifest_type: MANIFEST_TYPE,
            transaction_time: &self.transaction_time,
            request: compatible.then_some(&self.request),
            requires_access_token: form.requires_access_token,
            output_format: FORMAT,
            output_organized_by: self.output_organized_by.as_deref(),
            output: form.files(&self.output, true),
            deleted: self.deleted.as_deref().map(|deleted| form.files(deleted, compatible)),
            error: compatible.then(|| form.files(&self.outcome, true)),
            outcome: form.files(&self.outcome, compatible),
            link: form.next.map(|url| [BTreeMap::from([("relation", "next"), ("url", url)])]),
        })
    }

    /// The `manifest.json` of a directory: URLs are names of files beside it, items say how the files are stored.
    pub fn to_file_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(&Wire {
            transaction_time: &self.transaction_time,
            request: &self.request,
            requires_access_token: self.requires_access_token,
            output_organized_by: self.output_organized_by.as_deref(),
            output: &self.output,
            deleted: self.deleted.as_deref(),
            error: &self.outcome,
            outcome: &self.outcome,
            output_format: FORMAT,
            manifest_type: MANIFEST_TYPE,
            extension: &self.extension,
        })?;
        json.push(b'\n');
        Ok(json)
    }
}

/// How a manifest is told over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form<'a> {
    /// The service that was asked.
    pub dialect: Dialect,
    /// Absolute URL of the folder the files are in; empty leaves their names as they are.
    pub file_base: &'a str,
    /// Whether the files need the access token the export needed (M-04).
    pub requires_access_token: bool,
    /// Absolute URL of the page that comes next (S-15).
    pub next: Option<&'a str>,
}

impl Form<'_> {
    fn files<'a>(&self, files: &'a [ManifestFile], typed: bool) -> Vec<PublicFile<'a>> {
        files.iter().map(|file| file.public(self, typed)).collect()
    }
}

impl ManifestFile {
    /// The name it has over HTTP: how it is stored is told by a header there, not by an ending (M-08, T-13).
    pub fn public_name(&self) -> &str {
        self.without_ending(&self.url)
    }

    fn without_ending<'a>(&self, name: &'a str) -> &'a str {
        let ending = match self.stored.content_encoding.as_deref() {
            Some("gzip") => ".gz",
            Some("zstd") => ".zst",
            _ => "",
        };
        name.strip_suffix(ending).unwrap_or(name)
    }

    fn public(&self, form: &Form<'_>, typed: bool) -> PublicFile<'_> {
        let base = form.file_base.trim_end_matches('/');
        let url = |name: &str| {
            let name = self.without_ending(name);
            if base.is_empty() { name.to_owned() } else { format!("{base}/{name}") }
        };
        PublicFile {
            resource_type: (typed && !self.resource_type.is_empty()).then_some(&self.resource_type),
            url: url(&self.url),
            continues_in_file: self.continues_in_file.as_deref().map(url),
            count: self.count,
            file_size: self.file_size,
        }
    }
}

/// A file as HTTP tells it: without an extension of our own (M-18).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublicFile<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'a String>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    continues_in_file: Option<String>,
    count: u64,
    file_size: u64,
}

/// The order of keys over HTTP.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Public<'a> {
    manifest_type: &'a str,
    transaction_time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    requires_access_token: bool,
    output_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_organized_by: Option<&'a str>,
    output: Vec<PublicFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<Vec<PublicFile<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Vec<PublicFile<'a>>>,
    outcome: Vec<PublicFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<[BTreeMap<&'a str, &'a str>; 1]>,
}

/// Where a type stands in the manifest: loaders want the targets of references first.
pub fn type_rank(resource_type: &str) -> u8 {
    match resource_type {
        "Patient" => 0,
        "Encounter" => 1,
        _ => 2,
    }
}

fn sort(files: &mut [ManifestFile]) {
    // Length before text, so that file 1000 comes after file 999.
    files.sort_by(|a, b| {
        let key = |file: &ManifestFile| (type_rank(&file.resource_type), file.url.len());
        (key(a).0, &a.resource_type, key(a).1, &a.url).cmp(&(key(b).0, &b.resource_type, key(b).1, &b.url))
    });
}

/// The order of keys in the file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    transaction_time: &'a str,
    request: &'a str,
    requires_access_token: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_organized_by: Option<&'a str>,
    output: &'a [ManifestFile],
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<&'a [ManifestFile]>,
    error: &'a [ManifestFile],
    outcome: &'a [ManifestFile],
    output_format: &'a str,
    manifest_type: &'a str,
    extension: &'a ManifestExtension,
}

#[cfg(test)]
mod tests;
