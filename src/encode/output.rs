//! Where resources are written: a buffer in which a resource can be taken back, even when it outgrew the buffer.

/// The bytes written by an [`Encoder`](super::Encoder), and how far they are whole resources.
///
/// The buffer holds whole resources (*settled*), then the resource being written (*open*). After
/// [`Step::Chunk`](super::Step::Chunk), and at the end, the caller
///
/// 1. obeys [`Output::spill`] until it gives `None`;
/// 2. moves the settled bytes to the file ([`Output::take_settled`]);
/// 3. if the open bytes alone reach the chunk size ([`Output::open_len`]), moves them to a *spill*, a temporary file
///    of its own that starts empty ([`Output::take_open`]).
#[derive(Debug, Default)]
pub struct Output {
    pub(super) bytes: Vec<u8>,
    settled: usize,
    resources: u64,
    /// Bytes of the open resource in the spill.
    spilled: u64,
    cut: Option<u64>,
    whole: Option<u64>,
}

/// Whole resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Each followed by a newline. The first may lack what was spilled of it.
    pub bytes: Vec<u8>,
    /// How many end in `bytes`.
    pub resources: u64,
}

/// What is to be done with the spill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spill {
    /// Shorten it to this length: what is beyond was taken back.
    Cut(u64),
    /// It holds this many bytes, the beginning of a whole resource that the settled bytes go on with: append it to
    /// the file, then empty it.
    Whole(u64),
}

/// A place in the open resource to which the output can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Bytes of the resource before it.
    at: u64,
    /// The last of them: a comma there may still be replaced.
    before: Option<u8>,
}

impl Output {
    /// An empty output.
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole resources in the buffer.
    pub fn settled(&self) -> &[u8] {
        self.bytes.get(..self.settled).unwrap_or_default()
    }

    /// Bytes of the open resource in the buffer.
    pub fn open_len(&self) -> usize {
        self.bytes.len() - self.settled
    }

    /// Takes the whole resources; the open one goes on in `spare`, whose content is dropped and memory used.
    pub fn take_settled(&mut self, mut spare: Vec<u8>) -> Settled {
        spare.clear();
        spare.extend_from_slice(self.bytes.get(self.settled..).unwrap_or_default());
        self.bytes.truncate(self.settled);
        self.settled = 0;
        let bytes = std::mem::replace(&mut self.bytes, spare);
        Settled { bytes, resources: std::mem::take(&mut self.resources) }
    }

    /// Takes bytes of the open resource, to be appended to the spill. Nothing while settled bytes are in the buffer:
    /// they come first.
    pub fn take_open(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        spare.clear();
        // A comma at the end may yet become a bracket, so one byte stays.
        if let (0, Some(last)) = (self.settled, self.bytes.pop()) {
            spare.push(last);
            self.spilled += self.bytes.len() as u64;
            return std::mem::replace(&mut self.bytes, spare);
        }
        spare
    }

    /// The next thing to do with the spill, if any.
    pub fn spill(&mut self) -> Option<Spill> {
        if let Some(len) = self.cut.take() {
            return Some(Spill::Cut(len));
        }
        self.whole.take().map(Spill::Whole)
    }

    /// True when the caller must act before the next resource begins.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.whole.is_some()
    }

    /// The open resource is whole.
    #[inline]
    pub(super) fn settle(&mut self) {
        self.settled = self.bytes.len();
        self.resources += 1;
        if self.spilled > 0 {
            self.whole = Some(self.spilled);
            self.spilled = 0;
        }
    }

    /// The place reached in the open resource.
    pub(super) fn mark(&self) -> Mark {
        let before = if self.open_len() > 0 { self.bytes.last().copied() } else { None };
        Mark { at: self.spilled + self.open_len() as u64, before }
    }

    /// Forgets what was written after the mark.
    pub(super) fn back_to(&mut self, mark: Mark) {
        if let Some(kept) = mark.at.checked_sub(self.spilled) {
            // The byte before the mark is either in the buffer or not wanted.
            if kept > 0 || self.spilled == 0 {
                self.bytes.truncate(self.settled + kept as usize);
                return;
            }
        }
        self.bytes.truncate(self.settled);
        self.bytes.extend(mark.before);
        self.spilled = mark.at - u64::from(mark.before.is_some());
        self.cut = Some(self.cut.map_or(self.spilled, |cut| cut.min(self.spilled)));
    }

    /// Forgets the open resource.
    #[inline]
    pub(super) fn take_back(&mut self) {
        self.back_to(Mark::default());
    }

    /// The last comma becomes these bytes.
    #[inline]
    pub(super) fn close(&mut self, closer: &[u8]) {
        if self.bytes.last() == Some(&b',') {
            self.bytes.pop();
        }
        self.bytes.extend_from_slice(closer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(out: &mut Output, text: &str) {
        out.bytes.extend_from_slice(text.as_bytes());
    }

    #[test]
    fn what_is_settled_is_taken_and_the_rest_goes_on() {
        let mut out = Output::new();
        write(&mut out, "{}\n");
        out.settle();
        write(&mut out, "{\"a\":1,");
        assert_eq!((out.settled(), out.open_len()), (&b"{}\n"[..], 7));
        assert_eq!(out.take_open(Vec::new()), b"", "settled bytes come first");
        assert_eq!(out.take_settled(vec![9]), Settled { bytes: b"{}\n".to_vec(), resources: 1 });
        out.close(b"}\n");
        out.settle();
        assert_eq!(out.take_settled(Vec::new()), Settled { bytes: b"{\"a\":1}\n".to_vec(), resources: 1 });
        assert_eq!(out.spill(), None);
    }

    /// What a caller makes of the output when it spills whenever it can.
    #[derive(Default)]
    struct Caller {
        out: Output,
        file: Vec<u8>,
        spill: Vec<u8>,
    }

    impl Caller {
        fn drain(&mut self) {
            while let Some(spill) = self.out.spill() {
                match spill {
                    Spill::Cut(len) => self.spill.truncate(len as usize),
                    Spill::Whole(len) => {
                        assert_eq!(self.spill.len() as u64, len);
                        self.file.append(&mut self.spill);
                    }
                }
            }
            self.file.append(&mut self.out.take_settled(Vec::new()).bytes);
            self.spill.append(&mut self.out.take_open(Vec::new()));
        }
    }

    #[test]
    fn a_spilled_resource_can_be_cut_and_closed() {
        for drains in 0..32 {
            let mut caller = Caller::default();
            let mut step = 0;
            let mut drain = |caller: &mut Caller| {
                if drains >> step & 1 == 1 {
                    caller.drain();
                }
                step += 1;
            };
            write(&mut caller.out, "{}\n");
            caller.out.settle();
            write(&mut caller.out, "{\"a\":1,");
            drain(&mut caller);
            let mark = caller.out.mark();
            write(&mut caller.out, "\"b\":[");
            drain(&mut caller);
            write(&mut caller.out, "{\"c\":2,");
            drain(&mut caller);
            caller.out.back_to(mark);
            drain(&mut caller);
            caller.out.close(b"}\n");
            caller.out.settle();
            caller.drain();
            write(&mut caller.out, "{\"gone\":");
            drain(&mut caller);
            caller.out.take_back();
            write(&mut caller.out, "{}\n");
            caller.out.settle();
            caller.drain();
            assert_eq!(String::from_utf8(caller.file).unwrap(), "{}\n{\"a\":1}\n{}\n", "{drains:b}");
            assert!(caller.spill.is_empty() && caller.out.bytes.is_empty());
        }
    }
}
