//! Which targets fit which outputs, for losses and metrics alike. Shapes are those of one sample,
//! without the axis of the samples.

use crate::{Error, Result, error::batched, error::of_samples};
use candle_core::{D, Tensor};

/// Targets that do not fit: the shape that would, and what to do.
#[derive(Debug)]
pub(crate) struct Misfit {
    expected: Vec<usize>,
    advice: String,
}

type Fit = std::result::Result<(), Misfit>;

impl Misfit {
    pub(crate) fn new(expected: &[usize], advice: impl Into<String>) -> Self {
        Self {
            expected: expected.to_vec(),
            advice: advice.into(),
        }
    }

    /// The error, where targets `got` came.
    pub(crate) fn error(self, got: String) -> Error {
        Error::Samples {
            argument: "y",
            expected: of_samples(&self.expected),
            got,
            advice: self.advice,
        }
    }
}

/// Targets and outputs of a batch as a loss compares them, in one shape where there is a target for
/// every output, as in Keras: targets (batch) become (batch, 1) for outputs of that shape; of others
/// a last axis of length 1 that only one of them has is dropped, so that outputs (batch, steps, 1) meet
/// targets (batch, steps) with the steps as their last axis.
///
/// # Errors
/// When candle cannot reshape.
pub fn aligned(y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
    let (true_rank, pred_rank) = (y_true.rank(), y_pred.rank());
    let (mut targets, mut outputs) = (y_true.clone(), y_pred.clone());
    if true_rank + 1 == pred_rank && y_pred.dim(D::Minus1)? == 1 {
        if true_rank == 1 {
            targets = y_true.unsqueeze(1)?;
        } else {
            outputs = y_pred.squeeze(D::Minus1)?;
        }
    } else if true_rank == pred_rank + 1 && y_true.dim(D::Minus1)? == 1 {
        targets = y_true.squeeze(D::Minus1)?;
    }
    Ok((targets, outputs))
}

/// The shape of outputs once [`aligned`] with targets.
pub(crate) fn compared<'a>(target: &[usize], output: &'a [usize]) -> &'a [usize] {
    match output {
        [rest @ .., 1] if !rest.is_empty() && rest.len() == target.len() => rest,
        _ => output,
    }
}

/// A shape without a last axis of length 1.
fn bare(shape: &[usize]) -> &[usize] {
    match shape {
        [rest @ .., 1] => rest,
        _ => shape,
    }
}

/// Whether there is a target for every output; a last axis of length 1 may be left out.
pub(crate) fn same(target: &[usize], output: &[usize]) -> Fit {
    if bare(target) == bare(output) {
        return Ok(());
    }
    Err(Misfit::new(
        output,
        "give a target for every output, or the last layer as many units as a target has numbers",
    ))
}

/// Whether targets have a column for each column of the outputs; `instead` takes labels.
pub(crate) fn one_hot(target: &[usize], output: &[usize], instead: &str) -> Fit {
    if target == output && !output.is_empty() {
        return Ok(());
    }
    let advice = match (target, output) {
        (_, []) => no_classes(),
        ([.., columns], [.., units]) if *columns > 1 && columns != units => format!(
            "targets have {columns} classes and the last layer {units} units: make them equal"
        ),
        _ => format!(
            "targets are one-hot, with a column for each class: make them with \
             to_categorical(&labels, classes), or use {instead} for labels"
        ),
    };
    Err(Misfit::new(output, advice))
}

/// Whether there is a label for every row of outputs along `axis`, counted without the samples';
/// `instead` takes one-hot targets.
pub(crate) fn labels(target: &[usize], output: &[usize], axis: usize, instead: &str) -> Fit {
    if axis >= output.len() {
        return Err(Misfit::new(output, no_classes()));
    }
    let mut rows = output.to_vec();
    rows.remove(axis);
    if is_column(target, &rows, axis) {
        return Ok(());
    }
    let advice = if target == output {
        format!(
            "targets are labels, one whole number for each output: use {instead} for one-hot targets"
        )
    } else {
        let outputs = batched(output);
        format!(
            "the model's outputs are {outputs}, with a label for each row of the last axis: a \
             Flatten layer may be missing"
        )
    };
    Err(Misfit::new(&rows, advice))
}

/// Whether labels have the rows' shape, or an axis of length 1 more where the classes are.
pub(crate) fn is_column(labels: &[usize], rows: &[usize], axis: usize) -> bool {
    let mut column = rows.to_vec();
    column.insert(axis.min(rows.len()), 1);
    labels == rows || labels == column
}

fn no_classes() -> String {
    "the model's outputs need an axis of classes: end it with a Dense layer".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn targets_and_outputs_are_aligned_as_in_keras() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let cases: [[&[usize]; 4]; 6] = [
            [&[4], &[4, 1], &[4, 1], &[4, 1]],
            [&[4, 3], &[4, 3, 1], &[4, 3], &[4, 3]],
            [&[4, 3, 1], &[4, 3], &[4, 3], &[4, 3]],
            [&[4, 3, 1], &[4, 3, 1], &[4, 3, 1], &[4, 3, 1]],
            [&[4], &[4, 3], &[4], &[4, 3]],
            [&[4, 3], &[4, 3, 2], &[4, 3], &[4, 3, 2]],
        ];
        for [target, output, targets, outputs] in cases {
            let (y_true, y_pred) = aligned(&zeros(target), &zeros(output)).unwrap();
            assert_eq!((y_true.dims(), y_pred.dims()), (targets, outputs));
            assert_eq!(compared(&target[1..], &output[1..]), &outputs[1..]);
        }
    }
}
