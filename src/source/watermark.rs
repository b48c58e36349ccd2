//! The newest moment such that no change up to it can still be missing from a snapshot.
//!
//! A change is stamped (by a trigger's `now()`, say) with the start of its transaction and becomes visible at commit.
//! So a snapshot may lack changes as old as the oldest transaction open when it was taken. Hence the order of things:
//! read the server's clock, list the open transactions, take the snapshot. Whatever it lacks was either on the list,
//! or began after the clock was read.

use std::{collections::BTreeSet, fmt, time::Duration};

use tokio_postgres::SimpleQueryMessage;

use super::{SourceError, session::READER_LOCK};

/// How sure [`super::Snapshot::transaction_time`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// No change up to it can be missing, provided rows are stamped with their transaction's start or later.
    Exact,
    /// It lies [`super::SourceOptions::overlap`] back, and nothing is missing if no writer was open for longer.
    Margin {
        /// Why it is not exact.
        reason: MarginReason,
    },
}

/// Why the oldest open writer could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MarginReason {
    /// A transaction of another role is open, and the own role may not see since when.
    HiddenSessions,
    /// A prepared transaction is open; PostgreSQL does not tell when it began.
    PreparedTransaction,
    /// The database receives rows by logical replication, which keep the stamps of their origin.
    Subscription,
    /// The server is a replica and cannot see the primary's open transactions.
    Replica,
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Margin { reason } => reason.fmt(f),
        }
    }
}

impl fmt::Display for MarginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HiddenSessions => {
                "a transaction of another role is open and its start is hidden; grant pg_read_all_stats to smelt's role"
            }
            Self::PreparedTransaction => "a prepared transaction is open and its start is not recorded",
            Self::Subscription => "the database is fed by logical replication, which keeps the times of its origin",
            Self::Replica => "the server is a replica and does not know what is open on the primary",
        })
    }
}

/// A transaction reads the clock a moment before other sessions can see it. Usually nanoseconds; more when the
/// server's process is not scheduled just then.
const UNSEEN: i64 = 100_000;

/// What was open at a moment. Times are microseconds since the Unix epoch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// Read before the rest.
    clock: i64,
    /// Starts of transactions.
    starts: Vec<i64>,
    /// Open transactions that hide their start, by virtual transaction id.
    hidden: BTreeSet<String>,
    /// When the open prepared transactions were prepared.
    prepared: Vec<i64>,
    subscribed: bool,
    /// On a replica: time of the newest commit it has.
    replayed: Option<i64>,
}

/// Lists what is open, in an order that misses nothing: a transaction that leaves `pg_stat_activity` between two
/// lines is visible to every later snapshot, or prepared and found there.
///
/// Left out are autovacuum, which changes no row, and transactions of smelt itself, known by their lock.
pub(super) fn listing_sql() -> String {
    let (a, b) = READER_LOCK;
    format!(
        "select 'clock', {clock};
with here as (select oid from pg_catalog.pg_database where datname = current_database()),
seen as materialized (
  select a.pid,
    coalesce(a.xact_start, case when a.state in ('active', 'fastpath function call')
      and a.backend_type <> 'walsender' then a.query_start end) as start,
    a.backend_type is null or a.state = 'disabled' as hidden
  from pg_catalog.pg_stat_activity a
  where a.datid = (select oid from here) and a.pid <> pg_backend_pid()
    and a.backend_type is distinct from 'autovacuum worker'),
locks as materialized (
  select l.pid, l.locktype, l.virtualtransaction from pg_catalog.pg_locks l
  where l.granted and exists (select from seen where hidden or start is not null)
    and (l.locktype = 'virtualxid' and l.virtualxid = l.virtualtransaction
      or l.locktype = 'advisory' and l.database = (select oid from here)
        and l.classid = {a} and l.objid = {b} and l.objsubid = 2))
select case when start is null then 'hidden' else 'start' end,
  case when start is null then l.virtualtransaction else {start}::text end
from seen left join locks l on l.pid = seen.pid and l.locktype = 'virtualxid'
where (start is not null or hidden and l.pid is not null)
  and not exists (select from locks m where m.pid = seen.pid and m.locktype = 'advisory');
select 'prepared', {prepared} from pg_catalog.pg_prepared_xacts where database = current_database();
select 'subscribed', '' from pg_catalog.pg_subscription
where subenabled and subdbid = (select oid from pg_catalog.pg_database where datname = current_database());
select 'replayed', {replayed} where pg_is_in_recovery()",
        clock = micros("clock_timestamp()"),
        start = micros("start"),
        prepared = micros("prepared"),
        // Before the first replayed commit there is only the checkpoint that replay began from.
        replayed = micros("coalesce(pg_last_xact_replay_timestamp(), (pg_control_checkpoint()).checkpoint_time)"),
    )
}

/// SQL for microseconds since the Unix epoch, rounded down.
fn micros(time: &str) -> String {
    format!("floor(extract(epoch from {time}) * 1000000)::bigint")
}

impl Listing {
    /// Reads the answer to [`listing_sql`].
    pub(super) fn read(messages: &[SimpleQueryMessage]) -> Result<Self, SourceError> {
        let mut listing = Self::default();
        for message in messages {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let (kind, value) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
            if kind == "hidden" {
                listing.hidden.insert(value.to_owned());
                continue;
            }
            if kind == "subscribed" {
                listing.subscribed = true;
                continue;
            }
            let wrong = |_error| SourceError::Unexpected("a time is not a number".to_owned());
            let time: i64 = value.parse().map_err(wrong)?;
            match kind {
                "clock" => listing.clock = time,
                "start" => listing.starts.push(time),
                "prepared" => listing.prepared.push(time),
                _ => listing.replayed = Some(time),
            }
        }
        Ok(listing)
    }

    /// When it was made.
    pub(super) fn clock(&self) -> i64 {
        self.clock
    }

    /// True when something is open that was open at `first` already, and ending it would move the transaction time
    /// forward.
    pub(super) fn holds_back(&self, first: &Self) -> bool {
        self.replayed.is_none()
            && (self.starts.iter().any(|start| *start < first.clock)
                || !self.hidden.is_disjoint(&first.hidden)
                || !self.prepared.is_empty())
    }
}

/// The transaction time of a snapshot taken between the listings `before` and `after`, where `first` was made before
/// waiting for writers.
///
/// `after` is there for what `before` could not see yet, see [`UNSEEN`].
pub(super) fn transaction_time(
    first: &Listing,
    before: &Listing,
    after: &Listing,
    overlap: Duration,
) -> (i64, Watermark) {
    let overlap = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
    let margin = |reason| Watermark::Margin { reason };
    if let Some(replayed) = before.replayed {
        let newest = replayed.min(before.clock.saturating_sub(UNSEEN));
        return (newest.saturating_sub(overlap), margin(MarginReason::Replica));
    }
    // What hides its start and was not there at first began after the first clock.
    let clock = if before.hidden.is_empty() { before.clock } else { first.clock };
    let mut time = clock.saturating_sub(UNSEEN);
    // Strictly before: the transaction's rows carry just this moment, and `_since` excludes it.
    for start in before.starts.iter().chain(&after.starts) {
        time = time.min(start.saturating_sub(1));
    }
    let mut watermark = Watermark::Exact;
    if before.subscribed || after.subscribed {
        time = time.min(before.clock.saturating_sub(overlap));
        watermark = margin(MarginReason::Subscription);
    }
    if let Some(prepared) = before.prepared.iter().chain(&after.prepared).min() {
        time = time.min(prepared.saturating_sub(overlap));
        watermark = margin(MarginReason::PreparedTransaction);
    }
    if !first.hidden.is_disjoint(&before.hidden) || !first.hidden.is_disjoint(&after.hidden) {
        time = time.min(first.clock.saturating_sub(overlap));
        watermark = margin(MarginReason::HiddenSessions);
    }
    (time, watermark)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn at(clock: i64, starts: &[i64]) -> Listing {
        Listing { clock: clock * S, starts: starts.iter().map(|start| start * S).collect(), ..Listing::default() }
    }

    fn hidden(mut listing: Listing, ids: &[&str]) -> Listing {
        listing.hidden = ids.iter().map(|id| (*id).to_owned()).collect();
        listing
    }

    fn check(first: &Listing, before: &Listing, after: &Listing, expected: i64, watermark: Watermark) {
        let found = transaction_time(first, before, after, Duration::from_mins(1));
        assert_eq!(found, (expected, watermark), "{first:?} {before:?} {after:?}");
    }

    #[test]
    fn the_oldest_open_transaction_bounds() {
        let quiet = at(1000, &[]);
        check(&quiet, &quiet, &quiet, 1000 * S - UNSEEN, Watermark::Exact);
        // The second of two open ones began earlier.
        let busy = at(1000, &[990, 980]);
        check(&busy, &busy, &quiet, 980 * S - 1, Watermark::Exact);
        // Waiting helped.
        check(&busy, &at(1003, &[1001]), &quiet, 1001 * S - 1, Watermark::Exact);
        // Seen only afterwards.
        check(&quiet, &quiet, &at(1001, &[995]), 995 * S - 1, Watermark::Exact);
        // Begun within the last moment: its own start still is the bound.
        check(&quiet, &quiet, &at(1001, &[1000]), 1000 * S - UNSEEN, Watermark::Exact);
    }

    #[test]
    fn what_cannot_be_seen_costs_the_overlap() {
        let margin = |reason| Watermark::Margin { reason };
        let quiet = at(1000, &[]);
        let first = hidden(at(1000, &[]), &["3/7"]);
        check(&first, &first, &quiet, 940 * S, margin(MarginReason::HiddenSessions));
        check(&first, &quiet, &first, 940 * S, margin(MarginReason::HiddenSessions));
        // The old one ended; the new one began after the first clock.
        let later = hidden(at(1004, &[]), &["3/8"]);
        check(&first, &later, &later, 1000 * S - UNSEEN, Watermark::Exact);
        // All ended.
        check(&first, &at(1004, &[]), &at(1005, &[]), 1004 * S - UNSEEN, Watermark::Exact);

        let prepared = Listing { prepared: vec![970 * S], ..at(1000, &[]) };
        check(&quiet, &prepared, &quiet, 910 * S, margin(MarginReason::PreparedTransaction));
        let subscribed = Listing { subscribed: true, ..at(1000, &[930]) };
        check(&subscribed, &subscribed, &subscribed, 930 * S - 1, margin(MarginReason::Subscription));
        let replica = Listing { replayed: Some(900 * S), ..at(1000, &[10]) };
        check(&replica, &replica, &replica, 840 * S, margin(MarginReason::Replica));
    }

    #[test]
    fn waiting_ends_when_nothing_old_is_left() {
        let first = hidden(at(1000, &[990]), &["3/7"]);
        assert!(first.holds_back(&first));
        assert!(at(1001, &[999]).holds_back(&first));
        assert!(!hidden(at(1001, &[1001]), &["3/9"]).holds_back(&first));
        assert!(Listing { prepared: vec![1], ..at(1001, &[]) }.holds_back(&first));
        assert!(!Listing { replayed: Some(1), ..at(1001, &[999]) }.holds_back(&first));
    }
}
