use super::{Counter, Metric, RunningMean};
use crate::{Result, losses::aligned};
use candle_core::Tensor;
use std::{fmt, sync::Arc};

/// A metric of your own from a function: the mean of the values that it gives for the samples.
///
/// `values` gets targets and outputs of a batch, [`aligned`], and gives one number or several for
/// every sample: (batch, ..). They count by their samples' weights in a [`Weighted`](super::Weighted) metric.
///
/// ```
/// use candle_keras::{metrics, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let mut model = Sequential::new().add(Input::new(4)).add(Dense::new(2)).build(&Device::Cpu)?;
/// let greatest_error = metrics::from_fn("greatest_error", |y_true, y_pred| {
///     Ok((y_true - y_pred)?.abs()?.max(1)?)
/// });
/// model.compile(Adam::new(0.001), MeanSquaredError::new(), [greatest_error])?;
/// # Ok(()) }
/// ```
///
/// Keras: a function in `metrics=[..]`. It has no configuration: it cannot be written to a file.
pub fn from_fn<F>(name: impl Into<String>, values: F) -> FromFn
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    FromFn {
        name: name.into(),
        values: Arc::new(values),
    }
}

/// The metric that [`from_fn`] makes.
#[derive(Clone)]
pub struct FromFn {
    name: String,
    values: Arc<Function>,
}

type Function = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

impl fmt::Debug for FromFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").field(&self.name).finish()
    }
}

impl Metric for FromFn {
    fn name(&self) -> &str {
        &self.name
    }

    fn counter(&self) -> Box<dyn Counter> {
        Box::new(FromFnCounter {
            metric: self.clone(),
            mean: RunningMean::default(),
        })
    }
}

#[derive(Debug)]
struct FromFnCounter {
    metric: FromFn,
    mean: RunningMean,
}

impl Counter for FromFnCounter {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        let (y_true, y_pred) = aligned(y_true, y_pred)?;
        let values = (self.metric.values)(&y_true, &y_pred)?;
        super::check_values(&values, &y_pred)?;
        self.mean.add_weighted(&values, sample_weight)
    }

    fn result(&mut self) -> Result<f64> {
        self.mean.result()
    }

    fn state(&mut self) -> Result<Option<Vec<f64>>> {
        self.mean.state()
    }

    fn restore(&mut self, state: &[f64]) -> bool {
        self.mean.restore(state)
    }
}
