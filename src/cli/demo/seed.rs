//! What the demo brings along: a database of synthetic patients, and the pack that maps it.
//!
//! The only file that writes to a database, and only to one that the demo has made.

use std::future::poll_fn;
use std::io::{self, Read as _};
use std::pin::pin;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_sink::Sink as _;
use tokio_postgres::Client;

use crate::mapping::pack::{Layer, PackFiles};

/// The files of the pack: display path and text.
const PACK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/demo_pack.rs"));

/// The rows: table and CSV without header, compressed by gzip.
const ROWS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_seed.rs"));

const SCHEMA: &str = include_str!("../../../sql/demo/schema.sql");

/// Tables in the order to load them, each with its columns.
const TABLES: &str = include_str!("../../../sql/demo/tables.txt");

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
    #[error("the rows of table {table} in this program are damaged")]
    Damaged {
        /// The table.
        table: String,
        /// How.
        source: io::Error,
    },
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
    let (mut tables, mut rows) = (0, 0);
    for line in TABLES.lines() {
        let Some((table, columns)) = line.split_once(' ') else { continue };
        tables += 1;
        rows += copy(client, table, columns).await?;
    }
    run(client, "create keys and indexes of the demo tables", CONSTRAINTS).await?;
    run(client, "finish the demo database", "commit; analyze").await?;
    Ok((tables, rows))
}

async fn run(client: &Client, doing: &str, sql: &str) -> Result<(), SeedError> {
    client.batch_execute(sql).await.map_err(|source| SeedError::Database { doing: doing.to_owned(), source })
}

async fn copy(client: &Client, table: &str, columns: &str) -> Result<u64, SeedError> {
    let failed = |source| SeedError::Database { doing: format!("load table {table}"), source };
    let damaged = |source| SeedError::Damaged { table: table.to_owned(), source };
    let rows = ROWS.iter().find(|(known, _)| *known == table);
    let (_, rows) = rows.ok_or_else(|| damaged(io::Error::from(io::ErrorKind::NotFound)))?;
    let statement = format!("copy synthea.{table} ({columns}) from stdin (format csv)");
    let mut sink = pin!(client.copy_in::<_, Bytes>(&statement).await.map_err(failed)?);
    let mut csv = GzDecoder::new(*rows);
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        if csv.by_ref().take(CHUNK as u64).read_to_end(&mut chunk).map_err(damaged)? == 0 {
            return sink.finish().await.map_err(failed);
        }
        poll_fn(|cx| sink.as_mut().poll_ready(cx)).await.map_err(failed)?;
        sink.as_mut().start_send(Bytes::from(chunk)).map_err(failed)?;
    }
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
        let tables: Vec<(&str, &str)> = TABLES.lines().filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(tables.len(), ROWS.len());
        for (table, columns) in tables {
            let (_, rows) = ROWS.iter().find(|(known, _)| *known == table).unwrap();
            let mut text = String::new();
            GzDecoder::new(*rows).read_to_string(&mut text).unwrap();
            // The first row: commas and line ends between quotes are text.
            let (mut quoted, mut commas) = (false, 0);
            for c in text.chars() {
                match c {
                    '"' => quoted = !quoted,
                    ',' if !quoted => commas += 1,
                    '\n' if !quoted => break,
                    _ => {}
                }
            }
            assert_eq!(commas, columns.matches(',').count(), "{table}");
        }
    }
}
