//! The output manifest (Bulk Data IG, "Response - Output Manifest").
//!
//! Its form is read by clients of every published version: `error` is always there, `outcome` repeats it under the
//! name of the coming version, and `extension` is an object.

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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file(resource_type: &str, url: &str) -> ManifestFile {
        let stored =
            Stored { stored_size: 7, sha256: Some("ab".to_owned()), content_encoding: Some("gzip".to_owned()) };
        let (resource_type, url) = (resource_type.to_owned(), url.to_owned());
        ManifestFile { resource_type, url, continues_in_file: None, count: 1, file_size: 20, stored }
    }

    fn manifest() -> Manifest {
        Manifest {
            transaction_time: "2026-02-02T09:12:40.118Z".to_owned(),
            request: "http://localhost/$export".to_owned(),
            requires_access_token: false,
            output_organized_by: None,
            output: Vec::new(),
            deleted: None,
            outcome: Vec::new(),
            extension: ManifestExtension {
                software: "smelt 0.1.0".to_owned(),
                pack: "synthea".to_owned(),
                pack_digest: "cd".to_owned(),
            },
        }
    }

    fn json(manifest: &Manifest) -> Value {
        serde_json::from_slice(&manifest.to_file_json().unwrap()).unwrap()
    }

    #[test]
    fn an_empty_export_still_has_output_and_error() {
        let json = json(&manifest());
        assert_eq!((&json["output"], &json["error"], &json["outcome"]), (&json!([]), &json!([]), &json!([])));
        assert_eq!(json.get("deleted"), None, "deletions were not computed");
        assert_eq!(json["requiresAccessToken"], json!(false));
    }

    #[test]
    fn deletions_computed_and_none_found_are_an_empty_list() {
        assert_eq!(json(&Manifest { deleted: Some(Vec::new()), ..manifest() })["deleted"], json!([]));
    }

    #[test]
    fn items_carry_what_a_client_checks() {
        let outcome = vec![file("OperationOutcome", "OperationOutcome.001.ndjson.gz")];
        let json = json(&Manifest { output: vec![file("Patient", "Patient.001.ndjson.gz")], outcome, ..manifest() });
        assert_eq!(
            json["output"],
            json!([{
                "type": "Patient", "url": "Patient.001.ndjson.gz", "count": 1, "fileSize": 20,
                "extension": {"storedSize": 7, "sha256": "ab", "contentEncoding": "gzip"}
            }])
        );
        assert_eq!(json["error"], json["outcome"]);
        assert_eq!(json["error"][0]["type"], json!("OperationOutcome"));
    }

    /// What `GET [status]` answers.
    fn public(manifest: &Manifest, dialect: Dialect, file_base: &str) -> Value {
        let form = Form { dialect, file_base, requires_access_token: true };
        serde_json::from_slice(&manifest.to_json(&form).unwrap()).unwrap()
    }

    fn whole() -> Manifest {
        let mut plain = file("Bundle", "deleted.001.ndjson");
        plain.stored.content_encoding = None;
        let mut zstd = file("OperationOutcome", "OperationOutcome.001.ndjson.zst");
        zstd.stored.content_encoding = Some("zstd".to_owned());
        let output = vec![file("Patient", "Patient.001.ndjson.gz")];
        Manifest { output, deleted: Some(vec![plain]), outcome: vec![zstd], ..manifest() }
    }

    // M-03 M-04 M-07 M-08 M-09 M-13 M-17 M-18 T-02 T-13 T-24
    #[test]
    fn the_compatible_service_has_what_every_reader_needs() {
        for base in ["https://h/r4/bulk-files/j", "https://h/r4/bulk-files/j/"] {
            let message = json!([{
                "type": "OperationOutcome", "url": "https://h/r4/bulk-files/j/OperationOutcome.001.ndjson",
                "count": 1, "fileSize": 20
            }]);
            let want = json!({
                "manifestType": MANIFEST_TYPE,
                "transactionTime": "2026-02-02T09:12:40.118Z",
                "request": "http://localhost/$export",
                "requiresAccessToken": true,
                "outputFormat": "application/fhir+ndjson",
                "output": [{
                    "type": "Patient", "url": "https://h/r4/bulk-files/j/Patient.001.ndjson", "count": 1, "fileSize": 20
                }],
                "deleted": [{
                    "type": "Bundle", "url": "https://h/r4/bulk-files/j/deleted.001.ndjson", "count": 1, "fileSize": 20
                }],
                "error": message,
                "outcome": message,
            });
            assert_eq!(public(&whole(), Dialect::Compatible, base), want);
        }
    }

    // M-05 M-11 M-13 T-02
    #[test]
    fn an_empty_export_keeps_its_keys() {
        let empty = public(&manifest(), Dialect::Compatible, "https://h");
        assert_eq!((&empty["output"], &empty["error"], &empty["outcome"]), (&json!([]), &json!([]), &json!([])));
        assert_eq!(empty.get("deleted"), None, "deletions were not computed");
        let none = Manifest { deleted: Some(Vec::new()), ..manifest() };
        assert_eq!(public(&none, Dialect::Compatible, "https://h")["deleted"], json!([]));
    }

    // M-14
    #[test]
    fn the_strict_service_has_what_version_4_has() {
        let strict = public(&whole(), Dialect::V4, "");
        assert_eq!((strict.get("request"), strict.get("error")), (None, None));
        assert_eq!(strict["output"][0]["type"], "Patient");
        assert_eq!(strict["deleted"], json!([{"url": "deleted.001.ndjson", "count": 1, "fileSize": 20}]));
        assert_eq!(strict["outcome"], json!([{"url": "OperationOutcome.001.ndjson", "count": 1, "fileSize": 20}]));
    }

    // M-15 F-21
    #[test]
    fn files_of_blocks_have_no_type_and_say_where_a_block_goes_on() {
        let mut first = file("", "blocks.0001.ndjson.gz");
        first.continues_in_file = Some("blocks.0002.ndjson.gz".to_owned());
        let output = vec![first, file("", "blocks.0002.ndjson.gz")];
        let organized = Manifest { output_organized_by: Some("Patient".to_owned()), output, ..manifest() };
        let name = |number: u32, ending: &str| format!("blocks.000{number}.ndjson{ending}");
        for dialect in [Dialect::Compatible, Dialect::V4] {
            let json = public(&organized, dialect, "https://h/j");
            assert_eq!(json["outputOrganizedBy"], "Patient");
            let of = |number: u32| format!("https://h/j/{}", name(number, ""));
            assert_eq!(
                json["output"],
                json!([
                    {"url": of(1), "continuesInFile": of(2), "count": 1, "fileSize": 20},
                    {"url": of(2), "count": 1, "fileSize": 20}
                ])
            );
        }
        let file = json(&organized);
        assert_eq!((&file["outputOrganizedBy"], &file["output"][1].get("type")), (&json!("Patient"), &None));
        assert_eq!(file["output"][0]["continuesInFile"], name(2, ".gz"));
        // A record of a version that knew neither.
        let mut old = serde_json::to_value(manifest()).unwrap();
        old.as_object_mut().unwrap().remove("output_organized_by");
        assert_eq!(serde_json::from_value::<Manifest>(old).unwrap(), manifest());
    }

    // M-19
    #[test]
    fn patients_and_encounters_come_first_and_files_count_up() {
        let given = [
            ("Observation", "Observation.1000.ndjson"),
            ("Observation", "Observation.999.ndjson"),
            ("Condition", "Condition.001.ndjson"),
            ("Encounter", "Encounter.001.ndjson"),
            ("Patient", "Patient.002.ndjson"),
            ("Patient", "Patient.001.ndjson"),
        ];
        let output = given.iter().map(|(name, url)| file(name, url)).collect();
        let sorted = Manifest { output, ..manifest() }.sorted();
        let urls: Vec<&str> = sorted.output.iter().map(|file| file.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "Patient.001.ndjson",
                "Patient.002.ndjson",
                "Encounter.001.ndjson",
                "Condition.001.ndjson",
                "Observation.999.ndjson",
                "Observation.1000.ndjson"
            ]
        );
    }
}
