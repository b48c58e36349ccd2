//! What the database says about statements, tables and the own role.

use std::{collections::HashMap, pin::Pin};

use futures_core::Stream as _;
use tokio_postgres::{
    Row, RowStream, SimpleQueryMessage, Statement as Prepared,
    types::{FromSqlOwned, Kind, Type},
};

use super::{Rejection, Session, Source, SourceError, cursor::Raw};
use crate::{
    plan::{
        catalog::Column,
        select::{Param, Statement},
    },
    row::PgKind,
};

/// The planner's opinion of a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Rows returned.
    pub rows: f64,
    /// Bytes per row.
    pub width: f64,
    /// Cost of all rows, in the planner's units.
    pub cost: f64,
    /// `EXPLAIN (FORMAT JSON)`, as the server wrote it.
    pub plan: String,
}

/// Columns that identify a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKey {
    /// In the index's order.
    pub columns: Vec<String>,
    /// None of them can be NULL (several rows may share NULL otherwise).
    pub not_null: bool,
}

/// The planner's statistics of a column. The bounds are cell values: not for logs.
#[derive(Clone, PartialEq)]
pub struct ColumnStats {
    /// How far the order on disk follows the column's order, −1 to 1.
    pub correlation: Option<f32>,
    /// Share of NULLs.
    pub null_fraction: f32,
    /// Distinct values; negative: as a share of the rows.
    pub distinct: f32,
    /// Values that cut the column into ranges of about as many rows each, as text, ascending.
    pub bounds: Vec<String>,
}

/// What the own role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFacts {
    /// Its name.
    pub name: String,
    /// It may do everything.
    pub superuser: bool,
    /// It may change rows of at least one table outside the system's schemas.
    pub can_write: bool,
    /// It sees since when other sessions' transactions are open.
    pub sees_sessions: bool,
    /// The server is a replica.
    pub replica: bool,
}

impl Session {
    /// Columns of a statement, without running it. A statement that is not accepted does not end the session.
    ///
    /// # Errors
    ///
    /// [`SourceError::Rejected`] with the server's message and position.
    pub async fn describe(&self, sql: &str) -> Result<Vec<Column>, SourceError> {
        let described = self.describe_all(std::slice::from_ref(&sql.to_owned())).await?.pop();
        described.unwrap_or_else(|| Ok(Vec::new())).map_err(SourceError::Rejected)
    }

    /// As [`Session::describe`], for many statements at once, each with its own answer.
    pub async fn describe_all(
        &self,
        statements: &[String],
    ) -> Result<Vec<Result<Vec<Column>, Box<Rejection>>>, SourceError> {
        let mut described = Vec::with_capacity(statements.len());
        for text in statements {
            let statement = Statement { text: text.clone(), params: Vec::new() };
            described.push(match self.guarded(self.shared.prepare(&statement)).await {
                Ok(prepared) => Ok(prepared),
                Err(SourceError::Rejected(rejection)) => Err(rejection),
                Err(error) => return Err(error),
            });
        }
        let all = described.iter().flatten().flat_map(Prepared::columns);
        let from: Vec<(u32, i16)> = all.filter_map(origin).collect();
        let origins = self.guarded(self.origins(&from)).await?;
        let column = |column: &tokio_postgres::Column| Column {
            name: column.name().to_owned(),
            kind: kind(column.type_()),
            origin: origin(column).and_then(|key| origins.get(&key).cloned()),
        };
        let columns = |prepared: Prepared| prepared.columns().iter().map(column).collect();
        Ok(described.into_iter().map(|one| one.map(columns)).collect())
    }

    /// `schema.table.column` by table and column number, each quoted where SQL wants it.
    async fn origins(&self, keys: &[(u32, i16)]) -> Result<HashMap<(u32, i16), String>, SourceError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let list = |texts: Vec<String>| Param::TextArray(texts.into());
        let statement = Statement {
            text:
                "select distinct k.rel, k.att, quote_ident(n.nspname), quote_ident(c.relname), quote_ident(a.attname) \
                   from unnest($1::text[]::oid[], $2::text[]::int2[]) k (rel, att) \
                   join pg_catalog.pg_class c on c.oid = k.rel \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                   join pg_catalog.pg_attribute a on a.attrelid = k.rel and a.attnum = k.att"
                    .to_owned(),
            params: vec![
                list(keys.iter().map(|(rel, _)| rel.to_string()).collect()),
                list(keys.iter().map(|(_, att)| att.to_string()).collect()),
            ],
        };
        let prepared = self.shared.prepare(&statement).await?;
        let rows = collect(self.shared.query(prepared, statement.params).await?).await?;
        let read = |row: &Row| -> Result<_, tokio_postgres::Error> {
            let name = [row.try_get::<_, &str>(2)?, row.try_get(3)?, row.try_get(4)?].join(".");
            Ok(((row.try_get(0)?, row.try_get(1)?), name))
        };
        rows.iter().map(|row| read(row).map_err(|error| SourceError::running(&error))).collect()
    }

    /// The planner's estimate for a statement, which is not run.
    pub async fn explain_rows(&self, statement: &Statement) -> Result<Estimate, SourceError> {
        let explain =
            Statement { text: format!("explain (format json) {}", statement.text), params: statement.params.clone() };
        let plan = self.query_text(&explain).await?.into_iter().flatten().next().flatten().unwrap_or_default();
        let parsed: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
        let number = |key: &str| {
            let value = parsed.pointer(&format!("/0/Plan/{key}")).and_then(serde_json::Value::as_f64);
            value.ok_or_else(|| SourceError::Unexpected("EXPLAIN gave no estimate".to_owned()))
        };
        let (rows, width, cost) = (number("Plan Rows")?, number("Plan Width")?, number("Total Cost")?);
        Ok(Estimate { rows, width, cost, plan })
    }

    /// All rows of a small question, as texts. A failure does not end the session.
    ///
    /// # Errors
    ///
    /// [`SourceError::NotText`] for a column whose type is not text, boolean, number or JSON.
    pub async fn query_text(&self, statement: &Statement) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let work = async {
            let prepared = self.shared.prepare(statement).await?;
            let rows = collect(self.shared.query(prepared, statement.params.clone()).await?).await?;
            rows.iter().map(texts).collect()
        };
        self.guarded(work).await
    }

    /// Sets of columns that identify a row of a table: unique, not partial, checked at once, and without expressions.
    /// Views have none, and neither has what does not exist.
    ///
    /// `table` is an SQL name as in a statement: `patients`, `hosp."Patients"`.
    pub async fn unique_keys(&self, table: &str) -> Result<Vec<UniqueKey>, SourceError> {
        let text = "select i.indexrelid::bigint, a.attname::text, a.attnotnull \
            from pg_catalog.pg_index i \
            cross join unnest(i.indkey::int2[]) with ordinality k (att, n) \
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.att \
            where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indimmediate \
              and i.indpred is null and i.indexprs is null and k.n <= i.indnkeyatts \
            order by i.indisprimary desc, i.indexrelid, k.n";
        let params = vec![Param::Text(table.to_owned())];
        let mut keys: Vec<(Option<String>, UniqueKey)> = Vec::new();
        for row in self.query_text(&Statement { text: text.to_owned(), params }).await? {
            let Ok([index, Some(column), not_null]) = <[_; 3]>::try_from(row) else { continue };
            let not_null = not_null.as_deref() == Some("true");
            match keys.last_mut() {
                Some((last, key)) if *last == index => {
                    key.columns.push(column);
                    key.not_null &= not_null;
                }
                _ => keys.push((index, UniqueKey { columns: vec![column], not_null })),
            }
        }
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }

    /// The planner's statistics of a column; `None` if its table was not analysed or may not be read.
    ///
    /// `origin` is what [`Session::describe`] gives: `hosp."Patients".id`.
    pub async fn column_stats(&self, origin: &str) -> Result<Option<ColumnStats>, SourceError> {
        let text = "select s.correlation, s.null_frac, s.n_distinct, array_to_json(s.histogram_bounds::text::text[]) \
            from pg_catalog.pg_stats s, parse_ident($1::text) p \
            where s.schemaname = p[1] and s.tablename = p[2] and s.attname = p[3] order by s.inherited desc limit 1";
        let params = vec![Param::Text(origin.to_owned())];
        let Some([correlation, nulls, distinct, bounds]) = self.first_row(text, params).await? else {
            return Ok(None);
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(Some(ColumnStats {
            correlation: number(correlation),
            null_fraction: number(nulls).unwrap_or(0.0),
            distinct: number(distinct).unwrap_or(0.0),
            bounds: bounds.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        }))
    }

    /// The first row of a statement with `N` columns.
    async fn first_row<const N: usize>(
        &self,
        text: &str,
        params: Vec<Param>,
    ) -> Result<Option<[Option<String>; N]>, SourceError> {
        let rows = self.query_text(&Statement { text: text.to_owned(), params }).await?;
        Ok(rows.into_iter().next().and_then(|row| row.try_into().ok()))
    }

    /// The first value of a statement's first row, which must be there.
    pub(super) async fn first_text(&self, sql: &str) -> Result<String, SourceError> {
        let messages = self.script(sql).await?;
        let value = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        value.map(str::to_owned).ok_or_else(|| SourceError::Unexpected("a row is missing".to_owned()))
    }
}

impl Source {
    /// What the own role may do. smelt's own sessions are read-only whatever the role may do; a role that cannot
    /// write makes that certain.
    pub async fn check_read_only(&self) -> Result<RoleFacts, SourceError> {
        let text = "select current_user::text, r.rolsuper, \
              exists (select from pg_catalog.pg_class c \
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                where c.relkind in ('r', 'p', 'v', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
                  and (has_table_privilege(c.oid, 'insert, update, delete, truncate') \
                    or has_any_column_privilege(c.oid, 'insert, update'))), \
              pg_has_role('pg_read_all_stats', 'usage'), pg_is_in_recovery() \
            from pg_catalog.pg_roles r where r.rolname = current_user";
        let session = self.session().await?;
        let facts = session.first_row(text, Vec::new()).await?;
        let Some([Some(name), superuser, can_write, sees_sessions, replica]) = facts else {
            return Err(SourceError::Unexpected("the role is not in pg_roles".to_owned()));
        };
        let yes = |value: Option<String>| value.as_deref() == Some("true");
        Ok(RoleFacts {
            name,
            superuser: yes(superuser),
            can_write: yes(can_write),
            sees_sessions: yes(sees_sessions),
            replica: yes(replica),
        })
    }
}

fn origin(column: &tokio_postgres::Column) -> Option<(u32, i16)> {
    column.table_oid().zip(column.column_id())
}

/// How fields of this type are read.
fn kind(pg: &Type) -> PgKind {
    match pg.kind() {
        Kind::Domain(base) => kind(base),
        Kind::Enum(_) => PgKind::Text,
        Kind::Array(element) => PgKind::Array(Box::new(kind(element))),
        // `"char"` has one byte and no encoding; its name must not be taken for `char(n)`.
        _ if *pg == Type::CHAR => PgKind::Other("\"char\"".to_owned()),
        _ => PgKind::from_sql_name(pg.name()),
    }
}

async fn collect(stream: RowStream) -> Result<Vec<Row>, SourceError> {
    let mut stream = Box::pin(stream);
    let mut rows = Vec::new();
    while let Some(row) = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        rows.push(row.map_err(|error| SourceError::running(&error))?);
    }
    Ok(rows)
}

fn texts(row: &Row) -> Result<Vec<Option<String>>, SourceError> {
    row.columns().iter().enumerate().map(|(n, column)| text(row, n, column)).collect()
}

fn text(row: &Row, n: usize, column: &tokio_postgres::Column) -> Result<Option<String>, SourceError> {
    let refused = || SourceError::NotText { column: column.name().to_owned(), kind: column.type_().name().to_owned() };
    // What cannot be shown is refused even where it is NULL: the answer must not depend on the data.
    let read: Reader = match kind(column.type_()) {
        PgKind::Bool => as_text::<bool>,
        PgKind::Int2 => as_text::<i16>,
        PgKind::Int4 => as_text::<i32>,
        PgKind::Int8 => as_text::<i64>,
        PgKind::Float4 => as_text::<f32>,
        PgKind::Float8 => as_text::<f64>,
        PgKind::Text | PgKind::Char | PgKind::Json => |_, field| Ok(String::from_utf8(field.to_vec())?),
        _ => return Err(refused()),
    };
    let Raw(field) = row.try_get(n).map_err(|error| SourceError::running(&error))?;
    field.map(|field| read(column.type_(), field).map_err(|_unreadable| refused())).transpose()
}

/// Reads a field of the given type as text.
type Reader = fn(&Type, &[u8]) -> Result<String, Box<dyn std::error::Error + Sync + Send>>;

fn as_text<T: FromSqlOwned + ToString>(
    of: &Type,
    field: &[u8],
) -> Result<String, Box<dyn std::error::Error + Sync + Send>> {
    Ok(T::from_sql(of, field)?.to_string())
}
