//! Object headers: the messages that describe a group or a dataset.

use super::super::{Error, MAX_HEADER, Result, message};
use super::cursor::{Block, Cursor};
use super::reads::Reads;

/// The most messages of one header: version 1 counts them with 16 bits.
const MAX_MESSAGES: usize = 1 << 16;

/// A message of an object's header.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) body: Block,
}

/// The first message of a kind.
pub(super) fn find(messages: &[Message], kind: u16) -> Option<Cursor<'_>> {
    let message = messages.iter().find(|message| message.kind == kind)?;
    Some(message.body.cursor())
}

/// A part of a header with messages.
struct Part {
    at: u64,
    size: u64,
}

/// How a header's messages are laid out.
struct Form {
    version: u8,
    /// Version 2 may number the messages.
    numbered: bool,
}

/// All messages of the object at `at`.
pub(super) fn messages(reads: &mut Reads<'_>, at: u64) -> Result<Vec<Message>> {
    let (form, first) = head(reads, at)?;
    let (mut messages, mut parts, mut total) = (Vec::new(), vec![first], 0u64);
    while let Some(part) = parts.pop() {
        total = total.saturating_add(part.size);
        if total > MAX_HEADER {
            let what = format!("expected an object header of at most {MAX_HEADER} bytes");
            return Err(Error::at(at, what));
        }
        let block = reads.block(part.at, part.size)?;
        let mut cursor = block.cursor();
        while let Some(message) = next(&form, &mut cursor)? {
            match message.kind {
                0 => {} // unused space
                message::CONTINUATION => parts.push(continued(reads, &form, &message)?),
                _ => messages.push(message),
            }
            if messages.len() > MAX_MESSAGES {
                let what = format!("expected at most {MAX_MESSAGES} messages in a header");
                return Err(Error::at(at, what));
            }
        }
    }
    Ok(messages)
}

fn head(reads: &mut Reads<'_>, at: u64) -> Result<(Form, Part)> {
    let block = reads.block(at, reads.rest(at).min(16))?; // an empty one at the end may have less
    let mut cursor = block.cursor();
    if !block.bytes.starts_with(b"OHDR") {
        return old_head(cursor);
    }
    cursor.skip(4)?;
    let version = cursor.u8()?;
    if version != 2 {
        let what = format!("expected an object header of version 2, got {version}");
        return Err(Error::at(at, what));
    }
    let flags = cursor.u8()?;
    let times = if flags & 0x20 != 0 { 16 } else { 0 };
    let phases = if flags & 0x10 != 0 { 4 } else { 0 };
    let width = 1 << (flags & 3);
    let start = cursor.at.saturating_add(times + phases);
    let size = reads.block(start, width)?.cursor().number(width as usize)?;
    let form = Form {
        version,
        numbered: flags & 4 != 0,
    };
    let at = start.saturating_add(width);
    Ok((form, Part { at, size }))
}

fn old_head(mut cursor: Cursor<'_>) -> Result<(Form, Part)> {
    let start = cursor;
    let version = cursor.u8()?;
    if version != 1 {
        return Err(start.error(format_args!("expected an object header, got {version}")));
    }
    cursor.skip(7)?; // reserved, the count of messages, the count of references
    let size = u64::from(cursor.u32()?);
    let at = cursor.at.saturating_add(4); // to a multiple of 8
    let form = Form {
        version,
        numbered: false,
    };
    Ok((form, Part { at, size }))
}

fn next(form: &Form, cursor: &mut Cursor<'_>) -> Result<Option<Message>> {
    let least = match (form.version, form.numbered) {
        (1, _) => 8,
        (_, false) => 4,
        (_, true) => 6,
    };
    if cursor.left() < least {
        return Ok(None); // a gap that is too short for a message
    }
    let start = *cursor;
    let (kind, size, flags);
    if form.version == 1 {
        (kind, size, flags) = (cursor.u16()?, cursor.u16()?, cursor.u8()?);
        cursor.skip(3)?;
    } else {
        (kind, size, flags) = (u16::from(cursor.u8()?), cursor.u16()?, cursor.u8()?);
        cursor.skip(if form.numbered { 2 } else { 0 })?;
    }
    if flags & 2 != 0 {
        let what = "expected a message, got a shared one, which is not read";
        return Err(start.error(what));
    }
    let body = Block {
        at: cursor.at,
        bytes: cursor.take(size.into())?.to_vec(),
    };
    Ok(Some(Message { kind, body }))
}

/// The part of the header that a continuation message leads to.
fn continued(reads: &mut Reads<'_>, form: &Form, message: &Message) -> Result<Part> {
    let mut cursor = message.body.cursor();
    let (at, size) = (cursor.u64()?, cursor.u64()?);
    if form.version == 1 {
        return Ok(Part { at, size });
    }
    reads.block(at, 4)?.cursor().expect(b"OCHK")?;
    let size = size.saturating_sub(8); // less the mark and the checksum
    let at = at.saturating_add(4);
    Ok(Part { at, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 1 with these messages, of 8 bytes each.
    fn header(messages: &[(u16, u8, u64)]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0, 1, 0, 0, 0];
        bytes.extend((messages.len() as u32 * 16).to_le_bytes());
        bytes.extend([0; 4]);
        for (kind, flags, body) in messages {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([8, 0, *flags, 0, 0, 0]);
            bytes.extend(body.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<Message>> {
        messages(&mut Reads::new(&bytes), 0)
    }

    #[test]
    fn finds_the_messages_and_leaves_out_unused_space() -> Result<()> {
        let messages = read(header(&[(0, 0, 1), (3, 0, 7), (1, 0, 9)]))?;
        let kinds: Vec<_> = messages.iter().map(|message| message.kind).collect();
        assert_eq!(kinds, [3, 1]);
        let mut body = find(&messages, 1).expect("a message");
        assert_eq!((body.at, body.u64()?), (16 + 2 * 16 + 8, 9));
        assert!(find(&messages, 8).is_none());
        Ok(())
    }

    #[test]
    fn a_shared_message_is_an_error() {
        let error = read(header(&[(3, 2, 7)]))
            .expect_err("an error")
            .to_string();
        let what = "byte 16: expected a message, got a shared one, which is not read";
        assert_eq!(error, what);
    }

    #[test]
    fn a_continuation_to_itself_ends() {
        let mut bytes = header(&[(message::CONTINUATION, 0, 16), (0, 0, 0)]);
        // The message has 16 bytes: address and size of itself.
        bytes[18] = 16;
        bytes[32..40].copy_from_slice(&24u64.to_le_bytes());
        bytes.resize(200, 0);
        let error = read(bytes).expect_err("an error").to_string();
        assert!(error.ends_with("got a loop"), "{error}");
    }

    #[test]
    fn something_else_than_a_header_is_an_error() {
        let error = read(vec![9; 64]).expect_err("an error").to_string();
        assert_eq!(error, "byte 0: expected an object header, got 9");
        let error = read(b"OHDR\x03___________".to_vec()).expect_err("an error");
        let what = "byte 0: expected an object header of version 2, got 3";
        assert_eq!(error.to_string(), what);
        assert!(read(vec![]).is_err());
    }

    #[test]
    fn a_header_over_the_limits_is_an_error() {
        let mut bytes = header(&[]);
        bytes[8..12].copy_from_slice(&(5u32 << 20).to_le_bytes());
        bytes.resize(6 << 20, 0);
        let error = read(bytes).expect_err("an error").to_string();
        assert!(error.contains("at most 4194304 bytes"), "{error}");
        let many = header(&[(1, 0, 0); 1 << 16]);
        assert!(read(many).is_ok());
        let many = header(&[(1, 0, 0); (1 << 16) + 1]);
        let error = read(many).expect_err("an error").to_string();
        assert!(error.contains("at most 65536 messages"), "{error}");
    }
}
