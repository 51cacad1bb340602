//! Protobuf messages, as far as they are written here: fields in order, each a key and a value.
//!
//! <https://protobuf.dev/programming-guides/encoding>

use crate::saving::weights_h5::write_numbers;
use candle_core::Tensor;
use std::io::{self, Write};

/// How a field's value is written.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Varint = 0,
    Length = 2,
    Four = 5,
}

/// A message. The numbers of tensors stay where they are until it is written.
#[derive(Debug, Default)]
pub(super) struct Message {
    parts: Vec<Part>,
    size: u64,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Numbers(Tensor),
}

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn integer(&mut self, field: u64, value: i64) {
        self.key(field, Wire::Varint);
        self.varint(value as u64); // a negative number in two's complement
    }

    pub(super) fn float(&mut self, field: u64, value: f32) {
        self.key(field, Wire::Four);
        self.push(&value.to_le_bytes());
    }

    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, Wire::Length);
        self.varint(bytes.len() as u64);
        self.push(bytes);
    }

    pub(super) fn message(&mut self, field: u64, message: Self) {
        self.key(field, Wire::Length);
        self.varint(message.size);
        for part in message.parts {
            match part {
                Part::Bytes(bytes) => self.push(&bytes),
                Part::Numbers(tensor) => self.push_numbers(tensor),
            }
        }
    }

    /// The bytes of a tensor's numbers.
    pub(super) fn numbers(&mut self, field: u64, tensor: Tensor) {
        self.key(field, Wire::Length);
        self.varint(size_of_numbers(&tensor));
        self.push_numbers(tensor);
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Bytes(bytes) => out.write_all(bytes),
            Part::Numbers(tensor) => write_numbers(tensor, out),
        })
    }

    fn key(&mut self, field: u64, wire: Wire) {
        self.varint((field << 3) | wire as u64);
    }

    /// Seven bits a byte, the last ones first; the top bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        let mut bytes = Vec::with_capacity(10);
        while value >= 0x80 {
            bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        self.push(&bytes);
    }

    fn push(&mut self, more: &[u8]) {
        self.size += more.len() as u64;
        match self.parts.last_mut() {
            Some(Part::Bytes(bytes)) => bytes.extend_from_slice(more),
            _ => self.parts.push(Part::Bytes(more.to_vec())),
        }
    }

    fn push_numbers(&mut self, tensor: Tensor) {
        self.size += size_of_numbers(&tensor);
        self.parts.push(Part::Numbers(tensor));
    }
}

fn size_of_numbers(tensor: &Tensor) -> u64 {
    tensor.elem_count() as u64 * tensor.dtype().size_in_bytes() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn written(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, message.size());
        bytes
    }

    #[test]
    fn messages_are_those_of_protobuf_s_own_guide() {
        let mut first = Message::new();
        first.integer(1, 150);
        assert_eq!(written(&first), [0x08, 0x96, 0x01]);
        let mut text = Message::new();
        text.text(2, "testing");
        assert_eq!(written(&text), b"\x12\x07testing");
        let mut outer = Message::new();
        outer.message(3, first);
        assert_eq!(written(&outer), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut negative = Message::new();
        negative.integer(1, -2);
        let ones = [0xff; 8];
        assert_eq!(
            written(&negative),
            [&[0x08, 0xfe][..], &ones, &[0x01]].concat()
        );
    }

    #[test]
    fn numbers_are_written_where_they_stand_in_messages_within_messages() {
        let tensor = Tensor::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let (mut inner, mut outer) = (Message::new(), Message::new());
        inner.numbers(9, tensor);
        inner.float(2, 0.5);
        outer.message(1, inner);
        outer.text(2, "x");
        let numbers = [0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];
        let expected = [
            &[0x0a, 15][..],
            &numbers,
            &[0x15, 0, 0, 0, 0x3f, 0x12, 1, b'x'],
        ];
        assert_eq!(written(&outer), expected.concat());
    }
}
