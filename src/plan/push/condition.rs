//! What is known of a row before it is read.

use crate::plan::select::{Filter, Param};

/// What is known of a row before it is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// It may be found.
    Maybe,
    /// It is not found.
    Never,
    /// It is not found unless this holds.
    Sql(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Param(Param),
}

impl Condition {
    pub(super) fn sql(before: &str, param: Param, after: &str) -> Self {
        Self::Sql(vec![Piece::Text(before.to_owned()), Piece::Param(param), Piece::Text(after.to_owned())])
    }

    pub(super) fn text(text: String) -> Self {
        Self::Sql(vec![Piece::Text(text)])
    }

    /// The condition with SQL around it, where there is one.
    pub(super) fn within(self, before: &str, after: &str) -> Self {
        match self {
            Self::Sql(pieces) => {
                let around = |text: &str| [Piece::Text(text.to_owned())];
                Self::Sql(around(before).into_iter().chain(pieces).chain(around(after)).collect())
            }
            known => known,
        }
    }

    pub(super) fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = Vec::new();
        for condition in conditions {
            match condition {
                Self::Maybe => {}
                Self::Never => return Self::Never,
                Self::Sql(sql) => parts.push(sql),
            }
        }
        if parts.is_empty() { Self::Maybe } else { Self::joined(parts, " and ") }
    }

    pub(super) fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = Vec::new();
        for condition in conditions {
            match condition {
                Self::Maybe => return Self::Maybe,
                Self::Never => {}
                Self::Sql(sql) => parts.push(sql),
            }
        }
        parts.dedup();
        if parts.is_empty() { Self::Never } else { Self::joined(parts, " or ") }
    }

    fn joined(mut parts: Vec<Vec<Piece>>, word: &str) -> Self {
        if parts.len() == 1 {
            return Self::Sql(parts.remove(0));
        }
        let mut all = vec![Piece::Text("(".to_owned())];
        for (nth, part) in parts.into_iter().enumerate() {
            all.extend((nth > 0).then(|| Piece::Text(word.to_owned())));
            all.extend(part);
        }
        all.push(Piece::Text(")".to_owned()));
        Self::Sql(all)
    }
}

/// Adds a condition to a filter, its parameters behind those that are there.
pub(super) fn narrow(filter: &mut Filter, condition: Vec<Piece>) {
    let mut text = String::new();
    for piece in condition {
        match piece {
            Piece::Text(sql) => text.push_str(&sql),
            Piece::Param(param) => text.push_str(&filter.param(param)),
        }
    }
    filter.conditions.push(text);
}

#[cfg(test)]
mod tests {
    use super::Condition::{Maybe, Never};
    use super::*;

    #[test]
    fn what_is_certain_decides() {
        let sql = |name: &str| Condition::sql(name, Param::Text(name.to_owned()), "");
        let text = |condition| match condition {
            Condition::Sql(pieces) => {
                let mut filter = Filter { conditions: Vec::new(), params: vec![Param::Text("before".to_owned())] };
                narrow(&mut filter, pieces);
                filter.conditions.concat()
            }
            other => format!("{other:?}"),
        };
        for (condition, want) in [
            (Condition::all([]), "Maybe"),
            (Condition::any([]), "Never"),
            (Condition::all([Maybe, sql("a")]), "a$2"),
            (Condition::all([sql("a"), Never]), "Never"),
            (Condition::any([sql("a"), Never]), "a$2"),
            (Condition::any([Maybe, sql("a")]), "Maybe"),
            (Condition::all([sql("a"), Condition::any([sql("b"), sql("c")])]), "(a$2 and (b$3 or c$4))"),
            (Condition::any([sql("a"), sql("a")]), "a$2"),
        ] {
            assert_eq!(text(condition), want);
        }
    }
}
