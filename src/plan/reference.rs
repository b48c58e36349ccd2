//! A reference's arguments against the key of the mapping it points to: where their types differ, the ids do too.

use super::columns::key_form;
use super::lower::Lower;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::tree::{Arg, Refers};

impl Lower<'_> {
    /// Says M406 for every argument whose type is not that of its key column.
    pub(super) fn reference_types(&mut self, refers: &Refers) {
        let Some(target) = self.pack.mappings.iter().find(|target| target.name == refers.mapping) else { return };
        let Some(rows) = self.catalog.rows.get(&target.name) else { return };
        for (arg, key) in refers.args.iter().zip(&target.header.key) {
            let (Arg::Column(column), Some((_, theirs))) = (arg, rows.column(&key.text)) else { continue };
            // Fields of json have no type of their own.
            let Some(found) = self.find_column(column, false).filter(|found| !found.from_json) else { continue };
            let kind = |kind| key_form("q", &key.text, kind).map(|form| form.kind);
            let (Some(own), Some(wanted)) = (kind(&found.kind), kind(&theirs.kind)) else { continue };
            if own != wanted {
                let message =
                    format!("key types differ: {} here, {} in mapping `{}`", found.kind, theirs.kind, target.name);
                self.diagnostics.push(
                    Diagnostic::error("M406", column.span, message)
                        .also(key.span, "the key it refers to")
                        .help("cast one of them in SQL, so that both are of one type"),
                );
            }
        }
    }
}
