use crate::{Result, ops, ops::row_normalization::RowNormalization};
use candle_core::Tensor;

/// Rows, each normalised by its own moments: y = γ·(x - mean)/√(variance + ε) + β.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormalizedRows<'a> {
    /// (rows, width)
    pub(super) x: &'a Tensor,
    /// γ, (width).
    pub(super) gamma: Option<&'a Tensor>,
    /// β, (width).
    pub(super) beta: Option<&'a Tensor>,
    /// ε.
    pub(super) epsilon: f64,
    /// Whether the mean is subtracted; without it, 0 stands for the mean above.
    pub(super) centered: bool,
}

/// The gradients of [`NormalizedRows`].
#[derive(Debug)]
pub(super) struct RowGradients {
    /// (rows, width)
    pub(super) x: Tensor,
    /// (width)
    pub(super) gamma: Tensor,
    /// (width)
    pub(super) beta: Tensor,
}

impl NormalizedRows<'_> {
    /// y, (rows, width).
    pub(super) fn outputs(&self) -> Result<Tensor> {
        if self.in_memory() {
            let x = ops::numbers(self.x)?;
            let outputs = self.fused(|rows| rows.forward(&x))?;
            return Ok(Tensor::from_vec(outputs, self.x.shape(), self.x.device())?);
        }
        let mut y = self.plain()?.0;
        if let Some(gamma) = self.gamma {
            y = y.broadcast_mul(gamma)?;
        }
        if let Some(beta) = self.beta {
            y = y.broadcast_add(beta)?;
        }
        Ok(y)
    }

    /// The gradients from `g`, the one with respect to y, in one piece.
    pub(super) fn gradients(&self, g: &Tensor) -> Result<RowGradients> {
        if self.in_memory() && ops::in_memory(&[g]) {
            let (x, numbers) = (ops::numbers(self.x)?, ops::numbers(g)?);
            let gradients = self.fused(|rows| rows.backward(&x, &numbers))?;
            let (device, width) = (self.x.device(), gradients.gamma.len());
            return Ok(RowGradients {
                x: Tensor::from_vec(gradients.x, self.x.shape(), device)?,
                gamma: Tensor::from_vec(gradients.gamma, width, device)?,
                beta: Tensor::from_vec(gradients.beta, width, device)?,
            });
        }
        let (normalized, inverse) = self.plain()?;
        let scaled = match self.gamma {
            Some(gamma) => g.broadcast_mul(gamma)?,
            None => g.clone(),
        };
        // dx = (g·γ - mean(g·γ) - x̂·mean(g·γ·x̂))/√(variance + ε)
        let along = (&scaled * &normalized)?.mean_keepdim(1)?;
        let mut x = (&scaled - normalized.broadcast_mul(&along)?)?;
        if self.centered {
            x = x.broadcast_sub(&scaled.mean_keepdim(1)?)?;
        }
        Ok(RowGradients {
            x: x.broadcast_mul(&inverse)?,
            gamma: (g * normalized)?.sum(0)?,
            beta: g.sum(0)?,
        })
    }

    fn in_memory(&self) -> bool {
        let weights = self.gamma.into_iter().chain(self.beta);
        ops::in_memory(&[self.x]) && weights.into_iter().all(|weight| ops::in_memory(&[weight]))
    }

    /// Calls `body` with the fused operation.
    fn fused<R>(&self, body: impl FnOnce(RowNormalization<'_>) -> R) -> Result<R> {
        let width = self.x.dim(1)?;
        let gamma = self.gamma.map(ops::numbers).transpose()?;
        let beta = self.beta.map(ops::numbers).transpose()?;
        let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
        Ok(body(RowNormalization {
            gamma: gamma.as_deref().unwrap_or(&ones),
            beta: beta.as_deref().unwrap_or(&zeros),
            epsilon: self.epsilon,
            centered: self.centered,
        }))
    }

    /// x̂, (rows, width), and 1/√(variance + ε), (rows, 1).
    fn plain(&self) -> Result<(Tensor, Tensor)> {
        let distances = if self.centered {
            self.x.broadcast_sub(&self.x.mean_keepdim(1)?)?
        } else {
            self.x.clone()
        };
        let variance = distances.sqr()?.mean_keepdim(1)?;
        let inverse = (variance + self.epsilon)?.sqrt()?.recip()?;
        Ok((distances.broadcast_mul(&inverse)?, inverse))
    }
}
