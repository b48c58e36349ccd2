//! What the rows behind a resource had to say, in words: which columns were empty, which codes were not listed, which
//! conditions did not hold. No value is known here.

use crate::encode::{Seen, Watched, WatchedRow};
use crate::mapping::source::Span;
use crate::mapping::tree::ColumnRef;
use crate::plan::program::{Compiled, ScopeRows};
use crate::plan::select::{Read, ReadForm};

/// Where the columns of a level of `$each` come from.
#[derive(Debug, Clone)]
pub(super) enum Level {
    /// A row source, by its name in the catalog.
    Rows(String),
    /// The items of an array or json column of a row source: the column, then steps into the document.
    Items(String, Vec<String>),
}

/// Whether something is empty, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is there in every row.
    No,
    /// In some rows it is not.
    Sometimes(String),
    /// It is in none.
    Always(String),
}

impl Absence {
    /// `what` about so many of so many rows, `one` being what is said of a single row.
    fn of(absent: usize, rows: usize, one: &str) -> Self {
        match absent {
            0 => Self::No,
            _ if rows == 1 => Self::Always(one.to_owned()),
            _ if absent == rows => Self::Always(format!("{one} in all {rows} rows")),
            _ => Self::Sometimes(format!("{one} in {absent} of {rows} rows")),
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::No => None,
            Self::Sometimes(reason) | Self::Always(reason) => Some(reason),
        }
    }

    /// Of several that all must be there.
    pub(super) fn any(parts: &[Self]) -> Self {
        let always = joined(parts.iter().filter(|part| matches!(part, Self::Always(_))));
        let sometimes = joined(parts.iter());
        match (always, sometimes) {
            (Some(reason), _) => Self::Always(reason),
            (None, Some(reason)) => Self::Sometimes(reason),
            (None, None) => Self::No,
        }
    }

    /// Of several of which one is enough.
    pub(super) fn all(parts: &[Self]) -> Self {
        if parts.contains(&Self::No) {
            return Self::No;
        }
        let always = parts.iter().all(|part| matches!(part, Self::Always(_)));
        match joined(parts.iter()) {
            Some(reason) if always => Self::Always(reason),
            Some(reason) => Self::Sometimes(reason),
            None => Self::No,
        }
    }

    /// The same reason, in other words.
    pub(super) fn map(self, words: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::No => Self::No,
            Self::Sometimes(reason) => Self::Sometimes(words(&reason)),
            Self::Always(reason) => Self::Always(words(&reason)),
        }
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a Absence>) -> Option<String> {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in parts.filter_map(Absence::reason) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(" and "))
}

/// The rows behind one resource.
pub(super) struct Look<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) watched: &'a Watched,
}

impl Look<'_> {
    /// How many rows of a level there were.
    pub(super) fn rows(&self, level: &Level) -> usize {
        let scopes = &self.compiled.program.scopes;
        let here = |scope: &usize| match (&scopes[*scope].rows, level) {
            (ScopeRows::Stream { stream, .. }, Level::Rows(name)) => {
                self.compiled.streams.get(usize::from(*stream)).is_some_and(|stream| stream.rows == *name)
            }
            (ScopeRows::Arrays { arrays }, Level::Items(..)) => {
                (0..arrays.len()).any(|at| self.item_read(*scope, at, level).is_some())
            }
            _ => false,
        };
        (0..scopes.len()).filter(here).map(|scope| self.watched_in(scope).count()).max().unwrap_or(0)
    }

    /// Whether a column is empty, and what it is called.
    pub(super) fn column(&self, level: &Level, column: &ColumnRef, name: &str) -> Absence {
        let seen = self.each(level, column, |row, slots| {
            // A column that is read in several ways is empty when one of them finds nothing.
            let states = slots.iter().filter_map(|slot| row.slots.get(*slot).copied());
            states
                .max_by_key(|seen| [Seen::Value, Seen::Invalid, Seen::Blank, Seen::Null].iter().position(|s| s == seen))
        });
        let empty: Vec<&Seen> = seen.iter().filter(|seen| **seen != Seen::Value).collect();
        let all = |wanted: Seen| empty.iter().all(|seen| **seen == wanted);
        let state = if all(Seen::Null) {
            "NULL"
        } else if all(Seen::Blank) {
            "blank"
        } else if all(Seen::Invalid) {
            "not valid here"
        } else {
            "empty"
        };
        Absence::of(empty.len(), seen.len(), &format!("column {name} is {state}"))
    }

    /// Whether a code map gave nothing for a column that has a value, or for one that has none.
    pub(super) fn code(&self, level: &Level, column: &ColumnRef, name: &str, map: &str) -> Absence {
        let program = &self.compiled.program;
        let found = self.each(level, column, |row, slots| {
            let lookups = program.scopes.get(usize::from(row.scope))?.lookups.iter().filter(|lookup| {
                slots.contains(&usize::from(lookup.slot))
                    && program.maps.get(usize::from(lookup.map)).is_some_and(|table| table.name == map)
            });
            // A map in several forms gives something where one of them does.
            lookups.map(|lookup| row.bit(lookup.present) || row.bit(lookup.absent)).reduce(|one, other| one || other)
        });
        let missing = found.iter().filter(|found| !**found).count();
        match self.column(level, column, name) {
            Absence::Always(reason) if missing == found.len() && missing > 0 => Absence::Always(reason),
            _ => {
                Absence::of(missing, found.len(), &format!("code map {map} has nothing for the value of column {name}"))
            }
        }
    }

    /// Whether a condition did not hold; `name` is its text.
    pub(super) fn condition(&self, span: Span, name: &str) -> Absence {
        let mut outcomes: Vec<Vec<bool>> = Vec::new();
        for (_, scope, bit) in self.compiled.conditions.iter().filter(|(known, ..)| *known == span) {
            let held: Vec<bool> = self.watched_in(usize::from(*scope)).map(|row| row.bit(*bit)).collect();
            // In a fragment that is used more than once, a condition is several.
            if !held.is_empty() && !outcomes.contains(&held) {
                outcomes.push(held);
            }
        }
        let [held] = outcomes.as_slice() else { return Absence::No };
        let not = held.iter().filter(|held| !**held).count();
        Absence::of(not, held.len(), &format!("`$if {name}` is not true"))
    }

    fn watched_in(&self, scope: usize) -> impl Iterator<Item = &WatchedRow> {
        self.watched.rows.iter().filter(move |row| usize::from(row.scope) == scope)
    }

    /// `of` the rows of the first scope of a level that reads a column, with the slots that read it.
    fn each<T>(&self, level: &Level, column: &ColumnRef, of: impl Fn(&WatchedRow, &[usize]) -> Option<T>) -> Vec<T> {
        for (scope, shape) in self.compiled.program.scopes.iter().enumerate() {
            let reads = |slot: &usize| self.reads(scope, usize::from(shape.slots[*slot].column), level, column);
            let slots: Vec<usize> = (0..shape.slots.len()).filter(reads).collect();
            let found: Vec<T> = self.watched_in(scope).filter_map(|row| of(row, &slots)).collect();
            if !slots.is_empty() && !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Whether a column of a scope's rows is this one.
    fn reads(&self, scope: usize, at: usize, level: &Level, wanted: &ColumnRef) -> bool {
        let shape = &self.compiled.program.scopes[scope];
        match (&shape.rows, level) {
            (ScopeRows::Stream { stream, .. }, Level::Rows(name)) => match self.read(*stream, at) {
                Some(Read::Column { rows, column, form, .. }) if rows == name && *column == wanted.name => match form {
                    ReadForm::Plain => wanted.json.is_empty(),
                    ReadForm::JsonText(steps) | ReadForm::Json(steps) => *steps == wanted.json,
                    ReadForm::Key | ReadForm::JsonItems { .. } | ReadForm::Newest(_) => false,
                },
                _ => false,
            },
            (ScopeRows::Arrays { .. }, Level::Items(..)) => match self.item_read(scope, at, level) {
                Some(ReadForm::JsonItems { field, .. }) => {
                    field.split_first().is_some_and(|(name, json)| *name == wanted.name && *json == wanted.json)
                }
                Some(_) => wanted.name == "value" && wanted.json.is_empty(),
                None => false,
            },
            _ => false,
        }
    }

    /// How array `at` of a scope is read, if it is one of this level's.
    fn item_read(&self, scope: usize, at: usize, level: &Level) -> Option<&ReadForm> {
        let (ScopeRows::Arrays { arrays }, Level::Items(name, path)) =
            (&self.compiled.program.scopes.get(scope)?.rows, level)
        else {
            return None;
        };
        let outer = self.compiled.program.scopes.get(usize::from(self.compiled.program.scopes[scope].parent?))?;
        let ScopeRows::Stream { stream, .. } = outer.rows else { return None };
        let slot = outer.slots.get(usize::from(*arrays.get(at)?))?;
        let Some(Read::Column { rows, column, form, .. }) = self.read(stream, usize::from(slot.column)) else {
            return None;
        };
        let (first, steps) = path.split_first()?;
        let same = rows == name
            && column == first
            && match form {
                ReadForm::Plain => steps.is_empty(),
                ReadForm::Json(array) | ReadForm::JsonItems { array, .. } => array == steps,
                ReadForm::Key | ReadForm::JsonText(_) | ReadForm::Newest(_) => false,
            };
        same.then_some(form)
    }

    fn read(&self, stream: u16, at: usize) -> Option<&Read> {
        self.compiled.streams.get(usize::from(stream))?.reads.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::Absence::{self, Always, No, Sometimes};

    #[test]
    fn absences_add_up() {
        let (a, b) = (Always("a".to_owned()), Sometimes("b".to_owned()));
        assert_eq!(Absence::of(0, 3, "x"), No);
        assert_eq!(Absence::of(1, 1, "x"), Always("x".to_owned()));
        assert_eq!(Absence::of(2, 3, "x"), Sometimes("x in 2 of 3 rows".to_owned()));
        assert_eq!(Absence::of(3, 3, "x"), Always("x in all 3 rows".to_owned()));
        assert_eq!(Absence::any(&[No, b.clone(), a.clone()]), a);
        assert_eq!(Absence::any(&[No, b.clone()]), b);
        assert_eq!(Absence::all(&[a.clone(), b.clone(), a.clone()]), Sometimes("a and b".to_owned()));
        assert_eq!(Absence::all(&[a.clone(), No]), No);
        assert_eq!(Absence::all(&[a.clone(), a.clone()]), a);
    }
}
