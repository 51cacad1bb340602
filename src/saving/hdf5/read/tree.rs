//! Nodes of the B-trees, version 1, by which groups find their links and datasets their chunks.

use super::super::Result;
use super::cursor::Block;
use super::reads::Reads;

/// What a tree holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Links = 0,
    Chunks = 1,
}

/// A node: `count` entries, each a key and an address.
pub(super) struct Node {
    /// The leaves have 0.
    pub(super) level: u8,
    pub(super) count: u16,
    pub(super) entries: Block,
}

/// A tree of this height with two children a node would fill any file.
const MAX_LEVEL: u8 = 32;

/// The node at `at` with keys of `key` bytes. Where `above` is the level of its parent, its own must
/// be the next below: so no path through a tree is endless.
pub(super) fn node(
    reads: &mut Reads<'_>,
    at: u64,
    kind: Kind,
    above: Option<u8>,
    key: u64,
) -> Result<Node> {
    let head = reads.block(at, 24)?;
    let mut cursor = head.cursor();
    cursor.expect(b"TREE")?;
    cursor.expect(&[kind as u8])?;
    let (level, count) = (cursor.u8()?, cursor.u16()?);
    if above.is_some_and(|above| above.checked_sub(1) != Some(level)) || level > MAX_LEVEL {
        return Err(head
            .cursor()
            .error("expected a tree whose levels fall by one"));
    }
    let size = key.saturating_add(8).saturating_mul(count.into());
    let entries = reads.block(at.saturating_add(24), size)?;
    Ok(Node {
        level,
        count,
        entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_must_be_the_next_below_the_parents() -> Result<()> {
        let mut bytes = b"TREE\0\x02\x01\0".to_vec();
        bytes.resize(24 + 16, 0);
        let mut reads = Reads::new(&bytes);
        for above in [None, Some(3)] {
            assert_eq!(node(&mut reads, 0, Kind::Links, above, 8)?.level, 2);
        }
        for above in [Some(0), Some(2), Some(4)] {
            assert!(node(&mut reads, 0, Kind::Links, above, 8).is_err());
        }
        assert!(node(&mut reads, 0, Kind::Chunks, None, 8).is_err());
        Ok(())
    }

    #[test]
    fn a_tree_that_is_too_high_is_an_error() {
        let mut bytes = b"TREE\0\x21\0\0".to_vec();
        bytes.resize(24, 0);
        let result = node(&mut Reads::new(&bytes), 0, Kind::Links, None, 8);
        let error = result.map(|node| node.level).expect_err("an error");
        let what = "byte 0: expected a tree whose levels fall by one";
        assert_eq!(error.to_string(), what);
    }
}
