//! Labels: whole numbers that stand for classes, one for every row of outputs.

use super::{misfit, no_axis};
use crate::{Axes, Data, Error, Result, data::Rows, error::batched, shapes, shapes::is_column};
use candle_core::{DType, Device, Tensor};

/// An error unless `y_true` has a label below the number of classes, or `ignored`, for every row of
/// outputs of (None, `output_shape`) along `axis`.
pub(super) fn check(
    y_true: &Data,
    output_shape: &[usize],
    axis: i64,
    ignored: Option<i64>,
) -> Result<()> {
    if output_shape.is_empty() {
        return Err(no_axis());
    }
    let axis = class_axis(axis, output_shape.len() + 1)? - 1; // without the samples'
    let shape = y_true.sample_shape();
    let fit = shapes::labels(shape, output_shape, axis, "CategoricalCrossentropy");
    fit.map_err(|misfit| misfit.error(y_true.shape_text()))?;
    // Once before training, so that no step has to look.
    let labels = all_numbers(y_true)?;
    check_each(&labels, output_shape[axis], shape.iter().product(), ignored)
}

/// An error where `axis` has one class alone: its share of the probabilities is 1 whatever the
/// outputs are, so that nothing would be learnt.
pub(super) fn check_classes(axis: i64, output_shape: &[usize]) -> Result<()> {
    let index = class_axis(axis, output_shape.len() + 1)?;
    if output_shape[index - 1] != 1 {
        return Ok(());
    }
    Err(Error::argument(
        "outputs",
        "two classes or more",
        format!("one, in outputs of shape {}", batched(output_shape)),
        "use BinaryCrossentropy, after a sigmoid, for yes and no in one column",
    ))
}

/// All numbers of the targets, as a step has them.
pub(super) fn all_numbers(y_true: &Data) -> Result<Vec<f32>> {
    let rows = Rows::Range {
        start: 0,
        length: y_true.len(),
    };
    let values = y_true.gather(rows, DType::F32, &Device::Cpu)?;
    Ok(values.flatten_all()?.to_vec1()?)
}

/// The index of the axis of the classes; the samples' cannot be it.
pub(super) fn class_axis(axis: i64, rank: usize) -> Result<usize> {
    let index = Axes::from(axis).resolve(rank)?[0];
    if index > 0 {
        return Ok(index);
    }
    let advice = "-1 is the last one; 0 is the batch's";
    Err(Error::argument(
        "axis",
        "the axis of the classes",
        axis,
        advice,
    ))
}

/// Outputs with the axis of the classes as their last.
pub(super) fn classes_last(y_pred: &Tensor, axis: i64) -> Result<Tensor> {
    let axis = class_axis(axis, y_pred.rank())?;
    if axis + 1 == y_pred.rank() {
        return Ok(y_pred.clone());
    }
    let mut order: Vec<usize> = (0..y_pred.rank()).collect();
    order.remove(axis);
    order.push(axis);
    Ok(y_pred.permute(order)?)
}

/// Labels of the classes along the last axis of `y_pred`, (batch, .., 1), with 0 for the `ignored`
/// ones.
pub(super) fn indices(y_true: &Tensor, y_pred: &Tensor, ignored: Option<i64>) -> Result<Tensor> {
    check_rows(y_true, y_pred)?;
    // Below 0 they would become the class 0; from the GPU they would have to be waited for.
    if y_true.device().is_cpu() {
        let labels = y_true.to_dtype(DType::F32)?.flatten_all()?;
        let classes = y_pred.dims().last().copied().unwrap_or_default();
        check_each(&labels.to_vec1()?, classes, 1, ignored)?;
    }
    let mut shape = y_pred.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = 1;
    }
    Ok(without_ignored(y_true, ignored)?
        .to_dtype(DType::U32)?
        .reshape(shape)?)
}

/// Labels with 0 in place of the ignored ones.
pub(super) fn without_ignored(y_true: &Tensor, ignored: Option<i64>) -> Result<Tensor> {
    match counted(y_true, ignored)? {
        Some(counted) => {
            let labels = y_true.to_dtype(DType::F32)?;
            Ok(counted.where_cond(&labels, &labels.zeros_like()?)?)
        }
        None => Ok(y_true.clone()),
    }
}

/// 1 for each label that is not the ignored one; `None` where none is.
pub(super) fn counted(y_true: &Tensor, ignored: Option<i64>) -> Result<Option<Tensor>> {
    let Some(ignored) = ignored else {
        return Ok(None);
    };
    let labels = y_true.to_dtype(DType::F32)?;
    let ignored = (labels.zeros_like()? + ignored as f64)?;
    Ok(Some(labels.ne(&ignored)?))
}

/// An error unless there is a label for every row of outputs along their last axis.
pub(super) fn check_rows(y_true: &Tensor, y_pred: &Tensor) -> Result<()> {
    let rows = &y_pred.dims()[..y_pred.rank().saturating_sub(1)];
    let last_of_one = |axis| is_column(y_true.dims(), rows, axis);
    if (0..=rows.len()).any(last_of_one) {
        return Ok(());
    }
    let advice = "give a label for every row of outputs";
    Err(misfit(y_true, rows, advice))
}

/// An error unless every label is a whole number below `classes`, or the ignored one; `width` of
/// them belong to a sample.
pub(super) fn check_each(
    labels: &[f32],
    classes: usize,
    width: usize,
    ignored: Option<i64>,
) -> Result<()> {
    let ignored = ignored.map(|label| label as f32);
    let fits = |label: &f32| {
        let inside = label.fract() == 0.0 && (0.0..classes as f32).contains(label);
        inside || Some(*label) == ignored
    };
    match labels.iter().position(|label| !fits(label)) {
        None => Ok(()),
        Some(index) => Err(Error::Label {
            label: f64::from(labels[index]),
            sample: index / width.max(1),
            classes,
        }),
    }
}
