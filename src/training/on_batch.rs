use super::{Batch, Logs, class_weight::ClassWeight, pairs::Pairs, step::Waits};
use crate::{Data, Error, Result, Sequential, model::chain::Head};
use candle_core::Tensor;

/// How a batch counts: `OnBatch::new().sample_weight(&weights)`.
#[derive(Debug, Clone, Default)]
pub struct OnBatch {
    sample_weight: Option<Data>,
    class_weight: Option<ClassWeight>,
}

impl OnBatch {
    /// All samples alike.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much each sample counts in the loss, (n), or each of its losses, (n, ..).
    pub fn sample_weight(mut self, weights: impl Into<Data>) -> Self {
        self.sample_weight = Some(weights.into());
        self
    }

    /// How much samples of a class count in the loss, by the class's label, as
    /// [`Fit::class_weight`](crate::Fit::class_weight).
    pub fn class_weight(
        mut self,
        weights: impl IntoIterator<Item = (impl Into<i64>, f64)>,
    ) -> Self {
        self.class_weight = Some(ClassWeight::new(weights));
        self
    }

    fn pairs(self, model: &Sequential, x: Data, y: Data, method: &'static str) -> Result<Pairs> {
        let mut batch = Batch::new(x, y);
        batch.sample_weight = self.sample_weight;
        let pairs = Pairs::new(model, batch, method)?;
        if let Some(weights) = &self.class_weight {
            weights.check()?;
        }
        pairs.class_weighted(self.class_weight.as_ref(), model)
    }
}

impl Sequential {
    /// Trains one step on a batch, and gives the loss and metrics of this batch alone, as Keras does.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let x = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
    /// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
    /// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
    /// let first = model.train_on_batch(&x, &x)?["loss"];
    /// assert!(model.train_on_batch(&x, &x)?["loss"] < first);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`fit`](Self::fit). Where the loss is not finite, the optimizer takes no step; moving
    /// means may have seen the batch.
    pub fn train_on_batch(&mut self, x: impl Into<Data>, y: impl Into<Data>) -> Result<Logs> {
        self.train_on_batch_with(x, y, OnBatch::new())
    }

    /// As [`train_on_batch`](Self::train_on_batch), with weights.
    ///
    /// # Errors
    /// As for [`train_on_batch`](Self::train_on_batch).
    pub fn train_on_batch_with(
        &mut self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        options: OnBatch,
    ) -> Result<Logs> {
        let method = "train_on_batch";
        self.outside_fit(method)?;
        let pairs = options.pairs(self, x.into(), y.into(), method)?;
        let batch = pairs.gather(pairs.all(), self.built(method)?)?;
        self.reset_metrics()?;
        self.train_step(&batch, Waits::ForLoss)?;
        let logs = self.running_logs()?;
        if self.trained.counters.first_not_finite().is_none() {
            return Ok(logs);
        }
        let advice = match batch.not_finite()? {
            Some(_) => "mend or remove the samples that are not finite",
            None => "try a smaller learning rate, or scale the inputs",
        };
        Err(Error::argument(
            "loss",
            "a finite number",
            logs["loss"],
            advice,
        ))
    }

    /// The loss and metrics of this batch alone, as Keras gives them.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn test_on_batch(&mut self, x: impl Into<Data>, y: impl Into<Data>) -> Result<Logs> {
        self.test_on_batch_with(x, y, OnBatch::new())
    }

    /// As [`test_on_batch`](Self::test_on_batch), with weights.
    ///
    /// # Errors
    /// As for [`test_on_batch`](Self::test_on_batch).
    pub fn test_on_batch_with(
        &mut self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        options: OnBatch,
    ) -> Result<Logs> {
        let method = "test_on_batch";
        self.outside_fit(method)?;
        let pairs = options.pairs(self, x.into(), y.into(), method)?;
        let chain = self.built(method)?;
        let step = self.test_step(&pairs.gather(pairs.all(), chain)?)?;
        let penalties = chain.weight_penalties()?;
        self.reset_metrics()?;
        let counters = &mut self.trained.counters;
        counters.add_step(&step, &penalties)?;
        counters.logs()
    }

    /// The outputs for one batch, all at once: [`predict`](Self::predict) without batches.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict).
    pub fn predict_on_batch(&self, x: impl Into<Data>) -> Result<Tensor> {
        let chain = self.built("predict_on_batch")?;
        let x = chain.checked_input(x.into(), "x")?;
        let rows = crate::data::Rows::Range {
            start: 0,
            length: x.len(),
        };
        chain.forward(&x.gather(rows, chain.dtype, &chain.device)?, Head::Whole)
    }

    /// Begins to count the loss and the metrics of [`running_logs`](Self::running_logs) anew. Every
    /// epoch does so, and every `train_on_batch` and `test_on_batch`.
    ///
    /// # Errors
    /// When the model is not compiled.
    pub fn reset_metrics(&mut self) -> Result<()> {
        let metrics = &self.compiled("reset_metrics")?.metrics;
        self.trained.counters = super::Counters::new(metrics);
        Ok(())
    }
}
