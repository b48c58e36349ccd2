//! The only writer of SQL: statements around a pack's row sources.

/// Shape of one stream's statement: what is selected and how it is ordered. Filters and splits are added per run.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Parenthesised row source: `(select …)` or a quoted table name.
    pub from: String,
    /// Select list, in column order of the stream.
    pub columns: Vec<String>,
    /// Ordering expressions; empty for a flat export.
    pub order: Vec<String>,
}

/// One statement with the values of its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// SQL. `$1` stands for the first parameter and is cast where another type is wanted:
    /// `updated_at > $1::text::timestamptz`.
    pub text: String,
    /// Values of `$1`, `$2`, …
    pub params: Vec<Param>,
}

/// The value of a parameter. There are only texts: the server reads every other type from its text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    /// `text`.
    Text(String),
    /// `text[]`.
    TextArray(Vec<String>),
}

/// `name` as a quoted SQL identifier. The only place where identifiers are quoted.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote_ident("hosp"), r#""hosp""#);
        assert_eq!(quote_ident(r#"a"; drop table b; --"#), r#""a""; drop table b; --""#);
    }
}
