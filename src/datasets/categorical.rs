//! One-hot labels.

use crate::{Error, Result, error::tuple};
use candle_core::{DType, Device, Tensor};

/// Turns class labels into one-hot rows: a 1 in the label's column, zeros elsewhere.
///
/// Shapes: (n,) or (n, 1) whole numbers of any type become (n, `classes`) of type f32, on the
/// labels' device. Losses named "sparse" take the labels as they are and do without this.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use candle_keras::datasets::to_categorical;
/// # fn main() -> candle_keras::Result<()> {
/// let labels = Tensor::new(&[2u8, 0], &Device::Cpu)?;
/// let y = to_categorical(&labels, 3)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When `classes` is 0, the labels have another shape or no sample, or a label is not a whole
/// number from 0 to `classes - 1`.
///
/// Source: `keras.utils.to_categorical`, except that `classes` is never guessed from the labels
/// and a negative label does not count from the end.
pub fn to_categorical(labels: &Tensor, classes: usize) -> Result<Tensor> {
    let samples = match labels.dims() {
        [samples] | [samples, 1] => *samples,
        other => {
            return Err(Error::argument(
                "labels",
                "the shape (n,) or (n, 1)",
                tuple(other),
                "give one label a sample",
            ));
        }
    };
    if samples == 0 {
        return Err(Error::Empty { argument: "labels" });
    }
    if classes == 0 {
        return Err(Error::argument(
            "classes",
            "at least 1",
            classes,
            "give the number of different labels",
        ));
    }
    // `to_device` copies all that lies behind a view. f64 holds every label below 2^53.
    let values = labels
        .force_contiguous()?
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1::<f64>()?;

    let mut rows: Vec<f32> = Vec::new();
    let numbers = samples.checked_mul(classes);
    let Some(numbers) = numbers.filter(|numbers| rows.try_reserve_exact(*numbers).is_ok()) else {
        return Err(Error::argument(
            "classes",
            format!("rows for {samples} samples that fit in memory"),
            classes,
            "keep the labels as they are and use a sparse loss",
        ));
    };
    rows.resize(numbers, 0.0);
    for (sample, (row, label)) in rows.chunks_exact_mut(classes).zip(&values).enumerate() {
        // A cast saturates and cuts: only a label in range comes back as it was.
        let column = *label as usize;
        match row.get_mut(column) {
            Some(one) if column as f64 == *label => *one = 1.0,
            _ => {
                return Err(Error::argument(
                    "labels",
                    format!("whole numbers from 0 to {}", classes - 1),
                    format!("{label} at sample {sample}"),
                    "raise `classes` above the largest label or mend the label",
                ));
            }
        }
    }
    Ok(Tensor::from_vec(rows, (samples, classes), labels.device())?)
}
