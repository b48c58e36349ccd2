//! A checked pack meets a live database: columns are learnt, programs are made, mistakes are told at their line.

use std::sync::Arc;

use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::{Sources, Span};
use crate::mapping::tree::{Pack, Rows, RowsKind, SqlText};
use crate::plan::bind::{describe_statement, row_sources, table};
use crate::plan::catalog::{Catalog, RowSource};
use crate::plan::compile::compile;
use crate::plan::program::Compiled;
use crate::plan::select::quote_ident;
use crate::plan::updated::{commits, commits_are_dated};
use crate::source::{Rejection, Session, SourceError};

/// A pack that can run against the database it was prepared for.
#[derive(Debug)]
pub struct Prepared {
    /// The checked pack.
    pub pack: Pack,
    /// Its texts.
    pub sources: Sources,
    /// Columns of every row source.
    pub catalog: Catalog,
    /// Every mapping that runs, in the order of the pack.
    pub compiled: Vec<Arc<Compiled>>,
    /// `optional` mappings whose table does not exist.
    pub skipped: Vec<String>,
}

/// Learns the columns of a pack's row sources, and what PostgreSQL says against its queries (M302).
///
/// # Errors
///
/// What the connection gives; a query that PostgreSQL refuses is a diagnostic.
pub async fn learn(
    session: &Session,
    pack: &Pack,
    sources: &Sources,
) -> Result<(Catalog, Vec<String>, Vec<Diagnostic>), SourceError> {
    let mut catalog = Catalog::default();
    let mut skipped: Vec<String> = Vec::new();
    let mut diagnostics = Vec::new();
    let named = row_sources(pack);
    let statements: Vec<String> = named.iter().map(|named| describe_statement(named.rows)).collect();
    for (named, described) in named.into_iter().zip(session.describe_all(&statements).await?) {
        match described {
            Ok(columns) => {
                catalog.rows.insert(named.name, RowSource { columns });
            }
            Err(rejection) => {
                // 42P01: undefined_table
                if named.mapping.header.optional && rejection.sqlstate == "42P01" {
                    if !skipped.contains(&named.mapping.name) {
                        skipped.push(named.mapping.name.clone());
                    }
                } else {
                    let user = &sources.get(named.mapping.source).path;
                    diagnostics.push(refused(named.rows, user, &rejection));
                }
            }
        }
    }
    for name in &skipped {
        catalog.rows.retain(|source, _| source.split(['/', '#']).next() != Some(name));
    }
    Ok((catalog, skipped, diagnostics))
}

/// Learns and compiles. The pack is given back as prepared when nothing is wrong.
///
/// # Errors
///
/// What the connection gives.
pub async fn prepare(
    session: &Session,
    pack: Pack,
    sources: Sources,
) -> Result<(Result<Prepared, Sources>, Vec<Diagnostic>), SourceError> {
    let (catalog, skipped, mut diagnostics) = learn(session, &pack, &sources).await?;
    let (compiled, found) = compile(&pack, &sources, &catalog);
    diagnostics.extend(found);
    diagnostics.extend(undated_commits(session, &pack, &catalog).await?);
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    if failed {
        return Ok((Err(sources), diagnostics));
    }
    let compiled = compiled.into_iter().map(Arc::new).collect();
    Ok((Ok(Prepared { pack, sources, catalog, compiled, skipped }), diagnostics))
}

/// What stands against the times of commits that mappings go by (M315).
async fn undated_commits(session: &Session, pack: &Pack, catalog: &Catalog) -> Result<Vec<Diagnostic>, SourceError> {
    let commits = commits(pack, catalog);
    let mut found = Vec::new();
    if commits.is_empty() {
        return Ok(found);
    }
    let setting = session.query_text(&commits_are_dated()).await?;
    let off = setting.first().and_then(|row| row.first()).is_none_or(|text| text.as_deref() != Some("on"));
    for (mapping, name) in commits {
        if off {
            let message = "the server does not keep the times of commits";
            let error = Diagnostic::error("M315", name.span, message).label("its time is that of a commit");
            found.push(error.help(
                "set `track_commit_timestamp = on` in postgresql.conf and restart the server, or name a column with \
                 the time of the last change",
            ));
        } else if let RowsKind::Table { schema, name: of } = &mapping.header.rows.kind {
            // A view has no such column.
            let column = quote_ident(&name.text);
            let asked = session.describe(&format!("select {column} from {}", table(schema.as_deref(), of))).await;
            if let Err(SourceError::Rejected(rejection)) = asked {
                let message = format!("PostgreSQL cannot tell who wrote these rows: {}", rejection.message);
                let error = Diagnostic::error("M301", name.span, message).label(condition(&rejection.sqlstate));
                found
                    .push(error.help("write `sql:` that returns `xmin` of the changing table under a name of its own"));
            } else {
                asked?;
            }
        }
    }
    Ok(found)
}

fn refused(rows: &Rows, user: &str, rejection: &Rejection) -> Diagnostic {
    let span = match (&rows.kind, rejection.position) {
        (RowsKind::Sql(sql), Some(position)) => place(sql, position).unwrap_or(rows.span),
        _ => rows.span,
    };
    let what = match &rows.kind {
        RowsKind::Sql(_) => "prepare this query",
        RowsKind::Table { .. } => "read this table",
    };
    let mut diagnostic = Diagnostic::error("M302", span, format!("PostgreSQL cannot {what}: {}", rejection.message))
        .label(condition(&rejection.sqlstate));
    if let Some(hint) = &rejection.hint {
        diagnostic = diagnostic.note(format!("PostgreSQL suggests: {}", suggestion(hint)));
    }
    if span != rows.span {
        diagnostic = diagnostic.note(format!("used by {user}"));
    }
    diagnostic
}

/// A SQLSTATE with PostgreSQL's name of it, for the mistakes that a statement's text can have.
fn condition(sqlstate: &str) -> String {
    let name = match sqlstate {
        "22P02" => "invalid_text_representation",
        "3F000" => "invalid_schema_name",
        "42501" => "insufficient_privilege",
        "42601" => "syntax_error",
        "42702" => "ambiguous_column",
        "42703" => "undefined_column",
        "42704" => "undefined_object",
        "42725" => "ambiguous_function",
        "42803" => "grouping_error",
        "42804" => "datatype_mismatch",
        "42846" => "cannot_coerce",
        "42883" => "undefined_function",
        "42P01" => "undefined_table",
        "42P02" => "undefined_parameter",
        "42P09" => "ambiguous_alias",
        "42P18" => "indeterminate_datatype",
        _ => return format!("SQLSTATE {sqlstate}"),
    };
    format!("{sqlstate} {name}")
}

/// What a hint suggests, without the sentence around it where that is the usual one.
fn suggestion(hint: &str) -> &str {
    let column =
        hint.strip_prefix("Perhaps you meant to reference the column ").and_then(|rest| rest.strip_suffix('.'));
    column.filter(|column| !column.contains(' ')).unwrap_or(hint)
}

/// The word of a statement at a character position, in the file it stands in.
fn place(sql: &SqlText, position: usize) -> Option<Span> {
    let byte = sql.text.char_indices().nth(position).map_or(sql.text.len(), |(at, _)| at);
    let before = sql.text.get(..byte)?;
    let line = before.matches('\n').count();
    let column = byte - before.rfind('\n').map_or(0, |at| at + 1);
    let start = *sql.line_starts.get(line)? as usize + column;
    let word = sql.text.get(byte..)?;
    let length =
        word.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '$'))).unwrap_or(word.len()).max(1);
    Some(Span::new(sql.source, start, start + length))
}
