//! What a database administrator is asked for: the relations a role must read, and the indexes restricted exports want.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::bind::{row_sources, table};
use super::catalog::Catalog;
use super::patients::{Compartment, compartment};
use super::select::{Param, Statement, quote_ident};
use super::updated::stamps;
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
        params: vec![Param::TextArray(candidates.into())],
    }
}

/// A column that a restricted export looks rows up by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Looked {
    /// `schema.table.column`, in SQL's quotes where it needs them.
    pub origin: String,
    /// What looks: a flag of `smelt export`, or a list.
    pub by: &'static str,
}

/// The table columns that `--since` and `--patient` look rows up by, each once.
pub fn looked_up(pack: &Pack, catalog: &Catalog) -> Vec<Looked> {
    let mut found: BTreeSet<Looked> = BTreeSet::new();
    let mut add = |rows: &str, column: &str, by| {
        let column = catalog.rows.get(rows).and_then(|rows| rows.column(column));
        if let Some(origin) = column.and_then(|(_, column)| column.origin.clone()) {
            found.insert(Looked { origin, by });
        }
    };
    for mapping in &pack.mappings {
        let stamps = catalog.rows.get(&mapping.name).map(|rows| stamps(mapping, rows)).unwrap_or_default();
        for stamp in stamps.iter().filter(|stamp| !stamp.commit) {
            add(&mapping.name, &stamp.name.text, "--since");
        }
        if let Compartment::Column { column: (column, _), .. } = compartment(pack, mapping, catalog) {
            add(&mapping.name, &column, "--patient");
        }
        for list in &mapping.header.lists {
            if let Some(parent) = list.parent.first() {
                add(&format!("{}/{}", mapping.name, list.name.text), &parent.text, "lists of few rows");
            }
        }
    }
    found.into_iter().collect()
}

/// Which of these columns no index begins with: one `text` per row, as given.
pub fn unindexed(origins: Vec<String>) -> Statement {
    Statement {
        text: "select w.origin from unnest($1::text[]) with ordinality as w (origin, n) \
               cross join lateral parse_ident(w.origin) as p \
               join pg_catalog.pg_namespace n on n.nspname = p[1] \
               join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p[2] \
               join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = p[3] \
               where c.relkind in ('r', 'p', 'm') and not exists (select from pg_catalog.pg_index i \
               where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum) \
               order by w.n"
            .to_owned(),
        params: vec![Param::TextArray(origins.into())],
    }
}

/// An index that begins with each of these columns (or NULL), and the rows of their tables at the last ANALYZE: three
/// `text` per row.
pub fn indexed(origins: Vec<String>) -> Statement {
    Statement {
        text: "select w.origin, (select min(x.relname::text) from pg_catalog.pg_index i \
               join pg_catalog.pg_class x on x.oid = i.indexrelid \
               where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum), \
               case when c.reltuples >= 0 then c.reltuples::bigint::text end \
               from unnest($1::text[]) as w (origin) cross join lateral parse_ident(w.origin) as p \
               join pg_catalog.pg_namespace n on n.nspname = p[1] \
               join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p[2] \
               join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = p[3]"
            .to_owned(),
        params: vec![Param::TextArray(origins.into())],
    }
}

/// The SQL that makes the indexes, as comments: what is worth one is the administrator's to say.
pub fn index_script(missing: &[&Looked]) -> String {
    let mut script = String::new();
    for Looked { origin, by } in missing {
        let (table, column) = origin.rsplit_once('.').unwrap_or((origin, ""));
        // Writing to a String cannot fail.
        let _ = writeln!(script, "-- create index concurrently on {table} ({column}); -- {by}");
    }
    if script.is_empty() {
        script
    } else {
        format!("\n-- Restricted exports read these tables whole for want of an index:\n{script}")
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
    let stats = format!(
        "\n-- So that transactionTime is exact while others write; it also shows the role what other sessions run:\n\
         -- grant pg_read_all_stats to {role};\n"
    );
    usage.chain(select).chain([stats]).collect()
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
    fn indexes_are_proposed_as_comments() {
        let looked = Looked { origin: "ehr.\"Visits\".\"last.change\"".to_owned(), by: "--since" };
        // A dot inside quotes is rare enough to be looked at by a person: the line is a comment.
        let plain = Looked { origin: "ehr.visits.patient".to_owned(), by: "--patient" };
        let script = index_script(&[&plain]);
        assert!(script.ends_with("-- create index concurrently on ehr.visits (patient); -- --patient\n"), "{script}");
        assert!(index_script(&[&looked]).lines().all(|line| line.is_empty() || line.starts_with("-- ")));
        assert_eq!(index_script(&[]), "");
    }

    #[test]
    fn a_script_grants_what_is_named() {
        let relations = [("ehr".to_owned(), "a\"b".to_owned()), ("ehr".to_owned(), "visits".to_owned())];
        let want = "grant usage on schema \"ehr\" to \"r\";\ngrant select on \"ehr\".\"a\"\"b\" to \"r\";\n\
                    grant select on \"ehr\".\"visits\" to \"r\";\n";
        let script = script("r", &relations);
        assert!(script.starts_with(want), "{script}");
        assert!(script.ends_with("-- grant pg_read_all_stats to \"r\";\n"), "{script}");
    }
}
