//! Which targets fit which outputs.

use crate::{Error, Result, error::batched, error::of_samples, error::tuple};
use candle_core::Tensor;

/// The shapes of one sample's targets and outputs, of a batch.
pub(super) fn of_batch<'a>(
    y_true: &'a Tensor,
    y_pred: &'a Tensor,
) -> Result<(&'a [usize], &'a [usize])> {
    match (y_true.dims(), y_pred.dims()) {
        ([targets, target @ ..], [samples, output @ ..]) if targets == samples => {
            Ok((target, output))
        }
        (targets, outputs) => {
            let samples = outputs
                .first()
                .map_or("a batch".to_string(), usize::to_string);
            let advice = "give the targets of the samples whose outputs come with them";
            let expected = format!("targets of {samples} samples");
            Err(Error::argument("y_true", expected, tuple(targets), advice))
        }
    }
}

/// An error unless there is a target for every output; a last axis of length 1 may be left out.
pub(super) fn same(target: &[usize], output: &[usize]) -> Result<()> {
    let bare = |shape: &[usize]| match shape {
        [rest @ .., 1] => rest.to_vec(),
        all => all.to_vec(),
    };
    if bare(target) == bare(output) {
        return Ok(());
    }
    Err(misfit(target, output, "give a target for every output"))
}

/// An error unless targets have a column for each column of the outputs.
pub(super) fn one_hot(target: &[usize], output: &[usize]) -> Result<()> {
    if target == output && !output.is_empty() {
        return Ok(());
    }
    let advice = match (target, output) {
        (_, []) => "the model's outputs need an axis of classes: end it with a Dense layer".into(),
        ([.., columns], [.., units]) if *columns > 1 && columns != units => format!(
            "targets have {columns} classes and the model's outputs {units}: make them equal"
        ),
        _ => "targets are one-hot, with a column for each class: make them with \
              to_categorical(&labels, classes), or use the metric of labels, whose name begins \
              with Sparse"
            .to_string(),
    };
    Err(misfit(target, output, &advice))
}

/// An error unless there is a label for every row of outputs.
pub(super) fn labels(target: &[usize], output: &[usize]) -> Result<()> {
    let Some((_, rows)) = output.split_last() else {
        let advice = "the model's outputs need an axis of classes: end it with a Dense layer";
        return Err(misfit(target, output, advice));
    };
    if target == rows || matches!(target, [rest @ .., 1] if rest == rows) {
        return Ok(());
    }
    let advice = if target == output {
        "targets are labels, one whole number for each row of outputs: for one-hot targets use \
         the metric without Sparse in its name"
            .to_string()
    } else {
        let outputs = batched(output);
        format!("the model's outputs are {outputs}: give a label for each row of the last axis")
    };
    Err(misfit(target, rows, &advice))
}

/// An error unless targets and outputs are both (batch, outputs).
pub(super) fn matrix(target: &[usize], output: &[usize]) -> Result<()> {
    let advice = "both need two axes, of samples and outputs: a Flatten layer may be missing";
    if output.len() != 1 {
        let got = batched(output);
        let expected = "(None, outputs)";
        return Err(Error::argument("outputs", expected, got, advice));
    }
    if target == output {
        return Ok(());
    }
    Err(misfit(target, output, advice))
}

/// Targets of a shape other than the one that fits.
pub(super) fn misfit(target: &[usize], expected: &[usize], advice: &str) -> Error {
    Error::Samples {
        argument: "y",
        expected: of_samples(expected),
        got: of_samples(target),
        advice: advice.to_string(),
    }
}
