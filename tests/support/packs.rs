//! Packs for tests: from texts, or as they are shipped.

use std::path::Path;

use smelt::fhir::alias;
use smelt::mapping::check::check;
use smelt::mapping::diagnostic::Severity;
use smelt::mapping::pack::{Layer, PackFiles, load};
use smelt::mapping::render;
use smelt::mapping::source::Sources;
use smelt::mapping::tree::Pack;
use smelt::plan::catalog::{Catalog, Column, RowSource};
use smelt::plan::lock;
use smelt::row::PgKind;

/// A checked pack with its columns.
pub(crate) struct Ready {
    pub(crate) pack: Pack,
    pub(crate) sources: Sources,
    pub(crate) catalog: Catalog,
}

/// Checks the files; a mistake in them fails the test.
pub(crate) fn checked(files: &PackFiles) -> (Pack, Sources) {
    let checked = check(load(files, alias::builtins()));
    let errors: Vec<_> =
        checked.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{}", render::text(&errors, &checked.sources, false));
    (checked.pack.unwrap(), checked.sources)
}

/// A pack of these texts, and columns written as `name type`.
pub(crate) fn of_texts(files: &[(&str, &str)], columns: &[(&str, &[&str])]) -> Ready {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let (pack, sources) = checked(&PackFiles { layers: vec![Layer { name: "test".to_owned(), files }] });
    let rows = columns.iter().map(|(name, columns)| {
        let column = |text: &&str| {
            let (name, kind) = text.split_once(' ').unwrap();
            Column { name: name.to_owned(), kind: PgKind::from_sql_name(kind), origin: None }
        };
        ((*name).to_owned(), RowSource { columns: columns.iter().map(column).collect() })
    });
    Ready { pack, sources, catalog: Catalog { rows: rows.collect() } }
}

/// A pack that is shipped, with the columns of its `columns.lock`.
pub(crate) fn shipped(name: &str) -> Ready {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings").join(name);
    let files = smelt::config::pack::read_pack(&directory).unwrap();
    let (pack, mut sources) = checked(&files);
    let text = std::fs::read_to_string(directory.join(lock::FILE_NAME)).unwrap();
    let source = sources.add(format!("mappings/{name}/{}", lock::FILE_NAME), text.as_str());
    let mut diagnostics = Vec::new();
    let lock = lock::parse(source, &text, &mut diagnostics);
    diagnostics.extend(lock::stale(&pack, &lock));
    assert!(diagnostics.is_empty(), "{}", render::text(&diagnostics, &sources, false));
    Ready { pack, sources, catalog: lock.catalog }
}
