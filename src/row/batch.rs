//! Many rows in one buffer.

/// Rows of one statement, in order. One buffer and one offsets vector for the whole batch; both are reused.
#[derive(Debug, Default, Clone)]
pub struct RowBatch {
    width: usize,
    data: Vec<u8>,
    fields: Vec<Place>,
}

/// Where a field, or a part of it, stands in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    start: u32,
    /// `u32::MAX` is NULL.
    len: u32,
}

const NULL: u32 = u32::MAX;

impl Place {
    /// The place of no bytes at all: NULL.
    pub const NULL: Self = Self { start: 0, len: NULL };

    /// The place of a part of the field here, `start` counted from the field's own beginning.
    #[must_use]
    pub fn part(self, start: u32, len: u32) -> Self {
        Self { start: self.start + start, len }
    }
}

impl RowBatch {
    /// An empty batch of rows with `width` columns.
    pub fn new(width: usize) -> Self {
        Self { width, data: Vec::new(), fields: Vec::new() }
    }

    /// Forgets the rows, keeps the memory, and takes rows of `width` columns from now on.
    pub fn reset(&mut self, width: usize) {
        self.width = width;
        self.data.clear();
        self.fields.clear();
    }

    /// Appends the next field of the row being filled; `None` is NULL.
    ///
    /// Fields arrive in column order, row after row. PostgreSQL's fields are below 1 GiB, and a batch is closed
    /// long before its buffer reaches 4 GiB.
    pub fn push(&mut self, field: Option<&[u8]>) {
        let start = self.data.len() as u32;
        match field {
            Some(bytes) => {
                self.data.extend_from_slice(bytes);
                self.fields.push(Place { start, len: bytes.len() as u32 });
            }
            None => self.fields.push(Place { start, len: NULL }),
        }
    }

    /// Number of columns in each row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of whole rows.
    pub fn len(&self) -> usize {
        self.fields.len().checked_div(self.width).unwrap_or(0)
    }

    /// True when no row is in the batch.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes of field data held.
    pub fn data_len(&self) -> usize {
        self.data.len()
    }

    /// The field's bytes, or `None` for NULL.
    #[inline]
    pub fn field(&self, row: usize, column: usize) -> Option<&[u8]> {
        self.bytes(self.place(row, column))
    }

    /// Where the field stands: what a reader keeps that looks at a row more than once.
    #[inline]
    pub fn place(&self, row: usize, column: usize) -> Place {
        self.fields[row * self.width + column]
    }

    /// The bytes at a place, or `None` for NULL.
    #[inline]
    pub fn bytes(&self, place: Place) -> Option<&[u8]> {
        if place.len == NULL {
            return None;
        }
        let start = place.start as usize;
        self.data.get(start..start + place.len as usize)
    }
}
