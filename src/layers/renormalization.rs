use super::{
    Pass,
    batch_normalization::{followed, moving},
};
use crate::{Error, Result, initializers::Initializer, seed::Stream, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// How far a renormalization may correct the factor r and the offset d: r from `rmin` to `rmax`, d
/// from -`dmax` to `dmax`.
///
/// ```
/// use candle_keras::layers::{BatchNormalization, RenormClipping};
/// let clipping = RenormClipping::new().rmin(1.0 / 3.0).rmax(3.0).dmax(5.0);
/// BatchNormalization::new().renorm(true).renorm_clipping(clipping);
/// ```
///
/// Keras: the dictionary `renorm_clipping`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RenormClipping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rmax: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rmin: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dmax: Option<f64>,
}

impl RenormClipping {
    /// No limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The greatest factor.
    pub fn rmax(mut self, rmax: f64) -> Self {
        self.rmax = Some(rmax);
        self
    }

    /// The least factor.
    pub fn rmin(mut self, rmin: f64) -> Self {
        self.rmin = Some(rmin);
        self
    }

    /// The greatest offset to either side.
    pub fn dmax(mut self, dmax: f64) -> Self {
        self.dmax = Some(dmax);
        self
    }

    fn check(&self) -> Result<()> {
        let limits = [self.rmax, self.rmin, self.dmax];
        let known = limits.into_iter().flatten().all(|limit| !limit.is_nan());
        let ordered = self.rmin.unwrap_or(0.0) <= self.rmax.unwrap_or(f64::INFINITY);
        if known && ordered && self.dmax.unwrap_or(0.0) >= 0.0 {
            return Ok(());
        }
        Err(Error::argument(
            "renorm_clipping",
            "rmin up to rmax, and a dmax of at least 0",
            format!("{self:?}"),
            "rmax 3 and dmax 5 are the paper's last limits",
        ))
    }
}

/// Batch renormalization's arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Renormalization {
    pub(super) renorm: bool,
    pub(super) renorm_clipping: Option<RenormClipping>,
    pub(super) renorm_momentum: f64,
}

impl Default for Renormalization {
    fn default() -> Self {
        Self {
            renorm: false,
            renorm_clipping: None,
            renorm_momentum: 0.99,
        }
    }
}

impl Renormalization {
    /// Asks for the weights that it takes, after those of batch normalization.
    pub(super) fn build(
        &self,
        shape: &[usize],
        mean: &dyn Initializer,
        variance: &dyn Initializer,
        weights: &mut WeightBuilder<'_>,
    ) -> Result<()> {
        if !self.renorm {
            return Ok(());
        }
        self.renorm_clipping.unwrap_or_default().check()?;
        weights.add_non_trainable("moving_stddev", shape, &Root(variance))?;
        weights.add_non_trainable("renorm_mean", shape, mean)?;
        weights.add_non_trainable("renorm_stddev", shape, &Root(variance))
    }
}

/// The roots of what another initializer gives.
#[derive(Debug)]
struct Root<'a>(&'a dyn Initializer);

impl Initializer for Root<'_> {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        let values = self.0.values(shape, stream);
        Ok(values?.into_iter().map(f32::sqrt).collect())
    }
}

/// The correction x̂·r + d of a batch, each (channels), which is no part of a gradient.
#[derive(Debug)]
pub(super) struct Correction {
    pub(super) r: Tensor,
    pub(super) d: Tensor,
    deviation: Tensor,
    renorm_momentum: f64,
}

impl Correction {
    /// That of a batch of this mean and this standard deviation.
    pub(super) fn new(
        arguments: &Renormalization,
        mean: &Tensor,
        deviation: &Tensor,
        epsilon: f64,
        pass: &Pass<'_>,
    ) -> Result<Self> {
        let least = epsilon.sqrt(); // against a division by 0 in the first steps
        let moving = pass.weight("renorm_stddev")?.maximum(least)?;
        let mut r = (deviation / &moving)?;
        let mut d = ((mean - pass.weight("renorm_mean")?)? / moving)?;
        let limits = arguments.renorm_clipping.unwrap_or_default();
        if let Some(rmin) = limits.rmin {
            r = r.maximum(rmin)?;
        }
        if let Some(rmax) = limits.rmax {
            r = r.minimum(rmax)?;
        }
        if let Some(dmax) = limits.dmax {
            d = d.clamp(-dmax, dmax)?;
        }
        Ok(Self {
            r,
            d,
            deviation: deviation.clone(),
            renorm_momentum: arguments.renorm_momentum,
        })
    }

    /// Has the moving standard deviations and means follow the batch's. The moving variance is what
    /// the moving deviation stands for.
    pub(super) fn follow(
        &self,
        mean: &Tensor,
        momentum: f64,
        epsilon: f64,
        pass: &Pass<'_>,
    ) -> Result<()> {
        moving("renorm_mean", mean, self.renorm_momentum, pass)?;
        moving("renorm_stddev", &self.deviation, self.renorm_momentum, pass)?;
        let deviation = followed(pass.weight("moving_stddev")?, &self.deviation, momentum)?;
        let variance = (deviation.sqr()? - epsilon)?.maximum(0.0)?;
        pass.update("moving_stddev", &deviation)?;
        pass.update("moving_variance", &variance)
    }
}
