//! Runs an ONNX file in f64 by the definitions of its operators, straight from ONNX's reference:
//! <https://onnx.ai/onnx/operators>.

use super::file::{File, Node};
use candle_keras::prelude::*;
use std::collections::HashMap;

type Result<T> = std::result::Result<T, candle_keras::candle_core::Error>;

/// The outputs for a batch of inputs.
pub fn run(file: &File, x: &Tensor) -> Tensor {
    let mut values: HashMap<String, Tensor> = HashMap::new();
    for (name, constant) in &file.constants {
        values.insert(name.clone(), in_f64(constant));
    }
    values.insert(file.inputs[0].0.clone(), in_f64(x));
    for node in &file.nodes {
        let inputs: Vec<&Tensor> = node.inputs.iter().map(|name| &values[name]).collect();
        let outputs = outputs(node, &inputs);
        let outputs = outputs.unwrap_or_else(|error| panic!("{node:?}: {error}"));
        assert_eq!(outputs.len(), node.outputs.len(), "{node:?}");
        for (name, output) in node.outputs.iter().zip(outputs) {
            let before = values.insert(name.clone(), output);
            assert!(before.is_none(), "`{name}` is given twice");
        }
    }
    values[&file.outputs[0].0].clone()
}

/// Floats in f64; whole numbers as they are.
fn in_f64(tensor: &Tensor) -> Tensor {
    match tensor.dtype() {
        DType::F32 => tensor.to_dtype(DType::F64).unwrap(),
        _ => tensor.clone(),
    }
}

/// A function of every number.
fn each(x: &Tensor, function: impl Fn(f64) -> f64) -> Result<Tensor> {
    let numbers: Vec<f64> = x.flatten_all()?.to_vec1()?;
    let numbers: Vec<f64> = numbers.into_iter().map(function).collect();
    Tensor::from_vec(numbers, x.shape(), x.device())
}

fn lengths(tensor: &Tensor) -> Vec<i64> {
    tensor.to_vec1().unwrap()
}

/// An index of an axis that may count from the last.
fn axis(axis: i64, x: &Tensor) -> usize {
    (if axis < 0 {
        axis + x.rank() as i64
    } else {
        axis
    }) as usize
}

fn axes(of: &[i64], x: &Tensor) -> Vec<usize> {
    of.iter().map(|each| axis(*each, x)).collect()
}

fn softmax(x: &Tensor, along: usize) -> Result<Tensor> {
    let e = x.broadcast_sub(&x.max_keepdim(along)?)?.exp()?;
    e.broadcast_div(&e.sum_keepdim(along)?)
}

fn outputs(node: &Node, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let x = inputs[0];
    let alpha = || node.float("alpha");
    let limit = |index: usize| inputs[index].to_scalar::<f64>();
    let one = match node.kind.as_str() {
        "Identity" => x.clone(),
        "Add" => x.broadcast_add(inputs[1])?,
        "Sub" => x.broadcast_sub(inputs[1])?,
        "Mul" => x.broadcast_mul(inputs[1])?,
        "Div" => x.broadcast_div(inputs[1])?,
        "Min" => x.broadcast_minimum(inputs[1])?,
        "Max" => x.broadcast_maximum(inputs[1])?,
        "Neg" => x.neg()?,
        "Abs" => x.abs()?,
        "Exp" => x.exp()?,
        "Sqrt" => x.sqrt()?,
        "Reciprocal" => x.recip()?,
        "Tanh" => x.tanh()?,
        "Erf" => x.erf()?,
        "Relu" => x.relu()?,
        "Sigmoid" => each(x, |x| 1.0 / (1.0 + (-x).exp()))?,
        "Softplus" => each(x, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())?,
        "Softsign" => each(x, |x| x / (1.0 + x.abs()))?,
        "LeakyRelu" => each(x, |x| if x < 0.0 { alpha() * x } else { x })?,
        "Elu" => each(x, |x| if x < 0.0 { alpha() * x.exp_m1() } else { x })?,
        "Celu" => each(x, |x| {
            x.max(0.0) + (alpha() * (x / alpha()).exp_m1()).min(0.0)
        })?,
        "Selu" => each(x, |x| {
            node.float("gamma") * if x > 0.0 { x } else { alpha() * x.exp_m1() }
        })?,
        "PRelu" => {
            let below = x.minimum(0.0)?.broadcast_mul(inputs[1])?;
            (x.relu()? + below)?
        }
        "Clip" => x.clamp(limit(1)?, limit(2)?)?,
        "Greater" => x.broadcast_gt(inputs[1])?,
        "GreaterOrEqual" => x.broadcast_ge(inputs[1])?,
        "Where" => {
            let [one, other] = [inputs[1], inputs[2]].map(|value| value.broadcast_as(x.shape()));
            x.where_cond(&one?, &other?)?
        }
        "Cast" => match node.int("to") {
            1 => x.to_dtype(DType::F64)?,
            7 => x.to_dtype(DType::I64)?,
            to => panic!("cast to {to}"),
        },
        "Softmax" => softmax(x, axis(node.int("axis"), x))?,
        "LogSoftmax" => {
            let along = axis(node.int("axis"), x);
            let x = x.broadcast_sub(&x.max_keepdim(along)?)?;
            x.broadcast_sub(&x.exp()?.sum_keepdim(along)?.log()?)?
        }
        "ReduceMean" => {
            assert_eq!(node.int("keepdims"), 1);
            x.mean_keepdim(axes(node.ints("axes"), x))?
        }
        "ReduceMax" => {
            assert_eq!(node.int("keepdims"), 1);
            x.max_keepdim(axes(node.ints("axes"), x)[0])?
        }
        "ReduceSum" => {
            assert_eq!(node.int("keepdims"), 1);
            x.sum_keepdim(axes(&lengths(inputs[1]), x))?
        }
        "CumSum" => x.cumsum(axis(lengths(inputs[1])[0], x))?,
        "TopK" => {
            assert_eq!(node.int("axis"), -1);
            let (sorted, indices) = x.sort_last_dim(false)?;
            assert_eq!(lengths(inputs[1]), [*x.dims().last().unwrap() as i64]);
            return Ok(vec![sorted, indices]);
        }
        "Split" => {
            let along = axis(node.int("axis"), x);
            let (mut start, mut parts) = (0, Vec::new());
            for length in lengths(inputs[1]) {
                parts.push(x.narrow(along, start, length as usize)?);
                start += length as usize;
            }
            return Ok(parts);
        }
        "MatMul" => {
            let rows = x.flatten_to(x.rank() - 2)?.matmul(inputs[1])?;
            let last = inputs[1].dim(1)?;
            rows.reshape([&x.dims()[..x.rank() - 1], &[last]].concat())?
        }
        "Gather" => {
            assert_eq!(node.int("axis"), 0);
            let ids = inputs[1];
            let rows = x.index_select(&ids.flatten_all()?, 0)?;
            rows.reshape([ids.dims(), &x.dims()[1..]].concat())?
        }
        "Reshape" => {
            let shape = lengths(inputs[1]).into_iter().enumerate();
            let shape = shape.map(|(index, length)| match length {
                0 => x.dims()[index],
                length => length as usize,
            });
            x.reshape(shape.collect::<Vec<usize>>())?
        }
        "Transpose" => x.permute(axes(node.ints("perm"), x))?.contiguous()?,
        "Unsqueeze" => x.unsqueeze(lengths(inputs[1])[0] as usize)?,
        "Expand" => {
            let shape = lengths(inputs[1]);
            let shape = shape
                .iter()
                .zip(x.dims())
                .map(|(a, b)| (*a as usize).max(*b));
            x.broadcast_as(shape.collect::<Vec<usize>>())?
                .contiguous()?
        }
        kind => panic!("no operator {kind} here"),
    };
    Ok(vec![one])
}
