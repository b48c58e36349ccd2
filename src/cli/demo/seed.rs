//! What the demo brings along: a database of synthetic patients, and the pack that maps it.
//!
//! The only file that writes to a database, and only to one that the demo has made.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader};
use std::pin::pin;

use bytes::Bytes;
use futures_sink::Sink as _;
use tokio_postgres::Client;

use crate::mapping::pack::{Layer, PackFiles};

/// The files of the pack: display path and text.
const PACK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/demo_pack.rs"));

/// The rows: `COPY` statements, each followed by rows in CSV and a line [`END`], compressed by zstd.
const ROWS: &[u8] = include_bytes!("../../../sql/demo/seed.sql.zst");

/// Ends the rows of a statement.
const END: &[u8] = b"\\.\n";

const SCHEMA: &str = include_str!("../../../sql/demo/schema.sql");

const CONSTRAINTS: &str = include_str!("../../../sql/demo/constraints.sql");

/// Bytes handed to the server at a time.
const CHUNK: usize = 128 * 1024;

/// Why the demo database could not be filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeedError {
    /// The server refused.
    #[error("failed to {doing}")]
    Database {
        /// What.
        doing: String,
        /// What it said. The data is synthetic.
        source: tokio_postgres::Error,
    },
    /// The program itself is damaged.
    #[error("the rows in this program are damaged")]
    Damaged(#[source] io::Error),
}

/// The pack `synthea`.
pub(super) fn pack() -> PackFiles {
    let files = PACK.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    PackFiles { layers: vec![Layer { name: "synthea".to_owned(), files }] }
}

/// Makes schema, rows, keys, indexes and statistics; how many tables and rows there are then.
pub(super) async fn load(client: &Client) -> Result<(usize, u64), SeedError> {
    run(client, "prepare the demo database", "set client_min_messages = warning; begin").await?;
    run(client, "create the demo tables", SCHEMA).await?;
    let mut script = rows()?;
    let (mut tables, mut rows) = (BTreeSet::new(), 0);
    while let Some(statement) = statement(&mut script)? {
        rows += copy(client, &statement, &mut script).await?;
        tables.insert(table(&statement).to_owned());
    }
    run(client, "create keys and indexes of the demo tables", CONSTRAINTS).await?;
    run(client, "finish the demo database", "commit; analyze").await?;
    Ok((tables.len(), rows))
}

async fn run(client: &Client, doing: &str, sql: &str) -> Result<(), SeedError> {
    client.batch_execute(sql).await.map_err(|source| SeedError::Database { doing: doing.to_owned(), source })
}

fn rows() -> Result<impl BufRead, SeedError> {
    Ok(BufReader::with_capacity(CHUNK, zstd::Decoder::new(ROWS).map_err(SeedError::Damaged)?))
}

/// The next statement, without its semicolon; `None` at the end.
fn statement(script: &mut impl BufRead) -> Result<Option<String>, SeedError> {
    let mut line = String::new();
    script.read_line(&mut line).map_err(SeedError::Damaged)?;
    Ok(if line.is_empty() { None } else { Some(line.trim_end_matches(['\n', ';']).to_owned()) })
}

/// The table of a statement.
fn table(statement: &str) -> &str {
    statement.split(' ').nth(1).unwrap_or_default()
}

/// Runs a statement with the rows that follow it.
async fn copy(client: &Client, statement: &str, script: &mut impl BufRead) -> Result<u64, SeedError> {
    let failed = |source| SeedError::Database { doing: format!("load table {}", table(statement)), source };
    let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await.map_err(failed)?);
    let mut ended = false;
    while !ended {
        let mut chunk = Vec::with_capacity(CHUNK);
        while !ended && chunk.len() < CHUNK {
            let start = chunk.len();
            if script.read_until(b'\n', &mut chunk).map_err(SeedError::Damaged)? == 0 {
                return Err(SeedError::Damaged(io::ErrorKind::UnexpectedEof.into()));
            }
            ended = &chunk[start..] == END;
            if ended {
                chunk.truncate(start);
            }
        }
        poll_fn(|cx| sink.as_mut().poll_ready(cx)).await.map_err(failed)?;
        sink.as_mut().start_send(Bytes::from(chunk)).map_err(failed)?;
    }
    sink.finish().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::read_pack;

    #[test]
    fn the_pack_is_the_one_of_the_repository() {
        let read = read_pack(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/synthea")).unwrap();
        let own = pack();
        assert_eq!((read.layers.len(), &read.layers[0].name), (1, &own.layers[0].name));
        assert_eq!(read.layers[0].files, own.layers[0].files);
    }

    #[test]
    fn every_table_has_rows_with_its_columns() {
        let mut script = rows().unwrap();
        let mut tables = BTreeSet::new();
        while let Some(statement) = statement(&mut script).unwrap() {
            let columns = statement.strip_suffix(") FROM STDIN (FORMAT csv)").expect("a statement");
            let mut row = String::new();
            script.read_line(&mut row).unwrap();
            if row.as_bytes() == END {
                continue;
            }
            // Commas between quotes are text; a row that goes on in the next line is left alone.
            let quotes = row.matches('"').count();
            let commas = row.split('"').step_by(2).map(|part| part.matches(',').count()).sum::<usize>();
            assert!(quotes % 2 == 1 || commas == columns.matches(',').count(), "{statement}");
            tables.insert(table(&statement).to_owned());
            let mut line = Vec::new();
            while line != END {
                line.clear();
                assert!(script.read_until(b'\n', &mut line).unwrap() > 0, "{statement} has an end");
            }
        }
        let wanted = SCHEMA.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split([' ', '(']).next());
        assert_eq!(tables, wanted.map(|name| format!("synthea.{name}")).collect());
    }
}
