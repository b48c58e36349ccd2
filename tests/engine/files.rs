//! Sizes of files, whatever is in them.

use std::fs;

use smelt::bulk::Parameters;
use smelt::bulk::manifest::ManifestFile;
use smelt::export::ExportOptions;
use smelt::sink::Codec;

use crate::support::database::Database;
use crate::support::pack::{pack, run_with, runtime};

const LARGEST: u64 = 700;

const MAPPING: &str = "table: t\nkey: id\nupdated: at\ndeleted: dead\npatient: none\nresource:\n  resourceType: Observation\n  \
                       id: \"o-{{id}}\"\n  status: $status\n  code: {text: $note}\n";

/// Names count up without a gap, and no file but one of a single line is too large.
fn fits(files: &[ManifestFile], base: &str, ending: &str) -> u64 {
    assert!(files.len() > 1, "{base}: {}", files.len());
    for (file, number) in files.iter().zip(1..) {
        assert_eq!(file.url, format!("{base}.{number:04}.ndjson{ending}"));
        assert!(file.file_size <= LARGEST || file.count == 1, "{}: {} of {}", file.url, file.count, file.file_size);
    }
    files.iter().map(|file| file.count).sum()
}

// K-68 F-17: resources, deletions and messages, stored in every way, by several workers.
#[test]
fn no_file_of_any_kind_is_larger_than_it_may_be() {
    let runtime = runtime();
    // Of 400 rows 80 are dead; of the others every third has no status, and some are larger than a file.
    let database = runtime.block_on(Database::new(
        "create table t (id int primary key, status text, note text, at timestamptz not null, dead bool not null);
         insert into t select n, case when n % 3 > 0 then 'final' end, repeat('x', (n * 7919) % 900), now(), n % 5 = 0
         from generate_series(1, 400) n; analyze t",
    ));
    let asked = Parameters { since: Some("2000-01-01".to_owned()), ..Parameters::default() };
    for (codec, ending) in [(Codec::None, ""), (Codec::Gzip, ".gz"), (Codec::Zstd, ".zst")] {
        let options = ExportOptions { workers: 3, file_bytes: LARGEST, codec, ..ExportOptions::default() };
        let ran = run_with(&runtime, database.dsn(), &pack(&[("mappings/m.yaml", MAPPING)]), &asked, &options);
        let ran = ran.expect("an export");
        let manifest = &ran.exported.manifest;
        let emitted = fits(&manifest.output, "Observation", ending);
        let deleted = fits(manifest.deleted.as_deref().expect("deletions"), "deleted", ending);
        let told = fits(&manifest.outcome, "OperationOutcome", ending);
        let report = &ran.exported.report.mappings[0];
        assert_eq!((emitted, emitted + report.rejected, deleted), (report.emitted, 320, 80));
        assert!(told >= report.rejected);
        for file in manifest.files().filter(|_| codec == Codec::None) {
            let text = fs::read(ran.out.path().join(&file.url)).expect("a file");
            let lines = text.split_inclusive(|byte| *byte == b'\n').count();
            assert_eq!((text.len() as u64, lines as u64), (file.file_size, file.count), "{}", file.url);
        }
    }
}
