//! Many rows in one buffer.

/// Rows of one statement, in order. One buffer and one offsets vector for the whole batch; both are reused.
#[derive(Debug, Default, Clone)]
pub struct RowBatch {
    width: usize,
    data: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    start: u32,
    /// `u32::MAX` is NULL.
    len: u32,
}

const NULL: u32 = u32::MAX;

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
                self.fields.push(Field { start, len: bytes.len() as u32 });
            }
            None => self.fields.push(Field { start, len: NULL }),
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
        let field = self.fields[row * self.width + column];
        if field.len == NULL {
            return None;
        }
        let start = field.start as usize;
        Some(&self.data[start..start + field.len as usize])
    }
}
