use super::{Base, Loss, labels, loss_access, loss_setters};
use crate::{Data, Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A cross-entropy that bears wrong labels: with p the probability of the label,
/// loss = (1 - p^q) / q, which is near -ln p for a small q, and near the absolute error 1 - p for a
/// q near 1.
///
/// # Shapes
/// `y_true` (batch, ..) or (batch, .., 1), whole numbers from 0 to classes - 1; `y_pred`
/// (batch, .., classes), probabilities.
///
/// ```
/// use candle_keras::{losses::{CategoricalGeneralizedCrossEntropy, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[1u32], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[0.75f32, 0.25]], &Device::Cpu)?;
/// let loss = CategoricalGeneralizedCrossEntropy::new().call(&y_true, &y_pred)?;
/// assert_eq!(loss.to_vec1::<f32>()?, [1.0]);
/// # Ok(()) }
/// ```
///
/// Source: Zhang and Sabuncu, *Generalized Cross Entropy Loss for Training Deep Neural Networks with
/// Noisy Labels*, 2018. Keras: `CategoricalGeneralizedCrossEntropy`. A column of labels, which is
/// taken here as such, is compared with every sample of the batch there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CategoricalGeneralizedCrossEntropy {
    q: f64,
    #[serde(flatten)]
    base: Base,
}

impl CategoricalGeneralizedCrossEntropy {
    /// The loss with a q of 0.5.
    pub fn new() -> Self {
        Self {
            q: 0.5,
            base: Base::default(),
        }
    }

    /// How well wrong labels are borne, above 0 and below 1; 0.5 by default.
    pub fn q(mut self, q: f64) -> Self {
        self.q = q;
        self
    }

    loss_setters!();
}

impl Default for CategoricalGeneralizedCrossEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for CategoricalGeneralizedCrossEntropy {
    fn name(&self) -> &str {
        "categorical_generalized_cross_entropy"
    }

    loss_access!("CategoricalGeneralizedCrossEntropy");

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        if !(self.q > 0.0 && self.q < 1.0) {
            let advice = "Keras's default is 0.5";
            return Err(Error::argument(
                "q",
                "a number between 0 and 1",
                self.q,
                advice,
            ));
        }
        labels::check(y_true, output_shape, -1, None)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let labels = labels::indices(y_true, y_pred, None)?; // (batch, .., 1)
        let axis = y_pred.rank() - 1;
        let of_label = y_pred.contiguous()?.gather(&labels, axis)?.squeeze(axis)?;
        Ok(((1.0 - of_label.powf(self.q)?)? / self.q)?)
    }
}
