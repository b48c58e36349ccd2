//! Every diagnostic code there is. A code, once published, keeps its meaning.

use super::diagnostic::Severity;

/// What a code stands for; its page is `docs/src/reference/diagnostics/<code>.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// `M202`: M from reading and checking a pack, R from a run.
    pub code: &'static str,
    /// Its name in words, `misplaced-element`.
    pub slug: &'static str,
    /// How bad it usually is.
    pub severity: Severity,
    /// One line.
    pub meaning: &'static str,
}

/// The code's entry.
pub fn info(code: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.code == code)
}

const fn error(code: &'static str, slug: &'static str, meaning: &'static str) -> CodeInfo {
    CodeInfo { code, slug, severity: Severity::Error, meaning }
}

const fn warning(code: &'static str, slug: &'static str, meaning: &'static str) -> CodeInfo {
    CodeInfo { code, slug, severity: Severity::Warning, meaning }
}

/// All codes, ordered.
pub const CODES: &[CodeInfo] = &[
    error("M100", "yaml-syntax", "the file is not valid YAML"),
    error("M101", "unquoted-template", "a value that starts with `{{` is not in quotes"),
    error("M102", "duplicate-key", "a key stands twice in one object"),
    error("M103", "unknown-key", "a header, project.yaml or fragment has no such key"),
    error("M104", "yaml-feature", "a tag, merge key, directive or second document is used"),
    error("M105", "wrong-shape", "text, a list or an object stands where another is wanted"),
    error("M106", "project", "project.yaml says something that cannot be"),
    error("M107", "missing-file", "a file, or the mapping to be patched, is not there; or a file is out of place"),
    error("M108", "missing-key", "a header, list or fragment lacks a key it needs"),
    error("M109", "block-key", "`$if`, `$each`, `$use` or `$ref` stands where it cannot, or there is no such block"),
    error("M201", "unknown-element", "the FHIR type has no such element"),
    error("M202", "misplaced-element", "the element belongs to another object nearby"),
    error("M203", "list-or-one", "FHIR wants a list here and one value is given, or the other way round"),
    error("M204", "column-type", "the column's type does not fit the FHIR type"),
    error("M205", "constant", "the constant does not fit the element's type or required value set"),
    error("M206", "missing-element", "an element FHIR requires is missing"),
    warning("M207", "unreachable-choice", "a choice member stands behind one that is always present"),
    warning("M208", "missing-profile-element", "an element a declared profile requires is missing"),
    error("M209", "not-a-uri", "neither an absolute URI nor an alias"),
    error("M210", "given-twice", "one element is given twice, and nothing decides between them"),
    error("M212", "primitive-extension", "extensions of a primitive (`_name`) stand where there can be none"),
    error("M214", "coding", "a coding cannot be read"),
    error("M301", "unknown-column", "the query has no such column"),
    error("M302", "sql", "the SQL cannot be used, or PostgreSQL cannot prepare it"),
    error("M303", "no-time-zone", "a time of day without a time zone stands where FHIR requires one"),
    error("M304", "wrong-row", "the column belongs to another row than the one in scope"),
    error("M305", "helper-name", "a column is named like a Handlebars helper"),
    error("M306", "template", "the template cannot be read"),
    error("M307", "query-columns", "the query returns a column twice or without a name"),
    warning("M308", "not-pushed-down", "PostgreSQL reads the whole query for one patient"),
    warning("M309", "stale-lock", "columns.lock does not belong to these queries"),
    error("M310", "column-expression", "a column expression cannot be read"),
    error("M311", "condition", "a condition cannot be read"),
    error("M312", "site-constant", "project.yaml has no such site constant"),
    error("M313", "key-not-unique", "the key does not identify the rows of the query"),
    error("M314", "ids-collide", "two mappings of one type make the same id"),
    error("M315", "commit-times", "the time of a commit is asked for, and the server keeps none"),
    error("M401", "unknown-mapping", "no mapping has this name"),
    error("M402", "reference-type", "FHIR does not allow a reference to this type here"),
    error("M403", "key-columns", "a reference, list or tombstone source has not as many columns as the key"),
    error("M404", "id-columns", "`id` uses a column that is not in the key"),
    error("M405", "id-characters", "the id may hold characters, or a length, that FHIR does not allow"),
    error("M406", "reference-key-type", "an argument's type differs from the key column's"),
    error("M407", "reference", "a reference cannot be read"),
    error("M408", "contained-reference", "no contained resource has the id that a `#` reference names"),
    error("M501", "code-map-code", "a code map's target is not in the required value set"),
    error("M502", "code-map-targets", "a code map has several targets where one code is written"),
    error("M503", "code-map-file", "the code map file cannot be read"),
    error("M504", "unknown-code-map", "no code map has this name"),
    error("M505", "code-map-special", "a special code of a code map does not fit where the map is used"),
    error("M601", "fragment-parameter", "the fragment has no such parameter"),
    warning("M602", "list-order", "a list has no `order`, so its items have none"),
    error("M603", "fragment-type", "the fragment's type does not fit here"),
    error("M604", "unknown-fragment", "no fragment has this name"),
    error("M605", "fragment-circle", "a fragment uses itself"),
    warning("M701", "no-patient", "the type is in the patient compartment, but no path leads to a patient"),
    error("M702", "search-parameter", "the search parameter cannot be bound"),
    error("M801", "test-column", "a test row has a column that the query does not have"),
    warning("R204", "invalid-value", "a value cannot be written as its FHIR type"),
    warning("R205", "code-not-allowed", "a code is not in the required value set"),
    warning("R206", "missing-at-run-time", "parts were not written, because an element they require was empty"),
    warning("R405", "bad-id", "the id of a row is not a FHIR id"),
    warning("R501", "unmapped-codes", "source codes were met that a code map does not list"),
    warning("R503", "refused-code", "a code map refuses a value it does not list"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Every `"M123"` and `"R123"` of the sources, this file left out.
    fn used(directory: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used(&path, codes);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("catalogue.rs") {
                let text = fs::read_to_string(&path).unwrap();
                codes.extend(text.split('"').filter(|word| is_code(word)).map(str::to_owned));
            }
        }
    }

    fn is_code(word: &str) -> bool {
        word.len() == 4 && word.starts_with(['M', 'R']) && word[1..].chars().all(|c| c.is_ascii_digit())
    }

    fn used_codes() -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut codes);
        codes
    }

    #[test]
    fn every_code_in_the_sources_is_listed() {
        let missing: Vec<_> = used_codes().into_iter().filter(|code| info(code).is_none()).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn codes_are_ordered_and_slugs_unique() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        assert!(CODES.iter().all(|info| is_code(info.code)));
        let slugs: BTreeSet<_> = CODES.iter().map(|info| info.slug).collect();
        assert_eq!(slugs.len(), CODES.len());
    }

    #[test]
    fn every_listed_code_is_raised_somewhere() {
        let used = used_codes();
        let unused: Vec<_> = CODES.iter().map(|info| info.code).filter(|&code| !used.contains(code)).collect();
        assert_eq!(unused, [""; 0]);
    }
}
