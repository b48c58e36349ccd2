//! PostgreSQL's binary arrays, element by element.

use super::Invalid;

/// A place in an array field. It borrows nothing, so it can be kept while the field's batch is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ArrayCursor {
    at: usize,
    left: u32,
}

/// One element: its place in the field, or NULL.
pub(super) type Element = Option<(u32, u32)>;

#[inline]
fn int(field: &[u8], at: usize) -> Option<i32> {
    field.get(at..at + 4)?.try_into().ok().map(i32::from_be_bytes)
}

impl ArrayCursor {
    /// The start of the array, and its number of dimensions.
    #[inline]
    pub(super) fn open(field: &[u8]) -> Result<(Self, usize), Invalid> {
        let dimensions = int(field, 0).and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= 6).ok_or(Invalid)?;
        let mut left: u32 = u32::from(dimensions > 0);
        for nth in 0..dimensions {
            let len = int(field, 12 + 8 * nth).and_then(|len| u32::try_from(len).ok()).ok_or(Invalid)?;
            left = left.checked_mul(len).ok_or(Invalid)?;
        }
        Ok((Self { at: 12 + 8 * dimensions, left }, dimensions))
    }

    /// Elements not yet passed.
    #[inline]
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// The next element; `None` after the last, or where the field ends too early.
    #[inline]
    pub(super) fn next(&mut self, field: &[u8]) -> Option<Element> {
        if self.left == 0 {
            return None;
        }
        let len = int(field, self.at)?;
        self.left -= 1;
        self.at += 4;
        let Ok(len) = u32::try_from(len) else { return Some(None) };
        let start = self.at as u32;
        self.at += len as usize;
        (self.at <= field.len()).then_some(Some((start, len)))
    }
}

/// The element's bytes.
#[inline]
pub(super) fn bytes(field: &[u8], element: Element) -> Option<&[u8]> {
    let (start, len) = element?;
    field.get(start as usize..)?.get(..len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{PgKind, value::binary};

    fn elements(kind: &str, text: &str) -> (usize, Vec<Option<Vec<u8>>>) {
        let mut field = Vec::new();
        binary(&PgKind::from_sql_name(kind), text, &mut field).unwrap();
        let (mut cursor, dimensions) = ArrayCursor::open(&field).unwrap();
        let mut found = Vec::new();
        while let Some(element) = cursor.next(&field) {
            found.push(bytes(&field, element).map(<[u8]>::to_vec));
        }
        (dimensions, found)
    }

    #[test]
    fn elements_of_arrays() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(elements("text[]", "{}"), (0, vec![]));
        assert_eq!(elements("text[]", "{a,NULL,\"\"}"), (1, vec![some("a"), None, some("")]));
        assert_eq!(elements("text[]", "{{a,b},{c,d}}"), (2, vec![some("a"), some("b"), some("c"), some("d")]));
    }

    #[test]
    fn broken_arrays_end_or_are_invalid() {
        assert!(ArrayCursor::open(b"").is_err());
        assert!(ArrayCursor::open(&[0xff; 40]).is_err());
        let mut field = Vec::new();
        binary(&PgKind::from_sql_name("text[]"), "{abc}", &mut field).unwrap();
        field.pop();
        let (mut cursor, _) = ArrayCursor::open(&field).unwrap();
        assert_eq!(cursor.next(&field), None);
    }
}
