//! The places of everything, and the metadata: headers, trees, heaps.

use super::super::error::quoted;
use super::super::{Error, MAX_HEADER, Result, SIGNATURE, UNDEFINED};
use super::heap::{self, Places};
use super::message::{self, Message, pad, put_u16, put_u64};
use super::{Attributes, Dataset, Group, Node};

/// The bytes of the superblock, which stands before the data.
const SUPERBLOCK: u64 = 96;

/// Links in a leaf of a group's tree, and nodes in one above: twice the numbers in the superblock,
/// which are the C library's defaults.
const LEAF: usize = 8;
const NODE: usize = 32;

/// The metadata of a file. The data stand between the two, each dataset at a multiple of 8, in the
/// order of the tree: names sorted, groups entered where they stand.
pub(super) struct Layout {
    pub(super) superblock: Vec<u8>,
    /// Everything after the data.
    pub(super) metadata: Vec<u8>,
}

/// The zeros after data of so many bytes.
pub(super) fn padding(size: u64) -> &'static [u8] {
    const ZEROS: &[u8] = &[0; 7];
    let count = size.wrapping_neg() % 8;
    ZEROS.get(..count as usize).unwrap_or_default()
}

impl Layout {
    pub(super) fn new(root: &Group<'_>) -> Result<Self> {
        let too_large = || Error::new("superblock", "the file has too many bytes");
        let start = end_of_data(root, SUPERBLOCK).ok_or_else(too_large)?;
        let (bytes, strings) = heap::heaps(root, start);
        let mut metadata = Metadata {
            start,
            bytes,
            strings,
            data: SUPERBLOCK,
        };
        let root = metadata.group(root)?;
        let size = metadata.bytes.len() as u64;
        let end = start.checked_add(size).ok_or_else(too_large)?;
        Ok(Self {
            superblock: superblock(&root, end),
            metadata: metadata.bytes,
        })
    }
}

/// Where the data end that start at `at`.
fn end_of_data(group: &Group<'_>, at: u64) -> Option<u64> {
    group.children.values().try_fold(at, |at, node| match node {
        Node::Group(group) => end_of_data(group, at),
        Node::Dataset(dataset) => at.checked_add(padded(dataset)?),
    })
}

fn padded(dataset: &Dataset<'_>) -> Option<u64> {
    dataset.size.checked_next_multiple_of(8)
}

fn superblock(root: &Placed, end: u64) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([0, 0, 0, 0, 0, 8, 8, 0]); // versions, sizes of addresses and lengths
    put_u16(&mut bytes, &[LEAF as u16 / 2, NODE as u16 / 2, 0, 0]);
    put_u64(&mut bytes, &[0, UNDEFINED, end, UNDEFINED, 0]);
    root.put(&mut bytes);
    bytes
}

/// Addresses of an object that is written.
struct Placed {
    header: u64,
    /// Tree and heap of a group.
    table: Option<[u64; 2]>,
}

impl Placed {
    /// The part of an entry after the name: a header, and a group's tree and heap for a cache.
    fn put(&self, bytes: &mut Vec<u8>) {
        let [tree, heap] = self.table.unwrap_or_default();
        put_u64(
            bytes,
            &[self.header, self.table.is_some().into(), tree, heap],
        );
    }
}

/// A child of a tree's node, with the last name in it, which is its key.
struct Branch {
    at: u64,
    last: u64,
}

/// The metadata as they grow.
struct Metadata {
    /// Where they start in the file.
    start: u64,
    bytes: Vec<u8>,
    /// The places of the attributes' values that are still to come.
    strings: Places,
    /// Where the next dataset's data are.
    data: u64,
}

impl Metadata {
    fn here(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    fn group(&mut self, group: &Group<'_>) -> Result<Placed> {
        // Names start at 8; the empty one at 0 is the key before all.
        let (mut names, mut entries) = (vec![0; 8], Vec::new());
        for (name, node) in &group.children {
            let placed = match node {
                Node::Group(group) => self.group(group)?,
                Node::Dataset(dataset) => self.dataset(dataset)?,
            };
            entries.push((names.len() as u64, placed));
            names.extend(name.as_bytes());
            names.push(0);
            pad(&mut names);
        }
        let heap = self.names(&names);
        let leaves = self.leaves(&entries);
        let tree = self.tree(leaves);
        let mut messages = vec![message::symbol_table(tree, heap)];
        self.attributes(&group.path, &group.attributes, &mut messages)?;
        let header = self.header(&group.path, &messages)?;
        let table = Some([tree, heap]);
        Ok(Placed { header, table })
    }

    fn dataset(&mut self, dataset: &Dataset<'_>) -> Result<Placed> {
        let mut messages = vec![
            message::dataspace(&dataset.shape),
            message::datatype(dataset.dtype),
            message::fill_value(),
            message::contiguous(self.data, dataset.size),
        ];
        let size = padded(dataset).unwrap_or(u64::MAX); // `end_of_data` was no error
        self.data = self.data.saturating_add(size);
        self.attributes(&dataset.path, &dataset.attributes, &mut messages)?;
        let header = self.header(&dataset.path, &messages)?;
        let table = None;
        Ok(Placed { header, table })
    }

    fn attributes(
        &mut self,
        path: &str,
        attributes: &Attributes,
        messages: &mut Vec<Message>,
    ) -> Result<()> {
        for (name, value) in attributes {
            let place = self.strings.next();
            let (heap, number) = place
                .ok_or_else(|| Error::new(quoted(path), "expected a place for every attribute"))?;
            messages.push(message::attribute(name, value, heap, number));
        }
        Ok(())
    }

    /// A local heap with a group's names.
    fn names(&mut self, names: &[u8]) -> u64 {
        /// In the list of free blocks, the end.
        const NONE_FREE: u64 = 1;
        let at = self.here();
        self.bytes.extend(b"HEAP\0\0\0\0");
        put_u64(
            &mut self.bytes,
            &[names.len() as u64, NONE_FREE, at.saturating_add(32)],
        );
        self.bytes.extend(names);
        at
    }

    /// The leaves of a group's tree, always of full size.
    fn leaves(&mut self, entries: &[(u64, Placed)]) -> Vec<Branch> {
        let mut leaves = Vec::new();
        for entries in entries.chunks(LEAF) {
            let (at, end) = (self.here(), self.bytes.len() + 8 + LEAF * 40);
            self.bytes.extend(b"SNOD\x01\0");
            put_u16(&mut self.bytes, &[entries.len() as u16]);
            for (name, placed) in entries {
                put_u64(&mut self.bytes, &[*name]);
                placed.put(&mut self.bytes);
            }
            self.bytes.resize(end, 0);
            let last = entries.last().map_or(0, |(name, _)| *name);
            leaves.push(Branch { at, last });
        }
        leaves
    }

    /// The nodes above these, level by level up to a single one, the root; without leaves it is empty.
    fn tree(&mut self, mut below: Vec<Branch>) -> u64 {
        let mut level = 0;
        loop {
            let mut nodes = self.level(level, &below);
            match (nodes.len(), nodes.pop()) {
                (1, Some(root)) => return root.at,
                (_, last) => nodes.extend(last),
            }
            below = nodes;
            level += 1; // each has 32 times fewer nodes
        }
    }

    /// The nodes of one level. They stand side by side, so that each knows its neighbours.
    fn level(&mut self, level: u8, below: &[Branch]) -> Vec<Branch> {
        const SIZE: usize = 24 + NODE * 16 + 8;
        let start = self.here();
        let at = |index: usize| start.saturating_add((index * SIZE) as u64);
        let none: &[Branch] = &[];
        let parts: Vec<_> = match below {
            [] => vec![none],
            _ => below.chunks(NODE).collect(),
        };
        let (mut nodes, mut before) = (Vec::new(), 0);
        for (index, part) in parts.iter().enumerate() {
            let end = self.bytes.len() + SIZE;
            self.bytes.extend(b"TREE\0");
            self.bytes.push(level);
            put_u16(&mut self.bytes, &[part.len() as u16]);
            let left = index.checked_sub(1).map_or(UNDEFINED, at);
            let right = if index + 1 < parts.len() {
                at(index + 1)
            } else {
                UNDEFINED
            };
            put_u64(&mut self.bytes, &[left, right, before]);
            for branch in *part {
                put_u64(&mut self.bytes, &[branch.at, branch.last]);
                before = branch.last;
            }
            self.bytes.resize(end, 0);
            let (at, last) = (at(index), before);
            nodes.push(Branch { at, last });
        }
        nodes
    }

    fn header(&mut self, path: &str, messages: &[Message]) -> Result<u64> {
        let at = self.here();
        let padded = |message: &Message| message.body.len().next_multiple_of(8);
        let size: usize = messages.iter().map(|message| 8 + padded(message)).sum();
        if size as u64 > MAX_HEADER {
            let what =
                format!("expected attributes with names of at most {MAX_HEADER} bytes, got {size}");
            return Err(Error::new(quoted(path), what));
        }
        // A message has at least 16 bytes, an attribute 72: so their count fits 16 bits.
        put_u16(&mut self.bytes, &[1, messages.len() as u16, 1, 0]); // version; one link to it
        self.bytes.extend((size as u32).to_le_bytes());
        self.bytes.extend([0; 4]);
        for message in messages {
            let flags = u16::from(message.constant);
            put_u16(
                &mut self.bytes,
                &[message.kind, padded(message) as u16, flags, 0],
            );
            self.bytes.extend(&message.body);
            pad(&mut self.bytes);
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of all nodes that start so.
    fn nodes(layout: &Layout, mark: &[u8]) -> Vec<u16> {
        let bytes = &layout.metadata;
        let places = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(mark));
        places
            .map(|at| u16::from_le_bytes([bytes[at + 6], bytes[at + 7]]))
            .collect()
    }

    fn links(count: usize) -> Result<Layout> {
        let mut root = Group::root();
        for i in 0..count {
            root.dataset(
                &format!("{i:04}"),
                super::super::Dtype::I8,
                &[0],
                |_| Ok(()),
            )?;
        }
        Layout::new(&root)
    }

    #[test]
    fn a_full_leaf_and_a_full_node_are_not_split() -> Result<()> {
        let layout = links(8)?;
        assert_eq!(nodes(&layout, b"SNOD"), [8]);
        assert_eq!(nodes(&layout, b"TREE\0\0"), [1]);
        let layout = links(8 * 32)?;
        assert_eq!(nodes(&layout, b"TREE\0\0"), [32]);
        assert_eq!(nodes(&layout, b"TREE\0\x01"), [0; 0]);
        Ok(())
    }

    #[test]
    fn more_links_make_another_leaf_node_and_level() -> Result<()> {
        assert_eq!(nodes(&links(9)?, b"SNOD"), [8, 1]);
        let layout = links(8 * 32 + 1)?;
        assert_eq!(nodes(&layout, b"TREE\0\0"), [32, 1]);
        assert_eq!(nodes(&layout, b"TREE\0\x01"), [2]);
        Ok(())
    }

    #[test]
    fn an_empty_group_has_an_empty_tree() -> Result<()> {
        let layout = links(0)?;
        assert_eq!(nodes(&layout, b"TREE\0\0"), [0]);
        assert_eq!(nodes(&layout, b"SNOD"), [0; 0]);
        assert_eq!(layout.superblock.len() as u64, SUPERBLOCK);
        Ok(())
    }

    #[test]
    fn data_end_at_a_multiple_of_8() {
        for (size, expected) in [(0, 0), (1, 7), (7, 1), (8, 0), (12, 4)] {
            assert_eq!(padding(size).len(), expected);
        }
    }
}
