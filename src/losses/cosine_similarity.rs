use super::{
    Base, EPSILON, Loss, arguments, check_same_shape, formulas, loss_access, loss_setters,
};
use crate::{Axes, Data, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How far outputs point in another direction than their targets: minus the cosine of the angle
/// between them, -1 where they are parallel, 1 where they are opposite:
/// loss = -Σ (y_true / ‖y_true‖) · (y_pred / ‖y_pred‖).
///
/// Lengths below 1e-7 count as that, so that a vector of zeros has a loss of 0.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, .., outputs); a loss for each vector along
/// [`axis`](Self::axis), the last by default.
///
/// ```
/// use candle_keras::{losses::{CosineSimilarity, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[[0f32, 1.0], [1.0, 0.0]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0f32, 3.0], [0.0, 2.0]], &Device::Cpu)?;
/// assert_eq!(CosineSimilarity::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?, [-1.0, 0.0]);
/// # Ok(()) }
/// ```
///
/// Keras: `CosineSimilarity`. Its configuration leaves `axis` out, and a saved model loses it; here
/// it is written. Outputs of zeros alone get a finite gradient, where Keras on TensorFlow gives
/// none that is a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CosineSimilarity {
    axis: i64,
    #[serde(flatten)]
    base: Base,
}

impl CosineSimilarity {
    /// The loss of vectors along the last axis.
    pub fn new() -> Self {
        Self {
            axis: -1,
            base: Base::default(),
        }
    }

    /// The axis along which a vector lies, counted with the samples' as 0; -1, the last, by default.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    loss_setters!();
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for CosineSimilarity {
    fn name(&self) -> &str {
        "cosine_similarity"
    }

    loss_access!("CosineSimilarity");

    fn axes(&self) -> Axes {
        self.axis.into()
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        let outputs = check_same_shape(y_true, output_shape)?;
        arguments::axes(&self.axes(), outputs)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = formulas::pair(y_true, y_pred)?;
        let axes = self.axes().resolve(p.rank())?;
        let direction = |vectors: &Tensor| -> Result<Tensor> {
            let squared = vectors.sqr()?.sum_keepdim(&axes[..])?;
            let length = formulas::at_least(&squared, EPSILON * EPSILON)?.sqrt()?;
            Ok(vectors.broadcast_div(&length)?)
        };
        let products = (direction(&y)? * direction(&p)?)?;
        Ok(products.sum(&axes[..])?.neg()?)
    }
}
