//! Reads that a hostile file cannot make run wild.

use super::super::{Error, Result};
use super::cursor::Block;
use super::source::ReadAt;
use std::cell::Cell;

/// The reads of one call, with a budget that ends every loop: links of a hostile file may lead in
/// circles, or many of them to the same bytes.
pub(super) struct Reads<'a> {
    source: Bytes<'a>,
    left: u64,
    /// What is left for all calls together: a file may have many structures of its size.
    in_all: Option<&'a Cell<u64>>,
}

impl<'a> Reads<'a> {
    /// One structure of metadata may have so many bytes. The largest that we meet are the names of a
    /// group and the heap with the configuration of a whole model, some megabytes.
    const MOST: u64 = 64 << 20;

    /// What a read costs beside its bytes, so that reads of nothing end too.
    const READ: u64 = 16;

    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        // No structure has a reason to be read twice in a call, except a chunk's neighbour or a
        // heap's head now and then. Small files get some more for these.
        let left = source.size().saturating_mul(2).saturating_add(1 << 20);
        Self {
            source: Bytes(source),
            left,
            in_all: None,
        }
    }

    /// The same within a budget of all calls.
    pub(super) fn within(source: &'a dyn ReadAt, in_all: &'a Cell<u64>) -> Self {
        Self {
            in_all: Some(in_all),
            ..Self::new(source)
        }
    }

    /// The budget of all calls on a file: some minutes of nothing but structures would be more.
    /// Keras's are read about twice. What data in chunks inflate to counts as well.
    pub(super) fn in_all(source: &dyn ReadAt) -> u64 {
        source.size().saturating_mul(64).saturating_add(1 << 30)
    }

    /// Takes `count` bytes from the budget of all calls alone.
    pub(super) fn work(&self, at: u64, count: u64) -> Result<()> {
        let Some(in_all) = self.in_all else {
            return Ok(());
        };
        match in_all.get().checked_sub(count) {
            Some(left) => in_all.set(left),
            None => return Err(Error::at(at, "expected structures that end, got too many")),
        }
        Ok(())
    }

    /// Takes `count` bytes from the budget, for bytes read or copied from `at`.
    pub(super) fn spend(&mut self, at: u64, count: u64) -> Result<()> {
        let count = count.saturating_add(Self::READ);
        self.work(at, count)?;
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None => return Err(Error::at(at, "expected structures that end, got a loop")),
        }
        Ok(())
    }

    /// The bytes from `at` to the end.
    pub(super) fn rest(&self, at: u64) -> u64 {
        self.source.0.size().saturating_sub(at)
    }

    /// An error unless the file has `size` bytes at `at`.
    pub(super) fn check(&self, at: u64, size: u64) -> Result<()> {
        self.source.check(at, size)
    }

    /// The bytes of elements, which the caller counts, and not the budget.
    pub(super) fn bytes(&self) -> Bytes<'a> {
        self.source
    }

    /// A structure of `size` bytes.
    pub(super) fn block(&mut self, at: u64, size: u64) -> Result<Block> {
        self.block_within(at, size, Self::MOST)
    }

    /// A block whose `size`, which comes from the file, is no more than `most`.
    pub(super) fn block_within(&mut self, at: u64, size: u64, most: u64) -> Result<Block> {
        self.check(at, size)?;
        if size > most {
            let what = format!("expected a structure of at most {most} bytes, got {size}");
            return Err(Error::at(at, what));
        }
        self.spend(at, size)?;
        let mut bytes = filled(at, size, 0)?;
        self.source.read(at, &mut bytes)?;
        Ok(Block { at, bytes })
    }
}

/// The file's bytes, which any thread may read.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(&'a dyn ReadAt);

impl Bytes<'_> {
    fn check(self, at: u64, size: u64) -> Result<()> {
        let end = at.checked_add(size);
        let has = self.0.size();
        if end.is_none_or(|end| end > has) {
            let what = format!("expected {size} bytes, got the end: the file has {has} bytes");
            return Err(Error::at(at, what));
        }
        Ok(())
    }

    /// Fills `into` with the bytes from `at` on.
    pub(super) fn read(self, at: u64, into: &mut [u8]) -> Result<()> {
        let size = into.len();
        self.check(at, size as u64)?;
        self.0.read_exact_at(at, into).map_err(|error| {
            let place = format_args!("byte {at}");
            Error::io(place, format_args!("cannot read {size} bytes"), error)
        })
    }
}

/// A vector that can hold `count` values, or an error where there is no memory for it.
pub(super) fn reserved<T>(at: u64, count: u64) -> Result<Vec<T>> {
    let mut values = Vec::new();
    usize::try_from(count)
        .ok()
        .and_then(|count| values.try_reserve_exact(count).ok())
        .ok_or_else(|| Error::at(at, format_args!("no memory for {count} values")))?;
    Ok(values)
}

/// A vector of `count` times `value`.
pub(super) fn filled<T: Copy>(at: u64, count: u64, value: T) -> Result<Vec<T>> {
    let mut values = reserved(at, count)?;
    values.resize(count as usize, value); // `reserved` has converted it
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_block_beyond_the_end_is_an_error_with_its_address() -> Result<()> {
        let bytes = vec![7u8; 10];
        let mut reads = Reads::new(&bytes);
        assert_eq!(reads.block(2, 8)?.bytes, [7; 8]);
        for (at, size) in [(3, 8), (11, 0), (u64::MAX, 1), (1, u64::MAX)] {
            let error = reads.block(at, size).expect_err("an error").to_string();
            let what =
                format!("byte {at}: expected {size} bytes, got the end: the file has 10 bytes");
            assert_eq!(error, what);
        }
        Ok(())
    }

    #[test]
    fn the_budget_ends_a_loop() {
        let bytes = vec![0u8; 100];
        let mut reads = Reads::new(&bytes);
        let rounds = (0..100_000)
            .take_while(|_| reads.block(0, 0).is_ok())
            .count();
        assert_eq!(rounds, (200 + (1 << 20)) / 16);
        let error = reads.block(0, 0).expect_err("an error").to_string();
        assert_eq!(error, "byte 0: expected structures that end, got a loop");
    }

    #[test]
    fn a_structure_over_the_limit_is_an_error() {
        struct Huge;
        impl ReadAt for Huge {
            fn size(&self) -> u64 {
                u64::MAX
            }
            fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
                Err(io::ErrorKind::Unsupported.into())
            }
        }
        let mut reads = Reads::new(&Huge);
        let error = reads.block(0, 1 << 30).expect_err("an error").to_string();
        let limit = "expected a structure of at most 67108864 bytes, got 1073741824";
        assert_eq!(error, format!("byte 0: {limit}"));
        let error = reads.block(8, 4).expect_err("an error");
        assert_eq!(
            error.to_string(),
            "byte 8: cannot read 4 bytes: unsupported"
        );
        assert!(error.io_error().is_some());
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        let error = reserved::<u64>(5, u64::MAX)
            .expect_err("an error")
            .to_string();
        assert_eq!(error, format!("byte 5: no memory for {} values", u64::MAX));
        assert!(reserved::<u64>(5, 1 << 60).is_err());
    }
}
