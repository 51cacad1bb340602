use super::base::{Base, default_is_new, metric_access, metric_setters};
use super::mean::{MeanCounter, Values};
use super::{Counter, Direction, Metric, shapes};
use crate::Result;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// The root of the mean of all squared errors: √ mean (y_pred - y_true)². The mean is that of the
/// whole epoch, of which the root is taken once.
///
/// # Shapes
/// `y_true` and `y_pred` (batch, ..), both of one shape, or `y_true` (batch) for one output.
///
/// ```
/// use candle_keras::{metrics::{Metric, RootMeanSquaredError}, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut error = RootMeanSquaredError::new().counter();
/// let y_true = Tensor::new(&[[0f32, 0.], [0., 0.]], &Device::Cpu)?;
/// let y_pred = Tensor::new(&[[1f32, 1.], [1., 1.]], &Device::Cpu)?;
/// error.update(&y_true, &y_pred, None)?;
/// assert_eq!(error.result()?, 1.0);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` and `evaluate` fail for targets of another shape.
///
/// Keras: `RootMeanSquaredError`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootMeanSquaredError {
    #[serde(flatten)]
    base: Base,
}

impl RootMeanSquaredError {
    /// The metric.
    pub fn new() -> Self {
        Self {
            base: Base::new("root_mean_squared_error"),
        }
    }

    metric_setters!();
}

default_is_new!(RootMeanSquaredError);

impl Metric for RootMeanSquaredError {
    metric_access!("RootMeanSquaredError", Some(Direction::Down));

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(RootCounter(MeanCounter::new(SquaredErrors)))
    }

    fn check(&self, target_shape: &[usize], output_shape: &[usize]) -> Result<()> {
        shapes::same(target_shape, output_shape)
    }
}

#[derive(Debug)]
struct SquaredErrors;

impl Values for SquaredErrors {
    fn check(&self, target: &[usize], output: &[usize]) -> Result<()> {
        shapes::same(target, output)
    }

    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_pred - y_true)?.sqr()?)
    }
}

/// The root of a mean.
#[derive(Debug)]
struct RootCounter(MeanCounter<SquaredErrors>);

impl Counter for RootCounter {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        self.0.update(y_true, y_pred, sample_weight)
    }

    fn result(&mut self) -> Result<f64> {
        Ok(self.0.result()?.sqrt())
    }

    fn state(&mut self) -> Result<Option<Vec<f64>>> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        self.0.restore(state)
    }
}
