//! Who is in a Group that a client has made: ids of patients, ordered, each once, and when each of them came in.
//!
//! A million of them is one text of forty megabytes, and not a million texts.

/// Members of a Group, by id of their Patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    ids: Ids,
    /// Microseconds since 1970-01-01T00:00:00Z.
    joined: Vec<i64>,
}

/// Texts one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ids {
    text: String,
    /// Where each one ends.
    ends: Vec<u32>,
}

/// More members than a roster can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many members")]
pub struct TooMany;

impl Ids {
    fn push(&mut self, id: &str) -> Result<(), TooMany> {
        let end = u32::try_from(self.text.len() + id.len()).map_err(|_beyond| TooMany)?;
        self.text.push_str(id);
        self.ends.push(end);
        Ok(())
    }

    fn get(&self, n: usize) -> &str {
        let end = self.ends.get(n).copied().unwrap_or_default() as usize;
        let start = n.checked_sub(1).and_then(|n| self.ends.get(n)).copied().unwrap_or_default() as usize;
        self.text.get(start..end).unwrap_or_default()
    }

    /// The position of an id among ordered ones.
    fn find(&self, id: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.get(middle).cmp(id) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Ids as they come, in any order.
#[derive(Debug, Default)]
pub struct RosterBuilder(Ids);

impl RosterBuilder {
    /// Takes an id.
    ///
    /// # Errors
    ///
    /// [`TooMany`]
    pub fn push(&mut self, id: &str) -> Result<(), TooMany> {
        self.0.push(id)
    }

    /// The roster of those that were taken, all of whom come in at `now`.
    ///
    /// # Errors
    ///
    /// [`TooMany`]
    pub fn finish(self, now: i64) -> Result<Roster, TooMany> {
        let given = self.0;
        let mut order: Vec<u32> = (0..u32::try_from(given.ends.len()).map_err(|_beyond| TooMany)?).collect();
        order.sort_unstable_by(|a, b| given.get(*a as usize).cmp(given.get(*b as usize)));
        order.dedup_by(|a, b| given.get(*a as usize) == given.get(*b as usize));
        let mut roster = Roster::default();
        for at in order {
            roster.push(given.get(at as usize), now)?;
        }
        Ok(roster)
    }
}

impl Roster {
    /// Adds a member that comes behind all others.
    ///
    /// # Errors
    ///
    /// [`TooMany`]
    pub fn push(&mut self, id: &str, joined: i64) -> Result<(), TooMany> {
        self.ids.push(id)?;
        self.joined.push(joined);
        Ok(())
    }

    /// All members come in at this time.
    pub fn join(&mut self, at: i64) {
        self.joined.fill(at);
    }

    /// Members who were in `before` keep the time at which they came in.
    pub fn keep_times(&mut self, before: &Self) {
        for (n, joined) in self.joined.iter_mut().enumerate() {
            *joined = before.joined(self.ids.get(n)).unwrap_or(*joined);
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.joined.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    /// Everybody, in order, and when they came in.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.joined.iter().enumerate().map(|(n, joined)| (self.ids.get(n), *joined))
    }

    /// When somebody came in; none for who is no member.
    pub fn joined(&self, id: &str) -> Option<i64> {
        self.ids.find(id).and_then(|n| self.joined.get(n)).copied()
    }

    /// Whether somebody is a member.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.find(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(ids: &[&str], now: i64, before: Option<&Roster>) -> Roster {
        let mut builder = RosterBuilder::default();
        for id in ids {
            builder.push(id).unwrap();
        }
        let mut roster = builder.finish(now).unwrap();
        if let Some(before) = before {
            roster.keep_times(before);
        }
        roster
    }

    #[test]
    fn members_are_ordered_and_each_is_there_once() {
        let one = roster(&["b", "a", "10", "b", "9", "a"], 5, None);
        assert_eq!(one.iter().map(|(id, _)| id).collect::<Vec<_>>(), ["10", "9", "a", "b"]);
        assert_eq!((one.len(), one.is_empty()), (4, false));
        for (id, is) in [("10", true), ("1", false), ("b", true), ("bb", false), ("", false), ("c", false)] {
            assert_eq!(one.contains(id), is, "{id}");
        }
        assert_eq!(roster(&[], 5, None), Roster::default());
    }

    // K-37
    #[test]
    fn who_stays_keeps_the_time_of_joining() {
        let before = roster(&["a", "b"], 5, None);
        let after = roster(&["c", "b"], 9, Some(&before));
        assert_eq!(after.iter().collect::<Vec<_>>(), [("b", 5), ("c", 9)]);
        let back = roster(&["a", "b", "c"], 12, Some(&after));
        assert_eq!(back.joined("a"), Some(12), "who comes back is new");
    }
}
