use super::{Base, Loss, arguments, formulas, labels, loss_access, loss_setters, target_error};
use crate::{Data, Error, Result, error::of_samples};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// The greatest whole number below which f32 holds all others.
const MOST_LABELS: f32 = 16_777_216.0;

/// Brings the outputs of samples with one label together, and takes others apart; every sample of a
/// batch is compared with all others.
///
/// With the distance d = max(1 - cosine, 0) of two samples, and sums over the others i with a
/// sample's label and j with another,
/// loss = ln(1 + Σᵢ e^(gamma·(d² - margin²)) · Σⱼ e^(gamma·n)), where
/// n = max(1 + margin - d, 0)·(1 - margin - d).
///
/// Samples that lack one of the two, others with their label or without, do not count. A batch
/// should hold several samples of each label.
///
/// # Shapes
/// `y_true` (batch) or (batch, 1), whole numbers; `y_pred` (batch, outputs), vectors of length 1.
///
/// ```
/// use candle_keras::{losses::{Circle, Loss}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let y_true = Tensor::new(&[0u32, 0, 1], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[1f32, 0.0], [1.0, 0.0], [-1.0, 0.0]], &Device::Cpu)?;
/// let apart = Circle::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// let y_pred = Tensor::new(&[[1f32, 0.0], [-1.0, 0.0], [1.0, 0.0]], &Device::Cpu)?;
/// let mixed = Circle::new().call(&y_true, &y_pred)?.to_vec1::<f32>()?;
/// assert!(apart[0] < 1e-3 && mixed[0] > 100.0);
/// # Ok(()) }
/// ```
///
/// Source: Sun et al., *Circle Loss: A Unified Perspective of Pair Similarity Optimization*, 2020.
/// Keras: `Circle`. There, samples whose loss is rounded to 0 do not count either, which takes a
/// gamma·margin² above 50; and where a sample lacks one of the two, the gradient is not a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Circle {
    gamma: f64,
    margin: f64,
    remove_diagonal: bool,
    #[serde(flatten)]
    base: Base,
}

impl Circle {
    /// The loss with a gamma of 80 and a margin of 0.4.
    pub fn new() -> Self {
        Self {
            gamma: 80.0,
            margin: 0.4,
            remove_diagonal: true,
            base: Base::default(),
        }
    }

    /// The scale of the distances, above 0; 80 by default.
    pub fn gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    /// Up to which distance samples of one label may be apart, and within which distance of the
    /// farthest others may be, from 0 to 1; 0.4 by default.
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Whether a sample is kept from being compared with itself; true by default.
    pub fn remove_diagonal(mut self, remove_diagonal: bool) -> Self {
        self.remove_diagonal = remove_diagonal;
        self
    }

    loss_setters!();

    /// 1 for each pair of samples with one label, and for each with two: (batch, batch) both.
    fn pairs(&self, y_true: &Tensor) -> Result<(Tensor, Tensor)> {
        let labels = y_true.to_dtype(DType::F32)?.flatten_all()?;
        let count = labels.elem_count();
        let same = labels.unsqueeze(1)?.broadcast_eq(&labels.unsqueeze(0)?)?;
        let same = same.to_dtype(DType::F32)?;
        let different = (1.0 - &same)?;
        if !self.remove_diagonal {
            return Ok((same, different));
        }
        let others = (1.0 - Tensor::eye(count, DType::F32, labels.device())?)?;
        Ok(((same * others)?, different))
    }

    /// 1 for each sample that has pairs of both kinds.
    fn complete(same: &Tensor, different: &Tensor) -> Result<Tensor> {
        let nearest = same.max(1)?; // (batch)
        Ok((nearest * different.max(1)?)?)
    }
}

impl Default for Circle {
    fn default() -> Self {
        Self::new()
    }
}

impl Loss for Circle {
    fn name(&self) -> &str {
        "circle"
    }

    loss_access!("Circle");

    fn mask(&self, y_true: &Tensor) -> Result<Option<Tensor>> {
        let (same, different) = self.pairs(y_true)?;
        Ok(Some(Self::complete(&same, &different)?))
    }

    fn check(&self, y_true: &Data, output_shape: &[usize]) -> Result<()> {
        arguments::positive("gamma", self.gamma, "Keras's default is 80")?;
        arguments::within("margin", self.margin, 0.0..=1.0, "Keras's default is 0.4")?;
        if output_shape.len() != 1 {
            let advice = "end the model with Flatten or Dense, whose outputs are a vector a sample";
            let got = of_samples(output_shape);
            return Err(Error::argument(
                "outputs",
                "shape (n, outputs)",
                got,
                advice,
            ));
        }
        if !matches!(y_true.sample_shape(), [] | [1]) {
            let advice = "give a label, a whole number, for each sample";
            return Err(target_error(y_true, &[], advice));
        }
        check_identities(&labels::all_numbers(y_true)?)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (same, different) = self.pairs(y_true)?;
        let complete = Self::complete(&same, &different)?.to_dtype(y_pred.dtype())?;
        let [same, different] = [same, different].map(|pairs| pairs.to_dtype(y_pred.dtype()));
        let margin = self.margin;
        let cosines = y_pred.matmul(&y_pred.t()?)?;
        let distances = formulas::at_least(&(1.0 - cosines)?, 0.0)?;
        // -γ·(m + d)·(m - d) and γ·max(1 + m - d, 0)·(1 - m - d)
        let near = ((&distances + margin)? * (margin - &distances)?)?;
        let near = (near * -self.gamma)?;
        let weight = formulas::at_least(&((1.0 + margin) - &distances)?, 0.0)?;
        let far = (weight * ((1.0 - margin) - &distances)?)?;
        let far = (far * self.gamma)?;
        let both = (log_sum(&near, &same?)? + log_sum(&far, &different?)?)?;
        Ok((formulas::softplus(&both)? * complete)?)
    }
}

/// ln Σ e^x over each row's chosen numbers; 0 where none is.
fn log_sum(x: &Tensor, chosen: &Tensor) -> Result<Tensor> {
    let out = chosen.eq(&chosen.zeros_like()?)?;
    let lowest = (x.zeros_like()? + f64::from(f32::MIN))?;
    let greatest = out.where_cond(&lowest, &x.detach())?.max_keepdim(1)?; // (batch, 1)
    let zeros = x.zeros_like()?;
    let shifted = out.where_cond(&zeros, &x.broadcast_sub(&greatest)?)?;
    let sum = (shifted.exp()? * chosen)?.sum_keepdim(1)?;
    let none = sum.eq(&sum.zeros_like()?)?;
    let total = none.where_cond(&sum.ones_like()?, &sum)?;
    let greatest = none.where_cond(&greatest.zeros_like()?, &greatest)?;
    Ok((total.log()? + greatest)?.squeeze(1)?)
}

/// An error unless labels are whole numbers that f32 can tell apart.
fn check_identities(labels: &[f32]) -> Result<()> {
    let fits = |label: &f32| label.fract() == 0.0 && label.abs() < MOST_LABELS;
    match labels.iter().position(|label| !fits(label)) {
        None => Ok(()),
        Some(sample) => Err(Error::argument(
            format!("y[{sample}]"),
            format!("a whole number below {MOST_LABELS}"),
            labels[sample],
            "number the labels, so that equal ones stand for samples that belong together",
        )),
    }
}
