//! A ledger's file: Zstandard over lines of text. The first is a header in JSON; then ids in order of their bytes, those
//! that are gone with a tab and the time at which they were first missed; the last one is `#` and their number.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LedgerError, failed};

/// Version of the form.
pub(super) const FORMAT: u32 = 1;

/// No line is longer: an id has 64 bytes at most, and the header not many more.
const LONGEST: u64 = 4096;

/// What a ledger says of itself. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: u32,
    /// Of mapping, id and database: another one begins a new ledger.
    pub(super) identity: String,
    /// `transactionTime` of the export that began it.
    pub(super) since: i64,
    /// `transactionTime` of the last export that went on with it, or just later than the one before.
    pub(super) until: i64,
}

/// One id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: Vec<u8>,
    /// When it was first missed; none while it is there.
    pub(super) missed: Option<i64>,
}

/// A ledger that is read.
pub(super) struct Old {
    path: PathBuf,
    pub(super) header: Header,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    count: u64,
    last: Vec<u8>,
}

impl Old {
    /// The ledger at `path`, if there is one.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, LedgerError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", path, source)),
        };
        let lines = zstd::Decoder::new(file).map_err(|source| failed("read", path, source))?;
        let header = Header { format: 0, identity: String::new(), since: 0, until: 0 };
        let lines = BufReader::new(lines);
        let mut old = Self { path: path.to_owned(), header, lines, count: 0, last: Vec::new() };
        let line = old.line()?;
        old.header = serde_json::from_slice(&line).map_err(|_not_json| old.damaged("its first line is no header"))?;
        if old.header.format != FORMAT {
            return Err(old.damaged("it has the form of another version"));
        }
        Ok(Some(old))
    }

    /// The next id; none at the end of a ledger that is whole.
    pub(super) fn next(&mut self) -> Result<Option<Line>, LedgerError> {
        let line = self.line()?;
        if let Some(count) = line.strip_prefix(b"#") {
            let whole = number(count) == i64::try_from(self.count).ok();
            // Reading to the end checks the sum of the whole.
            let more = self.lines.read(&mut [0]).map_err(|_bad_sum| self.damaged("its sum is wrong"))?;
            return if whole && more == 0 { Ok(None) } else { Err(self.damaged("its end is not where it should be")) };
        }
        let mut parts = line.splitn(2, |byte| *byte == b'\t');
        let id = parts.next().unwrap_or_default().to_vec();
        let missed = parts.next().map(|time| number(time).ok_or_else(|| self.damaged("a time is no number")));
        if id <= self.last {
            return Err(self.damaged("its ids are not in order"));
        }
        self.count += 1;
        self.last.clone_from(&id);
        Ok(Some(Line { id, missed: missed.transpose()? }))
    }

    fn line(&mut self) -> Result<Vec<u8>, LedgerError> {
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if read.is_err() || line.pop() != Some(b'\n') {
            return Err(self.damaged("it ends too early"));
        }
        Ok(line)
    }

    fn damaged(&self, problem: &'static str) -> LedgerError {
        LedgerError::Damaged { path: self.path.clone(), problem }
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A ledger being written, beside the one it will replace. What a killed process leaves of it is overwritten by the
/// next; only the holder of the directory's lock writes one.
pub(super) struct Part {
    path: PathBuf,
    hidden: PathBuf,
    lines: zstd::Encoder<'static, BufWriter<File>>,
    count: u64,
}

/// A ledger that is whole and durable, under its hidden name. Dropped, it is removed.
pub(super) struct Whole {
    path: PathBuf,
    hidden: PathBuf,
}

impl Part {
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self, LedgerError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = path.with_file_name(format!(".{name}.part"));
        let begun = || {
            let file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&hidden)?;
            let mut lines = zstd::Encoder::new(BufWriter::new(file), 1)?;
            lines.include_checksum(true)?;
            serde_json::to_writer(&mut lines, header)?;
            lines.write_all(b"\n")?;
            Ok(lines)
        };
        let lines = begun().map_err(|source| failed("write", &hidden, source))?;
        Ok(Self { path: path.to_owned(), hidden, lines, count: 0 })
    }

    /// Appends an id.
    pub(super) fn add(&mut self, id: &[u8], missed: Option<i64>) -> Result<(), LedgerError> {
        self.count += 1;
        let written = self.lines.write_all(id).and_then(|()| match missed {
            None => self.lines.write_all(b"\n"),
            Some(missed) => writeln!(self.lines, "\t{missed}"),
        });
        written.map_err(|source| failed("write", &self.hidden, source))
    }

    /// Makes it durable.
    pub(super) fn end(mut self) -> Result<Whole, LedgerError> {
        let whole = Whole { path: self.path, hidden: self.hidden };
        let ended = writeln!(self.lines, "#{}", self.count)
            .and_then(|()| self.lines.finish())
            .and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| file.sync_all());
        ended.map_err(|source| failed("write", &whole.hidden, source))?;
        Ok(whole)
    }
}

impl Whole {
    /// Replaces the ledger.
    pub(super) fn install(self) -> Result<(), LedgerError> {
        fs::rename(&self.hidden, &self.path).map_err(|source| failed("replace", &self.path, source))
    }
}

impl Drop for Whole {
    /// Nothing is there under the hidden name once it was installed.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.hidden);
    }
}
