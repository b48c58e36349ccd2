//! What is whole: made visible, and listed for the manifest and the report. Where somebody asked for it, pages of the
//! manifest are published while the export goes on (K-67).

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::shelf::{DELETED, Filled};
use super::{ExportError, ExportOptions};
use crate::bulk::manifest::{Manifest, ManifestFile, Stored};
use crate::bulk::report::{BLOCKS, FileReport};
use crate::sink::{SinkFile, StoredFile};

/// Base name of files with messages.
pub(super) const OUTCOMES: &str = "OperationOutcome";

/// Files that are visible.
pub(super) struct Listing {
    options: ExportOptions,
    /// The page that comes next.
    page: Manifest,
    /// The last page alone has deletions: no page names what another one takes back (M-12).
    deleted: Vec<ManifestFile>,
    published: Vec<ManifestFile>,
    told: Vec<FileReport>,
    /// The file that came last goes on in the next (F-21).
    continued: bool,
    /// When the last page was published, or the export began.
    last: Instant,
    cancel: CancellationToken,
}

/// What an export has made.
pub(super) struct Listed {
    /// The last page; all of it where no page was published.
    pub(super) page: Manifest,
    /// All of it.
    pub(super) whole: Manifest,
    pub(super) told: Vec<FileReport>,
}

impl Listing {
    /// None yet; `page` has what every page says.
    pub(super) fn new(options: &ExportOptions, page: Manifest, cancel: CancellationToken) -> Self {
        let (deleted, published, told) = (Vec::new(), Vec::new(), Vec::new());
        let (options, last) = (options.clone(), Instant::now());
        Self { options, page, deleted, published, told, continued: false, last, cancel }
    }

    /// Makes a file visible.
    pub(super) fn add<F: SinkFile>(&mut self, filled: Filled<F>) -> Result<(), ExportError> {
        let Filled { base, continues, count, file } = filled;
        let stored = file.commit()?;
        let (resource_type, list) = match base.as_str() {
            DELETED => ("Bundle", &mut self.deleted),
            OUTCOMES => (OUTCOMES, &mut self.page.outcome),
            BLOCKS => ("", &mut self.page.output),
            resource_type => (resource_type, &mut self.page.output),
        };
        let (item, told) = item(&self.options, resource_type, count, &stored);
        let goes_on = std::mem::replace(&mut self.continued, continues);
        if let Some(before) = list.last_mut().filter(|_| goes_on) {
            before.continues_in_file = Some(item.url.clone());
        }
        list.push(item);
        self.told.push(told);
        Ok(())
    }

    /// Publishes a page, if there is something to publish and it is time.
    pub(super) fn publish(&mut self) {
        let Some(early) = &self.options.early else { return };
        let due = !self.page.output.is_empty() && self.last.elapsed() >= self.options.page_interval;
        // What could not be made known comes with a later page.
        if due && !self.cancel.is_cancelled() && early.publish(self.page.clone().sorted()) {
            self.published.append(&mut self.page.output);
            self.last = Instant::now();
        }
    }

    /// All of it; `deletions` tells whether they were computed.
    pub(super) fn end(self, deletions: bool) -> Listed {
        let Self { mut page, deleted, published, told, .. } = self;
        page.deleted = deletions.then_some(deleted);
        let page = page.sorted();
        let output = published.into_iter().chain(page.output.iter().cloned()).collect();
        Listed { whole: Manifest { output, ..page.clone() }.sorted(), page, told }
    }
}

/// A file in the manifest, and in the report.
fn item(options: &ExportOptions, resource_type: &str, count: u64, stored: &StoredFile) -> (ManifestFile, FileReport) {
    let told = FileReport {
        name: stored.name.clone(),
        resource_type: resource_type.to_owned(),
        count,
        bytes: stored.raw_bytes,
        stored_bytes: stored.bytes,
        sha256: stored.sha256.clone(),
    };
    let item = ManifestFile {
        resource_type: resource_type.to_owned(),
        url: format!("{}{}", options.base_url, stored.name),
        continues_in_file: None,
        count,
        file_size: stored.raw_bytes,
        stored: Stored {
            stored_size: stored.bytes,
            sha256: stored.sha256.clone(),
            content_encoding: options.codec.content_encoding().map(str::to_owned),
        },
    };
    (item, told)
}
