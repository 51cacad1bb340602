//! A group's links: in a symbol table, or as messages of its header.

use super::super::{Error, Result, UNDEFINED, message};
use super::cursor::{Block, Cursor, text};
use super::object::Message;
use super::reads::Reads;
use super::tree::{self, Kind};
use std::collections::BTreeMap;

/// The most links of a group. The widest groups of Keras hold the layers of a model.
const MAX_LINKS: usize = 1 << 20;

/// The longest name, that of our writer too: with names that overlap in the heap, a small file could
/// otherwise fill the memory.
const MAX_NAME: usize = 1 << 16;

/// Where each name leads: to the address of an object, or to none for a soft or external link.
pub(super) type Links = BTreeMap<String, Option<u64>>;

/// The links of a group with these messages.
pub(super) fn links(reads: &mut Reads<'_>, messages: &[Message]) -> Result<Links> {
    let mut links = Links::new();
    for message in messages {
        let cursor = message.body.cursor();
        match message.kind {
            message::SYMBOL_TABLE => symbol_table(reads, cursor, &mut links)?,
            message::LINK => link(cursor, &mut links)?,
            message::LINK_INFO => check_compact(cursor)?,
            _ => {}
        }
    }
    Ok(links)
}

/// Whether messages are those of a group.
pub(super) fn is_group(messages: &[Message]) -> bool {
    messages.iter().any(|message| {
        matches!(
            message.kind,
            message::SYMBOL_TABLE | message::LINK | message::LINK_INFO
        )
    })
}

fn insert(links: &mut Links, at: u64, name: String, target: Option<u64>) -> Result<()> {
    if links.len() >= MAX_LINKS {
        let what = format!("expected at most {MAX_LINKS} links in a group");
        return Err(Error::at(at, what));
    }
    links.entry(name).or_insert(target);
    Ok(())
}

fn link(mut cursor: Cursor<'_>, links: &mut Links) -> Result<()> {
    let start = cursor.at;
    cursor.expect(&[1])?; // version
    let flags = cursor.u8()?;
    let hard = flags & 8 == 0 || cursor.u8()? == 0;
    cursor.skip(if flags & 4 != 0 { 8 } else { 0 })?; // the order of creation
    cursor.skip(if flags & 16 != 0 { 1 } else { 0 })?; // the character set
    let length = cursor.number(1 << (flags & 3))?;
    // A message has less than 64 KB, so a length that is cut here fails in `take`.
    let name = text(cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?);
    let target = if hard { Some(cursor.u64()?) } else { None };
    insert(links, start, name, target)
}

fn check_compact(mut cursor: Cursor<'_>) -> Result<()> {
    let start = cursor;
    cursor.expect(&[0])?; // version
    let flags = cursor.u8()?;
    cursor.skip(if flags & 1 != 0 { 8 } else { 0 })?;
    if cursor.u64()? == UNDEFINED {
        return Ok(());
    }
    let what = "expected links in the group's header or a symbol table, got a fractal heap, which is \
                not read: write the file without libver='latest' and track_order=True";
    Err(start.error(what))
}

fn symbol_table(reads: &mut Reads<'_>, mut cursor: Cursor<'_>, links: &mut Links) -> Result<()> {
    let (tree, heap) = (cursor.u64()?, cursor.u64()?);
    let head = reads.block(heap, 32)?;
    let mut cursor = head.cursor();
    cursor.expect(b"HEAP\0")?;
    cursor.skip(3)?;
    let size = cursor.u64()?;
    cursor.skip(8)?; // free space
    let names = reads.block(cursor.u64()?, size)?;
    symbols(reads, tree, None, &names, links)
}

fn symbols(
    reads: &mut Reads<'_>,
    at: u64,
    above: Option<u8>,
    names: &Block,
    links: &mut Links,
) -> Result<()> {
    let node = tree::node(reads, at, Kind::Links, above, 8)?;
    let mut cursor = node.entries.cursor();
    for _ in 0..node.count {
        cursor.skip(8)?; // the key
        let child = cursor.u64()?;
        if node.level > 0 {
            symbols(reads, child, Some(node.level), names, links)?;
        } else {
            leaf(reads, child, names, links)?;
        }
    }
    Ok(())
}

fn leaf(reads: &mut Reads<'_>, at: u64, names: &Block, links: &mut Links) -> Result<()> {
    /// The bytes of an entry.
    const ENTRY: u64 = 40;
    let head = reads.block(at, 8)?;
    let mut cursor = head.cursor();
    cursor.expect(b"SNOD\x01\0")?;
    let count = cursor.u16()?;
    let entries = reads.block(at.saturating_add(8), ENTRY * u64::from(count))?;
    let mut cursor = entries.cursor();
    for _ in 0..count {
        let start = cursor.at;
        let (name, header, cache) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
        cursor.skip(20)?;
        let name = heap_name(reads, names, name)?;
        let soft = cache == 2;
        insert(links, start, name, (!soft).then_some(header))?;
    }
    Ok(())
}

fn heap_name(reads: &mut Reads<'_>, names: &Block, offset: u64) -> Result<String> {
    let place = names.at.saturating_add(offset);
    let name = usize::try_from(offset)
        .ok()
        .and_then(|offset| names.bytes.get(offset..))
        .ok_or_else(|| Error::at(place, "expected a name inside the group's heap"))?;
    let length = name.iter().take(MAX_NAME).position(|&byte| byte == 0);
    let Some(length) = length else {
        let what = format!("expected a name that ends within {MAX_NAME} bytes");
        return Err(Error::at(place, what));
    };
    reads.spend(place, length as u64)?;
    Ok(text(name.get(..length).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, bytes: &[u8]) -> Message {
        let bytes = bytes.to_vec();
        Message {
            kind,
            body: Block { at: 8, bytes },
        }
    }

    fn read(messages: &[Message]) -> Result<Links> {
        links(&mut Reads::new(&vec![0u8; 16]), messages)
    }

    #[test]
    fn reads_links_from_messages() -> Result<()> {
        let hard = message(message::LINK, b"\x01\0\x02ab\x60\0\0\0\0\0\0\0");
        let soft = message(message::LINK, b"\x01\x18\x01\x01\x01s\x01\0x");
        let links = read(&[hard, soft])?;
        assert_eq!(
            links,
            Links::from([("ab".into(), Some(96)), ("s".into(), None)])
        );
        Ok(())
    }

    #[test]
    fn a_link_longer_than_its_message_is_an_error() {
        let long = message(message::LINK, b"\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff");
        assert!(read(&[long]).is_err());
    }

    #[test]
    fn dense_links_are_an_error_that_says_what_to_do() {
        let dense = message(message::LINK_INFO, &[0; 18]);
        let error = read(&[dense]).expect_err("an error").to_string();
        assert!(
            error.contains("fractal heap, which is not read: write"),
            "{error}"
        );
        let mut compact = vec![0, 0];
        compact.extend([0xff; 16]);
        assert!(read(&[message(message::LINK_INFO, &compact)]).is_ok());
    }

    #[test]
    fn a_name_must_be_inside_the_heap_and_end() -> Result<()> {
        let source = vec![0u8; 16];
        let mut reads = Reads::new(&source);
        let mut bytes = b"\0name\0".to_vec();
        bytes.resize(6 + MAX_NAME, b'x');
        let names = Block { at: 100, bytes };
        assert_eq!(heap_name(&mut reads, &names, 1)?, "name");
        assert_eq!(heap_name(&mut reads, &names, 5)?, "");
        for (offset, what) in [
            (6, "byte 106: expected a name that ends within 65536 bytes"),
            (
                1 << 30,
                "byte 1073741924: expected a name inside the group's heap",
            ),
        ] {
            let error = heap_name(&mut reads, &names, offset).expect_err("an error");
            assert_eq!(error.to_string(), what);
        }
        Ok(())
    }

    #[test]
    fn the_first_of_two_links_with_one_name_counts() -> Result<()> {
        let mut links = Links::new();
        insert(&mut links, 0, "a".into(), Some(1))?;
        insert(&mut links, 0, "a".into(), Some(2))?;
        assert_eq!(links, Links::from([("a".into(), Some(1))]));
        Ok(())
    }
}
