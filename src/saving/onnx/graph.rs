//! A graph of operators as it is put together: values, which formulas are made of, and their names.

use super::protobuf::Message;
use candle_core::Tensor;
use std::{
    cell::RefCell,
    collections::HashMap,
    ops::{Add, Div, Mul, Sub},
};

/// The name of the model's input, which Keras gives its `InputLayer`.
pub(super) const INPUT: &str = "input_layer";

/// The name of the model's output, as in Keras's exports.
pub(super) const OUTPUT: &str = "output_0";

/// The name of the batch's length.
const BATCH: &str = "batch";

/// Types of numbers, by ONNX's count (`TensorProto.DataType`).
pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;

/// Operators and constants, in the order in which formulas asked for them.
#[derive(Debug)]
pub(super) struct Graph(RefCell<Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// The layer that operators are named after.
    layer: String,
    /// Of every value, by its index.
    names: Vec<String>,
    operators: Vec<Operator>,
    constants: Vec<(usize, Constant)>,
    /// How often a name was asked for.
    counts: HashMap<String, usize>,
}

#[derive(Debug)]
struct Operator {
    name: String,
    kind: &'static str,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    attributes: Vec<(&'static str, Attribute)>,
}

#[derive(Debug)]
enum Constant {
    Numbers(Tensor),
    Number(f32),
    Lengths(Vec<i64>),
}

/// What an operator is told besides its inputs.
#[derive(Debug, Clone)]
pub(super) enum Attribute {
    Float(f64),
    Int(i64),
    Ints(Vec<i64>),
}

/// A tensor in the graph: the input, a constant, or what an operator gives. Formulas are written with
/// `+ - * /` and the methods below.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'g> {
    graph: &'g Graph,
    index: usize,
}

impl Graph {
    /// A graph of the input alone, and that.
    pub(super) fn new() -> Self {
        Self(RefCell::new(Parts {
            names: vec![INPUT.to_string()],
            ..Parts::default()
        }))
    }

    pub(super) fn input(&self) -> Value<'_> {
        let index = 0;
        Value { graph: self, index }
    }

    /// Names what follows after a layer.
    pub(super) fn begin_layer(&self, name: &str) {
        self.0.borrow_mut().layer = name.to_string();
    }

    /// A tensor of f32 by its whole name, such as a weight's path.
    pub(super) fn tensor(&self, name: &str, tensor: &Tensor) -> Value<'_> {
        // The same memory: nothing is copied before it is written.
        self.constant(name.to_string(), Constant::Numbers(tensor.clone()))
    }

    /// A tensor of f32 that has no name.
    pub(super) fn numbers(&self, tensor: &Tensor) -> Value<'_> {
        let name = self.0.borrow_mut().fresh("constant");
        self.tensor(&name, tensor)
    }

    pub(super) fn number(&self, number: f64) -> Value<'_> {
        let name = self.0.borrow_mut().fresh("constant");
        self.constant(name, Constant::Number(number as f32))
    }

    /// Lengths of axes, or the axes themselves.
    pub(super) fn lengths(&self, lengths: impl IntoIterator<Item = i64>) -> Value<'_> {
        let name = self.0.borrow_mut().fresh("shape");
        self.constant(name, Constant::Lengths(lengths.into_iter().collect()))
    }

    fn constant(&self, name: String, constant: Constant) -> Value<'_> {
        let mut parts = self.0.borrow_mut();
        let index = parts.value(name);
        parts.constants.push((index, constant));
        Value { graph: self, index }
    }

    /// An operator of several outputs.
    pub(super) fn operator<const OUTPUTS: usize>(
        &self,
        kind: &'static str,
        inputs: &[Value<'_>],
        attributes: &[(&'static str, Attribute)],
    ) -> [Value<'_>; OUTPUTS] {
        let mut parts = self.0.borrow_mut();
        let name = parts.fresh(kind);
        let outputs = std::array::from_fn(|output| {
            let name = match output {
                0 => name.clone(),
                output => format!("{name}:{output}"),
            };
            parts.value(name)
        });
        parts.operators.push(Operator {
            name,
            kind,
            inputs: inputs.iter().map(|value| value.index).collect(),
            outputs: outputs.to_vec(),
            attributes: attributes.to_vec(),
        });
        outputs.map(|index| Value { graph: self, index })
    }

    /// ONNX's message of the graph, for samples and outputs of these shapes.
    pub(super) fn message(self, output: usize, shapes: [&[usize]; 2]) -> Message {
        let mut parts = self.0.into_inner();
        let mut output = output;
        if output == 0 {
            // No layer does anything: an output needs an operator that gives it.
            output = parts.value(String::new());
            parts.operators.push(Operator {
                name: "Identity".to_string(),
                kind: "Identity",
                inputs: vec![0],
                outputs: vec![output],
                attributes: Vec::new(),
            });
        }
        parts.names[output] = OUTPUT.to_string();
        let mut graph = Message::new(); // GraphProto
        for operator in &parts.operators {
            graph.message(1, operator.message(&parts.names));
        }
        graph.text(2, "sequential");
        for (index, constant) in parts.constants {
            graph.message(5, constant.message(&parts.names[index]));
        }
        for ((field, name), shape) in [(11, INPUT), (12, OUTPUT)].into_iter().zip(shapes) {
            graph.message(field, value_info(name, shape));
        }
        graph
    }
}

impl Parts {
    fn value(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    /// A name of the layer's that nothing else has: `dense/Add`, `dense/Add_1`. No layer's name has a
    /// `/`, and a weight's does not begin with a capital.
    fn fresh(&mut self, what: &str) -> String {
        let name = format!("{}/{what}", self.layer);
        let count = self.counts.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            count => format!("{name}_{}", count - 1),
        }
    }
}

impl<'g> Value<'g> {
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// An operator of this value alone.
    pub(super) fn apply(self, kind: &'static str) -> Self {
        self.apply_with(kind, &[], &[])
    }

    /// An operator of this value, further ones and attributes.
    pub(super) fn apply_with(
        self,
        kind: &'static str,
        others: &[Value<'g>],
        attributes: &[(&'static str, Attribute)],
    ) -> Self {
        let inputs = [&[self], others].concat();
        let [output] = self.graph.operator(kind, &inputs, attributes);
        output
    }

    /// The mean along axes, which stay with length 1.
    pub(super) fn mean(self, axes: &[usize]) -> Self {
        let attributes = [("axes", ints(axes)), ("keepdims", Attribute::Int(1))];
        self.apply_with("ReduceMean", &[], &attributes)
    }

    /// The sum along axes, which stay with length 1.
    pub(super) fn sum(self, axes: impl IntoIterator<Item = i64>) -> Self {
        let axes = self.graph.lengths(axes);
        self.apply_with("ReduceSum", &[axes], &[("keepdims", Attribute::Int(1))])
    }

    /// Between two numbers.
    pub(super) fn clip(self, least: f64, greatest: f64) -> Self {
        let limits = [self.graph.number(least), self.graph.number(greatest)];
        self.apply_with("Clip", &limits, &[])
    }

    /// Whether it is above a number, for [`choose`](Self::choose).
    pub(super) fn above(self, number: f64) -> Self {
        let number = self.graph.number(number);
        self.apply_with("Greater", &[number], &[])
    }

    /// Whether it is at least a number, for [`choose`](Self::choose).
    pub(super) fn at_least(self, number: f64) -> Self {
        let number = self.graph.number(number);
        self.apply_with("GreaterOrEqual", &[number], &[])
    }

    /// One value where this one is true, another elsewhere.
    pub(super) fn choose(self, one: Self, other: Self) -> Self {
        self.apply_with("Where", &[one, other], &[])
    }

    /// Converted to another type of numbers.
    pub(super) fn cast(self, to: i64) -> Self {
        self.apply_with("Cast", &[], &[("to", Attribute::Int(to))])
    }

    /// Batches of samples of another shape of as many numbers.
    pub(super) fn reshape(self, sample_shape: &[usize]) -> Self {
        // 0 stands for the length that there is: the batch's.
        let lengths = [0]
            .into_iter()
            .chain(sample_shape.iter().map(|length| *length as i64));
        let lengths = self.graph.lengths(lengths);
        self.apply_with("Reshape", &[lengths], &[])
    }

    /// A constant in another shape of as many numbers.
    pub(super) fn in_shape(self, shape: &[usize]) -> Self {
        let lengths = self
            .graph
            .lengths(shape.iter().map(|length| *length as i64));
        self.apply_with("Reshape", &[lengths], &[])
    }

    /// Its axes in another order, unless that is theirs.
    pub(super) fn transpose(self, order: &[usize]) -> Self {
        if order.is_sorted() {
            return self;
        }
        self.apply_with("Transpose", &[], &[("perm", ints(order))])
    }
}

pub(super) fn ints(numbers: &[usize]) -> Attribute {
    Attribute::Ints(numbers.iter().map(|number| *number as i64).collect())
}

macro_rules! operators {
    ($($trait:ident $method:ident $kind:literal;)+) => {$(
        impl $trait for Value<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.apply_with($kind, &[other], &[])
            }
        }

        impl $trait<f64> for Value<'_> {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                self.apply_with($kind, &[self.graph.number(other)], &[])
            }
        }
    )+};
}

operators! {
    Add add "Add";
    Sub sub "Sub";
    Mul mul "Mul";
    Div div "Div";
}

// ---- ONNX's messages, whose fields are numbered in onnx.proto -----------------------------------

impl Operator {
    /// NodeProto
    fn message(&self, names: &[String]) -> Message {
        let mut message = Message::new();
        self.inputs
            .iter()
            .for_each(|index| message.text(1, &names[*index]));
        self.outputs
            .iter()
            .for_each(|index| message.text(2, &names[*index]));
        message.text(3, &self.name);
        message.text(4, self.kind);
        for (name, attribute) in &self.attributes {
            message.message(5, attribute.message(name));
        }
        message
    }
}

impl Attribute {
    /// AttributeProto, whose field 20 is the type.
    fn message(&self, name: &str) -> Message {
        let mut message = Message::new();
        message.text(1, name);
        match self {
            Self::Float(number) => {
                message.float(2, *number as f32);
                message.integer(20, 1);
            }
            Self::Int(number) => {
                message.integer(3, *number);
                message.integer(20, 2);
            }
            Self::Ints(numbers) => {
                numbers
                    .iter()
                    .for_each(|number| message.integer(8, *number));
                message.integer(20, 7);
            }
        }
        message
    }
}

impl Constant {
    /// TensorProto
    fn message(self, name: &str) -> Message {
        let mut message = Message::new();
        match self {
            Self::Numbers(tensor) => {
                let dims = tensor.dims().iter();
                dims.for_each(|length| message.integer(1, *length as i64));
                message.integer(2, FLOAT);
                message.text(8, name);
                message.numbers(9, tensor);
            }
            Self::Number(number) => {
                message.integer(2, FLOAT);
                message.text(8, name);
                message.bytes(9, &number.to_le_bytes());
            }
            Self::Lengths(lengths) => {
                message.integer(1, lengths.len() as i64);
                message.integer(2, INT64);
                message.text(8, name);
                let bytes = lengths.iter().flat_map(|length| length.to_le_bytes());
                message.bytes(9, &bytes.collect::<Vec<u8>>());
            }
        }
        message
    }
}

/// ValueInfoProto of a batch of samples.
fn value_info(name: &str, sample_shape: &[usize]) -> Message {
    let mut shape = Message::new(); // TensorShapeProto
    let mut batch = Message::new();
    batch.text(2, BATCH);
    shape.message(1, batch);
    for length in sample_shape {
        let mut dimension = Message::new();
        dimension.integer(1, *length as i64);
        shape.message(1, dimension);
    }
    let mut tensor = Message::new(); // TypeProto.Tensor
    tensor.integer(1, FLOAT);
    tensor.message(2, shape);
    let mut value_type = Message::new(); // TypeProto
    value_type.message(1, tensor);
    let mut info = Message::new();
    info.text(1, name);
    info.message(2, value_type);
    info
}
