//! The PostgreSQL types whose binary form smelt can read.

use std::fmt;

/// How a column's binary field is to be read. Domains arrive as their base type; enums and
/// text-like extension types (`citext`) as [`PgKind::Text`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PgKind {
    /// `boolean`: one byte.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`: base-10000 digits with a display scale.
    Numeric,
    /// `text`, `varchar`, `name`, enums, `citext`: bytes in the client encoding.
    Text,
    /// `char(n)`: as text, padded with blanks that mean nothing.
    Char,
    /// `date`: days since 2000-01-01.
    Date,
    /// `time without time zone`: microseconds since midnight.
    Time,
    /// `timestamp without time zone`: microseconds since 2000-01-01, no zone known.
    Timestamp,
    /// `timestamp with time zone`: microseconds since 2000-01-01T00:00:00Z.
    TimestampTz,
    /// `uuid`: 16 bytes.
    Uuid,
    /// `json`: text.
    Json,
    /// `jsonb`: a version byte, then text.
    Jsonb,
    /// `bytea`.
    Bytea,
    /// A one-dimensional array of a scalar kind.
    Array(Box<PgKind>),
    /// Anything else, by PostgreSQL's name of it; a mapping that uses such a column is told to cast it in SQL.
    Other(String),
}

impl PgKind {
    /// The kind that PostgreSQL's `format_type` name (`timestamp with time zone`, `text[]`, `uuid`) stands for.
    pub fn from_sql_name(name: &str) -> Self {
        if let Some(of) = name.strip_suffix("[]") {
            return Self::Array(Box::new(Self::from_sql_name(of)));
        }
        let base = name.split('(').next().unwrap_or(name).trim();
        match base {
            "boolean" | "bool" => Self::Bool,
            "smallint" | "int2" => Self::Int2,
            "integer" | "int4" => Self::Int4,
            "bigint" | "int8" => Self::Int8,
            "real" | "float4" => Self::Float4,
            "double precision" | "float8" => Self::Float8,
            "numeric" => Self::Numeric,
            "text" | "character varying" | "varchar" | "name" | "citext" => Self::Text,
            "character" | "bpchar" => Self::Char,
            "date" => Self::Date,
            "time" | "time without time zone" => Self::Time,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            "timestamptz" | "timestamp with time zone" => Self::TimestampTz,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            _ if name.starts_with("time(") && name.ends_with("without time zone") => Self::Time,
            _ if name.starts_with("timestamp(") && name.ends_with("with time zone") => Self::TimestampTz,
            _ if name.starts_with("timestamp(") => Self::Timestamp,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// True for kinds whose binary form is text in the client encoding.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Char)
    }
}

impl fmt::Display for PgKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Char => "character",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Bytea => "bytea",
            Self::Array(of) => return write!(f, "{of}[]"),
            Self::Other(name) => name,
        })
    }
}
