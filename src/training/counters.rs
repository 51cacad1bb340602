use super::Logs;
use crate::{
    Error, Result,
    metrics::{Counter, Metric, RunningMean},
};
use candle_core::Tensor;

/// The loss and the metrics of the samples so far in an epoch or an evaluation.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    loss: RunningMean,
    metrics: Vec<(String, Box<dyn Counter>)>,
}

impl Counters {
    /// Counters that have seen no sample. Metrics of one name are numbered as in Keras:
    /// `accuracy`, `accuracy_1`.
    pub(crate) fn new(metrics: &[Box<dyn Metric>]) -> Self {
        let numbered = metrics.iter().enumerate().map(|(index, metric)| {
            let earlier = metrics[..index].iter();
            let name = match earlier
                .filter(|other| other.name() == metric.name())
                .count()
            {
                0 => metric.name().to_string(),
                count => format!("{}_{count}", metric.name()),
            };
            (name, metric.counter())
        });
        Self {
            loss: RunningMean::default(),
            metrics: numbered.collect(),
        }
    }

    /// Counts a batch; its outputs are asked for only where a metric reads them.
    pub(crate) fn update(
        &mut self,
        losses: &Tensor,
        y_true: &Tensor,
        y_pred: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        self.loss.add(losses)?;
        if self.metrics.is_empty() {
            return Ok(());
        }
        let y_pred = y_pred()?;
        for (name, counter) in &mut self.metrics {
            counter
                .update(y_true, &y_pred)
                .map_err(|error| Error::of_part("metric", name, error))?;
        }
        Ok(())
    }

    /// The numbers so far. Waits for the device.
    pub(crate) fn logs(&mut self) -> Result<Logs> {
        let mut logs = Logs::default();
        logs.insert("loss", self.loss.result()?);
        for (name, counter) in &mut self.metrics {
            logs.insert(name.as_str(), counter.result()?);
        }
        logs.sort();
        Ok(logs)
    }

    /// The index of the first batch whose loss is not finite, as far as it was read: at once on
    /// the CPU, with the next `logs` elsewhere.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        self.loss.first_not_finite()
    }
}
