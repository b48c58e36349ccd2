//! What a role needs to read a pack's rows: the relations its statements name.

use super::bind::{row_sources, table};
use super::select::{Param, Statement, quote_ident};
use crate::mapping::tree::{Pack, RowsKind};

/// A statement's names that may be relations, each quoted, as PostgreSQL would look it up.
fn names(sql: &str) -> Vec<String> {
    let chars: Vec<char> = sql.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    // The parts of a dotted name read so far.
    let mut parts: Vec<String> = Vec::new();
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    let past = |from: usize, text: &str| {
        (from..chars.len()).find(|at| starts(*at, text)).map_or(chars.len(), |at| at + text.len())
    };
    while at < chars.len() {
        let c = chars[at];
        let word = if starts(at, "--") {
            at = past(at, "\n");
            continue;
        } else if starts(at, "/*") {
            at = past(at + 2, "*/");
            continue;
        } else if c == '\'' {
            at = past(at + 1, "'");
            continue;
        } else if c == '"' {
            let end = past(at + 1, "\"");
            let word: String = chars[at + 1..end.saturating_sub(1).max(at + 1)].iter().collect();
            at = end;
            word
        } else if c.is_alphabetic() || c == '_' {
            let end = (at..chars.len()).find(|n| !(chars[*n].is_alphanumeric() || matches!(chars[*n], '_' | '$')));
            let end = end.unwrap_or(chars.len());
            let word: String = chars[at..end].iter().collect::<String>().to_lowercase();
            at = end;
            word
        } else {
            at += 1;
            continue;
        };
        parts.push(word);
        if chars.get(at) == Some(&'.') {
            at += 1;
            continue;
        }
        found.push(parts.iter().map(|part| quote_ident(part)).collect::<Vec<_>>().join("."));
        parts.clear();
    }
    found.sort();
    found.dedup();
    found
}

/// Every name in a pack's statements that may be a relation.
pub fn candidates(pack: &Pack) -> Vec<String> {
    let mut all: Vec<String> = row_sources(pack)
        .into_iter()
        .flat_map(|named| match &named.rows.kind {
            RowsKind::Table { schema, name } => vec![table(schema.as_deref(), name)],
            RowsKind::Sql(sql) => names(&sql.text),
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Which of these names are relations: schema, name and `pg_class.relkind` as text, a row each.
pub fn relations(candidates: Vec<String>) -> Statement {
    Statement {
        text: "select distinct n.nspname::text, c.relname::text, c.relkind::text from unnest($1::text[]) as name \
               join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(name) \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where c.relkind in ('r', 'p', 'v', 'm', 'f') \
               and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2"
            .to_owned(),
        params: vec![Param::TextArray(candidates)],
    }
}

/// The SQL that lets `role` read these relations (schema and name) and nothing else.
pub fn script(role: &str, relations: &[(String, String)]) -> String {
    let role = quote_ident(role);
    let mut schemas: Vec<&str> = relations.iter().map(|(schema, _)| schema.as_str()).collect();
    schemas.dedup();
    let usage = schemas.into_iter().map(|schema| format!("grant usage on schema {} to {role};\n", quote_ident(schema)));
    let select =
        relations.iter().map(|(schema, name)| format!("grant select on {} to {role};\n", table(Some(schema), name)));
    usage.chain(select).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_outside_comments_and_texts() {
        let sql = "select a.\"Odd Name\", 'patients' -- from secrets\nfrom ehr.Visits a /* join x */ join \"T\" t";
        let found = names(sql);
        for name in ["\"ehr\".\"visits\"", "\"T\"", "\"a\".\"Odd Name\""] {
            assert!(found.iter().any(|known| known == name), "{name} {found:?}");
        }
        assert!(!found.iter().any(|name| name.contains("secrets") || name.contains("patients") || name == "\"x\""));
    }

    #[test]
    fn a_script_grants_what_is_named() {
        let relations = [("ehr".to_owned(), "a\"b".to_owned()), ("ehr".to_owned(), "visits".to_owned())];
        let want = "grant usage on schema \"ehr\" to \"r\";\ngrant select on \"ehr\".\"a\"\"b\" to \"r\";\n\
                    grant select on \"ehr\".\"visits\" to \"r\";\n";
        assert_eq!(script("r", &relations), want);
    }
}
