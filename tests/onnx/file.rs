//! Reads an ONNX file: the fields of protobuf's messages, numbered as in onnx.proto.

use candle_keras::prelude::*;
use std::collections::BTreeMap;

/// What a model's file says.
#[derive(Debug)]
pub struct File {
    pub ir_version: u64,
    pub producer: String,
    pub opset: u64,
    pub nodes: Vec<Node>,
    pub constants: BTreeMap<String, Tensor>,
    pub inputs: Vec<Info>,
    pub outputs: Vec<Info>,
}

#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub kind: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug)]
enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
}

/// A name, the type of its numbers, and lengths of axes or their names.
#[derive(Debug, PartialEq)]
pub struct Info(pub String, pub u64, pub Vec<String>);

/// A field's value.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

impl<'a> Field<'a> {
    fn number(self) -> u64 {
        match self {
            Self::Varint(number) => number,
            field => panic!("expected a varint, got {field:?}"),
        }
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            field => panic!("expected bytes, got {field:?}"),
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn float(self) -> f32 {
        match self {
            Self::Four(bytes) => f32::from_le_bytes(bytes),
            field => panic!("expected four bytes, got {field:?}"),
        }
    }
}

/// The fields of a message, in order.
struct Message<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Message<'a> {
    fn new(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Varint(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(value)
                }
                5 => {
                    let (value, rest) = bytes.split_first_chunk::<4>().unwrap();
                    bytes = rest;
                    Field::Four(*value)
                }
                wire => panic!("wire type {wire}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = Field<'a>> {
        let fields = self.0.iter().filter(move |(field, _)| *field == number);
        fields.map(|(_, field)| *field)
    }

    fn one(&self, number: u64) -> Field<'a> {
        let mut fields = self.all(number);
        let field = fields.next().unwrap_or_else(|| panic!("no field {number}"));
        assert!(fields.next().is_none(), "field {number} twice");
        field
    }

    fn messages(&self, number: u64) -> impl Iterator<Item = Message<'a>> {
        self.all(number).map(|field| Message::new(field.bytes()))
    }

    fn texts(&self, number: u64) -> Vec<String> {
        self.all(number).map(Field::text).collect()
    }
}

/// Takes a number off, of which each byte has seven bits.
fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

impl File {
    pub fn new(bytes: &[u8]) -> Self {
        let model = Message::new(bytes);
        let graph = Message::new(model.one(7).bytes());
        let opset = Message::new(model.one(8).bytes());
        assert_eq!(opset.one(1).text(), "");
        let infos = |field| graph.messages(field).map(|info| Info::new(&info)).collect();
        let constants = graph.messages(5).map(|tensor| constant(&tensor));
        let constants: Vec<(String, Tensor)> = constants.collect();
        let count = constants.len();
        let file = Self {
            ir_version: model.one(1).number(),
            producer: model.one(2).text(),
            opset: opset.one(2).number(),
            nodes: graph.messages(1).map(|node| Node::new(&node)).collect(),
            constants: constants.into_iter().collect(),
            inputs: infos(11),
            outputs: infos(12),
        };
        assert_eq!(file.constants.len(), count, "two constants of one name");
        file
    }
}

/// A TensorProto, of f32 or i64.
fn constant(tensor: &Message<'_>) -> (String, Tensor) {
    let dims: Vec<usize> = tensor
        .all(1)
        .map(|length| length.number() as usize)
        .collect();
    let raw = tensor.one(9).bytes();
    let values = match tensor.one(2).number() {
        1 => {
            let numbers = raw
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            Tensor::from_vec(numbers.collect::<Vec<f32>>(), dims, &Device::Cpu)
        }
        7 => {
            let numbers = raw
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes));
            Tensor::from_vec(numbers.collect::<Vec<i64>>(), dims, &Device::Cpu)
        }
        other => panic!("type {other}"),
    };
    (tensor.one(8).text(), values.unwrap())
}

impl Info {
    fn new(info: &Message<'_>) -> Self {
        let value_type = Message::new(info.one(2).bytes());
        let tensor = Message::new(value_type.one(1).bytes());
        let shape = Message::new(tensor.one(2).bytes());
        let axes = shape.messages(1).map(|axis| match axis.all(2).next() {
            Some(name) => name.text(),
            None => axis.one(1).number().to_string(),
        });
        Self(info.one(1).text(), tensor.one(1).number(), axes.collect())
    }
}

impl Node {
    fn new(node: &Message<'_>) -> Self {
        let attributes = node.messages(5).map(|attribute| {
            let value = match attribute.one(20).number() {
                1 => Attribute::Float(attribute.one(2).float()),
                2 => Attribute::Int(attribute.one(3).number() as i64),
                7 => Attribute::Ints(attribute.all(8).map(|int| int.number() as i64).collect()),
                other => panic!("attribute of type {other}"),
            };
            (attribute.one(1).text(), value)
        });
        Self {
            inputs: node.texts(1),
            outputs: node.texts(2),
            name: node.one(3).text(),
            kind: node.one(4).text(),
            attributes: attributes.collect(),
        }
    }

    pub fn float(&self, name: &str) -> f64 {
        match &self.attributes[name] {
            Attribute::Float(number) => f64::from(*number),
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn int(&self, name: &str) -> i64 {
        match &self.attributes[name] {
            Attribute::Int(number) => *number,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn ints(&self, name: &str) -> &[i64] {
        match &self.attributes[name] {
            Attribute::Ints(numbers) => numbers,
            other => panic!("{name}: {other:?}"),
        }
    }
}
