//! Bytes of the file, and how structures are read from them.

use super::super::{Error, Result};

/// Bytes of the file, with their address for errors.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl Block {
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            at: self.at,
            bytes: &self.bytes,
        }
    }
}

/// Reads a structure from front to back; at its end comes an error.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// The address of the next byte.
    pub(super) at: u64,
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::at(self.at, what)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.bytes.split_at_checked(count) else {
            let left = self.left();
            return Err(self.error(format_args!(
                "expected {count} more bytes in this structure, got {left}"
            )));
        };
        self.bytes = tail;
        self.at = self.at.saturating_add(count as u64);
        Ok(head)
    }

    /// A cursor over the next `count` bytes.
    pub(super) fn part(&mut self, count: usize) -> Result<Cursor<'a>> {
        let at = self.at;
        let bytes = self.take(count)?;
        Ok(Cursor { at, bytes })
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        self.take(count).map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of `width` bytes, 1 to 8.
    pub(super) fn number(&mut self, width: usize) -> Result<u64> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    /// A size of 32 bits in memory.
    pub(super) fn size(&mut self) -> Result<usize> {
        let size = self.u32()?;
        usize::try_from(size).map_err(|_| self.error(format_args!("{size} bytes are too many")))
    }

    pub(super) fn expect(&mut self, expected: &[u8]) -> Result<()> {
        let mut next = *self;
        let got = next.take(expected.len())?;
        if got != expected {
            let (expected, got) = (expected.escape_ascii(), got.escape_ascii());
            return Err(self.error(format_args!("expected `{expected}`, got `{got}`")));
        }
        *self = next;
        Ok(())
    }
}

/// Text that ends at a NUL or with its bytes. Where it is no UTF-8, which h5py writes, wrong parts
/// become `�`: a name that nobody asks for should not make a file unreadable.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_where_it_was_and_what_it_met() -> Result<()> {
        let block = Block {
            at: 40,
            bytes: b"TREX\x01\x02\x03".to_vec(),
        };
        let mut cursor = block.cursor();
        let error = cursor.expect(b"TREE").expect_err("an error").to_string();
        assert_eq!(error, "byte 40: expected `TREE`, got `TREX`");
        cursor.skip(4)?;
        assert_eq!(cursor.number(3)?, 0x030201);
        let error = cursor.u64().expect_err("an error").to_string();
        assert_eq!(
            error,
            "byte 47: expected 8 more bytes in this structure, got 0"
        );
        Ok(())
    }

    #[test]
    fn text_ends_at_its_nul_and_survives_wrong_bytes() {
        assert_eq!(text(b"ab\0c"), "ab");
        assert_eq!(text("größe".as_bytes()), "größe");
        assert_eq!(text(b"a\xff"), "a\u{fffd}");
    }
}
