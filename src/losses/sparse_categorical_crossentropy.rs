use super::{
    Base, EPSILON, Loss, categorical_crossentropy::log_softmax, formulas, fused_rows, labels,
    loss_access, loss_setters,
};
use crate::{Axes, Data, Result, activations::ActivationFunction, ops};
use candle_core::{D, DType, Tensor};
use serde::{Deserialize, Serialize};

/// Categorical cross-entropy with labels in place of one-hot targets: loss = -ln y_pred\[label\].
///
/// After a softmax, or with [`from_logits`](Self::from_logits), it is computed from the logits,
/// finite up to ±1e4; but with [`ignore_class`](Self::ignore_class) not after a softmax, as in Keras:
/// leave the softmax off and give logits.
/// From probabilities alone they are first kept within 1e-7 and 1 - 1e-7, then divided by their
/// sum, as Keras on TensorFlow does.
///
/// # Shapes
/// `y_true` (batch, ..) or (batch, .., 1), whole numbers from 0 to classes - 1; `y_pred`
/// (batch, .., classes).
///
/// ```
/// use candle_keras::{losses::{Loss, SparseCategoricalCrossentropy}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[1u32], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.5f32, 0.5]], &Device::Cpu)?;
/// let loss = SparseCategoricalCrossentropy::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!((loss[0] - std::f32::consts::LN_2).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// Keras: `SparseCategoricalCrossentropy`. A label outside the classes is an error in `fit` and
/// `evaluate`, where Keras on JAX takes a loss of 0. Keras on TensorFlow takes no
/// [`axis`](Self::axis) but the last, and its configuration leaves the axis out; here it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
    ignore_class: Option<i64>,
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

impl SparseCategoricalCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self {
            from_logits: false,
            ignore_class: None,
            axis: -1,
            base: Base::default(),
        }
    }

    /// Takes `y_pred` as logits: the inputs of a softmax, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }

    /// A label whose outputs have a loss of 0 and do not count in the mean, such as that of pixels
    /// that nobody has labelled. It need not be one of the classes: -1 and 255 are usual.
    pub fn ignore_class(mut self, ignore_class: i64) -> Self {
        self.ignore_class = Some(ignore_class);
        self
    }

    /// The axis of the classes, counted with the samples' as 0; -1, the last, by default.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    loss_setters!();

    /// An error for arguments out of range, where outputs have the shape (None, `output_shape`).
    pub(crate) fn check_arguments(&self, output_shape: &[usize]) -> Result<()> {
        labels::class_axis(self.axis, output_shape.len() + 1).map(drop)
    }

    /// -ln of the label's probability for each row of outputs, whose classes are the last axis.
    fn of_rows(&self, labels: &Tensor, rows: &Tensor) -> Result<Tensor> {
        let axis = rows.rank() - 1;
        let rows = if self.from_logits {
            rows.clone()
        } else {
            formulas::clip(rows, EPSILON, 1.0 - EPSILON)?.log()?
        };
        let logarithms = log_softmax(&rows, axis)?.contiguous()?;
        Ok(logarithms.gather(labels, axis)?.squeeze(axis)?.neg()?)
    }

    /// Losses and gradient in memory, of outputs whose classes are the last axis.
    fn fused(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
        labels::check_rows(y_true, y_pred)?;
        let classes = y_pred.dim(D::Minus1)?;
        labels::check_each(&ops::numbers(y_true)?, classes, 1, self.ignore_class)?;
        let labels = labels::without_ignored(y_true, self.ignore_class)?;
        fused_rows(&labels, y_pred, ops::cross_entropy::sparse)
    }

    /// Losses and gradient in candle's operations, of outputs whose classes are the last axis.
    fn plain(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
        let classes = y_pred.dim(D::Minus1)?;
        let classes = Tensor::arange(0u32, classes as u32, y_pred.device())?;
        let labels = labels::indices(y_true, y_pred, self.ignore_class)?;
        let one_hot = labels.broadcast_eq(&classes)?.to_dtype(y_pred.dtype())?;
        let probabilities = candle_nn::ops::softmax(y_pred, D::Minus1)?;
        let losses = self.of_rows(&labels, y_pred)?;
        Ok((losses, (probabilities - one_hot)?))
    }
}

impl Default for SparseCategoricalCrossentropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &str {
        "sparse_categorical_crossentropy"
    }

    loss_access!("SparseCategoricalCrossentropy");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn mask(&self, y_true: &Tensor) -> Result<Option<Tensor>> {
        let counted = labels::counted(y_true, self.ignore_class)?;
        Ok(counted
            .map(|counted| counted.to_dtype(DType::F32))
            .transpose()?)
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        labels::check(y_true, output_shape, self.axis, self.ignore_class)?;
        labels::check_classes(self.axis, output_shape)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let rows = labels::classes_last(y_pred, self.axis)?;
        let labels = labels::indices(y_true, &rows, self.ignore_class)?; // (batch, .., 1)
        let Some(counted) = labels::counted(y_true, self.ignore_class)? else {
            return self.of_rows(&labels, &rows);
        };
        // Also the outputs, so that no infinite one reaches the gradient.
        let rows = zero_unless(&counted, &rows)?;
        zero_unless(&counted, &self.of_rows(&labels, &rows)?)
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        let last = labels::class_axis(self.axis, y_pred.rank())? + 1 == y_pred.rank();
        if !self.from_logits || !last {
            return Ok(None);
        }
        let (losses, gradient) = if ops::in_memory(&[y_true, y_pred]) {
            self.fused(y_true, y_pred)?
        } else {
            self.plain(y_true, y_pred)?
        };
        Ok(Some(match labels::counted(y_true, self.ignore_class)? {
            Some(counted) => (
                zero_unless(&counted, &losses)?,
                zero_unless(&counted, &gradient)?,
            ),
            None => (losses, gradient),
        }))
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        // The loop over both is faster than the losses alone in candle's operations.
        let both = if ops::in_memory(&[y_true, y_pred]) {
            self.losses_and_gradient(y_true, y_pred)?
        } else {
            None
        };
        match both {
            Some((losses, _)) => Ok(losses),
            None => self.call(y_true, y_pred),
        }
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let whole = self.axis == -1 && self.ignore_class.is_none();
        let fuses = activation == ActivationFunction::Softmax && whole && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// Losses, or rows of numbers, with 0 where a label does not count.
fn zero_unless(counted: &Tensor, numbers: &Tensor) -> Result<Tensor> {
    let mut shape = numbers.dims().to_vec();
    if counted.elem_count() < numbers.elem_count()
        && let Some(last) = shape.last_mut()
    {
        *last = 1; // (batch, .., 1)
    }
    let counted = counted.reshape(shape)?.broadcast_as(numbers.shape())?;
    Ok(counted.where_cond(numbers, &numbers.zeros_like()?)?)
}
