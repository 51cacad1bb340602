//! Which targets fit which outputs.

use crate::{
    Error, Result, error::batched, error::of_samples, error::tuple, shapes, shapes::Misfit,
};
use candle_core::Tensor;

pub(super) use crate::shapes::compared;

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
    fit(target, shapes::same(target, output))
}

/// An error unless targets have a column for each column of the outputs.
pub(super) fn one_hot(target: &[usize], output: &[usize]) -> Result<()> {
    let instead = "the metric of labels, whose name begins with Sparse,";
    fit(target, shapes::one_hot(target, output, instead))
}

/// An error unless there is a label for every row of outputs.
pub(super) fn labels(target: &[usize], output: &[usize]) -> Result<()> {
    labels_along(output.len().saturating_sub(1), target, output)
}

/// The same of classes along another axis than the last, counted without the samples'.
pub(super) fn labels_along(axis: usize, target: &[usize], output: &[usize]) -> Result<()> {
    let instead = "the metric without Sparse in its name";
    fit(target, shapes::labels(target, output, axis, instead))
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
fn misfit(target: &[usize], expected: &[usize], advice: &str) -> Error {
    Misfit::new(expected, advice).error(of_samples(target))
}

fn fit(target: &[usize], fit: std::result::Result<(), Misfit>) -> Result<()> {
    fit.map_err(|misfit| misfit.error(of_samples(target)))
}
