//! What happened to the rows: counts, and which resources were rejected. No cell value is in it.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

/// Rejected resources described one by one, per encoder; the rest is counted.
const REJECTIONS: usize = 1_000;

/// Distinct unmapped codes told apart, per encoder.
const DISTINCT: usize = 10_000;

/// Counts of what an [`Encoder`](super::Encoder) did. `rows_read` is `emitted` + `rejected`, always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows of stream 0 that are done with.
    pub rows_read: u64,
    /// Resources written.
    pub emitted: u64,
    /// Resources not written.
    pub rejected: u64,
    /// List items loaded, by stream.
    pub items: Vec<u64>,
    /// Rows that belong to no row of the enclosing stream, by stream.
    pub orphans: Vec<u64>,
    /// What happened at which site of the program.
    pub sites: BTreeMap<u16, SiteCounts>,
    /// The first rejected resources.
    pub rejections: Vec<Rejection>,
    /// Hashes of unmapped codes by site. The codes themselves may be patient data.
    unmapped: FxHashSet<(u16, u64)>,
}

/// Counts of one [`Site`](crate::plan::program::Site).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SiteCounts {
    /// Resources rejected.
    pub rejected: u64,
    /// Parts not written because an element FHIR requires was empty.
    pub dropped: u64,
    /// Values that a code map does not list.
    pub unmapped: u64,
    /// Invalid values omitted.
    pub invalid: u64,
    /// Local times in a daylight-saving gap or overlap.
    pub adjusted: u64,
}

/// A resource that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why and where.
    pub site: u16,
    /// Its id, if one could be made.
    pub id: Option<String>,
}

impl Report {
    /// Number of distinct unmapped codes at a site (at most 10,000 per encoder are told apart).
    pub fn distinct_unmapped(&self, site: u16) -> usize {
        self.unmapped.iter().filter(|(at, _)| *at == site).count()
    }

    /// Adds another report of the same program.
    pub fn merge(&mut self, other: Self) {
        fn add(counts: &mut Vec<u64>, more: &[u64]) {
            counts.resize(counts.len().max(more.len()), 0);
            for (count, more) in counts.iter_mut().zip(more) {
                *count += more;
            }
        }
        self.rows_read += other.rows_read;
        self.emitted += other.emitted;
        self.rejected += other.rejected;
        add(&mut self.items, &other.items);
        add(&mut self.orphans, &other.orphans);
        for (site, more) in other.sites {
            let counts = self.sites.entry(site).or_default();
            counts.rejected += more.rejected;
            counts.dropped += more.dropped;
            counts.unmapped += more.unmapped;
            counts.invalid += more.invalid;
            counts.adjusted += more.adjusted;
        }
        self.rejections.extend(other.rejections);
        self.unmapped.extend(other.unmapped);
    }
}

/// The report in the making.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) report: Report,
    streams: usize,
    describable: usize,
    distinct: usize,
}

impl Counts {
    pub(super) fn new(streams: usize) -> Self {
        let mut counts = Self { report: Report::default(), streams, describable: REJECTIONS, distinct: DISTINCT };
        counts.take();
        counts
    }

    /// The counts since this was last called.
    pub(super) fn take(&mut self) -> Report {
        let empty = Report { items: vec![0; self.streams], orphans: vec![0; self.streams], ..Report::default() };
        std::mem::replace(&mut self.report, empty)
    }

    pub(super) fn at(&mut self, site: u16) -> &mut SiteCounts {
        self.report.sites.entry(site).or_default()
    }

    #[inline]
    pub(super) fn item(&mut self, stream: usize) {
        if let Some(count) = self.report.items.get_mut(stream) {
            *count += 1;
        }
    }

    pub(super) fn orphan(&mut self, stream: usize) {
        if let Some(count) = self.report.orphans.get_mut(stream) {
            *count += 1;
        }
    }

    pub(super) fn unmapped(&mut self, site: u16, hash: u64) {
        self.at(site).unmapped += 1;
        if self.distinct > 0 && self.report.unmapped.insert((site, hash)) {
            self.distinct -= 1;
        }
    }

    #[inline]
    pub(super) fn emitted(&mut self) {
        self.report.rows_read += 1;
        self.report.emitted += 1;
    }

    /// Counts a rejected resource; `id` is asked for only while resources are described one by one.
    pub(super) fn rejected(&mut self, site: u16, id: impl FnOnce() -> Option<String>) {
        self.report.rows_read += 1;
        self.report.rejected += 1;
        self.at(site).rejected += 1;
        if self.describable > 0 {
            self.describable -= 1;
            self.report.rejections.push(Rejection { site, id: id() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up_and_details_are_bounded() {
        let mut counts = Counts::new(2);
        counts.emitted();
        counts.item(1);
        counts.unmapped(3, 7);
        counts.unmapped(3, 7);
        let mut total = counts.take();
        for nth in 0..1_500 {
            counts.rejected(0, || Some(nth.to_string()));
        }
        counts.item(1);
        counts.orphan(1);
        counts.unmapped(3, 7);
        counts.unmapped(3, 8);
        total.merge(counts.take());
        assert_eq!((total.rows_read, total.emitted, total.rejected), (1_501, 1, 1_500));
        assert_eq!((total.items.as_slice(), total.orphans.as_slice()), (&[0, 2][..], &[0, 1][..]));
        assert_eq!(total.rejections.len(), 1_000);
        assert_eq!(total.sites[&0], SiteCounts { rejected: 1_500, ..SiteCounts::default() });
        assert_eq!((total.sites[&3].unmapped, total.distinct_unmapped(3)), (4, 2));
        assert_eq!(counts.take(), Report { items: vec![0; 2], orphans: vec![0; 2], ..Report::default() });
    }
}
