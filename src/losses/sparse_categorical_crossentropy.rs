use super::{
    Loss, categorical_crossentropy::log_probabilities, fused_rows, misfit, no_axis, target_error,
};
use crate::{
    Data, Error, Result, activations::ActivationFunction, data::Rows, error::batched, ops,
};
use candle_core::{D, DType, Device, Tensor};

/// Categorical cross-entropy with labels in place of one-hot targets: loss = -ln y_pred\[label\].
///
/// After a softmax, or with [`from_logits`](Self::from_logits), it is computed from the logits.
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
/// `evaluate`, where Keras on JAX takes a loss of 0.
#[derive(Debug, Clone, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
}

impl SparseCategoricalCrossentropy {
    /// The loss of probabilities.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `y_pred` as logits: the inputs of a softmax, not its outputs.
    pub fn from_logits(mut self) -> Self {
        self.from_logits = true;
        self
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &str {
        "sparse_categorical_crossentropy"
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let labels = labels(y_true, y_pred)?; // (batch, .., 1)
        let log_probabilities = log_probabilities(y_pred, self.from_logits)?;
        let axis = y_pred.rank() - 1;
        Ok(log_probabilities
            .contiguous()?
            .gather(&labels, axis)?
            .squeeze(axis)?
            .neg()?)
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        let (outer, classes) = match output_shape {
            [outer @ .., classes] => (outer, *classes),
            [] => return Err(no_axis()),
        };
        let shape = y_true.sample_shape();
        if shape != outer && shape != [outer, &[1]].concat() {
            let advice = if shape == output_shape {
                "targets are labels, one whole number for each output: use CategoricalCrossentropy for one-hot targets".to_string()
            } else {
                let outputs = batched(output_shape);
                format!(
                    "the model's outputs are {outputs}, with a label for each row of the last axis: a Flatten layer may be missing"
                )
            };
            return Err(target_error(y_true, outer, &advice));
        }
        let rows = Rows::Range {
            start: 0,
            length: y_true.len(),
        };
        // Once before training, so that no step has to look.
        let values = y_true.gather(rows, DType::F32, &Device::Cpu)?;
        let labels = values.flatten_all()?.to_vec1::<f32>()?;
        check_labels(&labels, classes, shape.iter().product())
    }

    fn losses_and_gradient(
        &self,
        y_true: &Tensor,
        y_pred: &Tensor,
    ) -> Result<Option<(Tensor, Tensor)>> {
        if !self.from_logits {
            return Ok(None);
        }
        let width = y_pred.dim(D::Minus1)?;
        if ops::in_memory(&[y_true, y_pred]) {
            check_shape(y_true, y_pred)?;
            check_labels(&ops::numbers(y_true)?, width, 1)?;
            return fused_rows(y_true, y_pred, ops::cross_entropy::sparse);
        }
        let classes = Tensor::arange(0u32, width as u32, y_pred.device())?;
        let one_hot = labels(y_true, y_pred)?.broadcast_eq(&classes)?;
        let probabilities = candle_nn::ops::softmax(y_pred, D::Minus1)?;
        let gradient = (probabilities - one_hot.to_dtype(y_pred.dtype())?)?;
        Ok(Some((self.call(y_true, y_pred)?, gradient)))
    }

    fn fused_with(&self, activation: ActivationFunction) -> Option<Box<dyn Loss>> {
        let fuses = activation == ActivationFunction::Softmax && !self.from_logits;
        fuses.then(|| Box::new(self.clone().from_logits()) as Box<dyn Loss>)
    }
}

/// Labels as whole numbers, (batch, .., 1).
fn labels(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    check_shape(y_true, y_pred)?;
    // Below 0 they would become the class 0; from the GPU they would have to be waited for.
    if y_true.device().is_cpu() {
        let labels = y_true.to_dtype(DType::F32)?.flatten_all()?;
        check_labels(&labels.to_vec1()?, y_pred.dim(D::Minus1)?, 1)?;
    }
    let labels = y_true.to_dtype(DType::U32)?;
    if labels.rank() < y_pred.rank() {
        return Ok(labels.unsqueeze(labels.rank())?);
    }
    Ok(labels)
}

/// An error unless there is a label for every row of outputs.
fn check_shape(y_true: &Tensor, y_pred: &Tensor) -> Result<()> {
    let rows = &y_pred.dims()[..y_pred.rank().saturating_sub(1)];
    if y_true.dims() == rows || y_true.dims() == [rows, &[1]].concat() {
        return Ok(());
    }
    Err(misfit(
        y_true,
        rows,
        "give a label for every row of outputs",
    ))
}

/// An error unless every label is a whole number below `classes`; `width` of them belong to a
/// sample.
fn check_labels(labels: &[f32], classes: usize, width: usize) -> Result<()> {
    let fits = |label: &f32| label.fract() == 0.0 && (0.0..classes as f32).contains(label);
    match labels.iter().position(|label| !fits(label)) {
        None => Ok(()),
        Some(index) => Err(Error::Label {
            label: f64::from(labels[index]),
            sample: index / width.max(1),
            classes,
        }),
    }
}
