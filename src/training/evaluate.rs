use super::{
    Batch, BatchSource, Counters, Logs,
    epoch::each,
    feed::{Feed, Samples, Streamed},
    pairs::Pairs,
    progress::Progress,
    progress::Verbosity,
    step::TestStep,
};
use crate::{Data, Error, Result, Sequential, callbacks::Callback, data::check_batch_size};

/// How to evaluate: `Evaluate::new().batch_size(1000).verbose(0)`.
pub struct Evaluate<'a> {
    batch_size: usize,
    steps: Option<usize>,
    sample_weight: Option<Data>,
    verbose: u8,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl Default for Evaluate<'_> {
    fn default() -> Self {
        Self {
            batch_size: 32,
            steps: None,
            sample_weight: None,
            verbose: 1,
            callbacks: Vec::new(),
        }
    }
}

impl<'a> Evaluate<'a> {
    /// Batches of 32 and a progress bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples in a batch; the result depends on it by rounding alone.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Batches to evaluate on, in place of all.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// How much each sample counts in the loss, (n), or each of its losses, (n, ..).
    pub fn sample_weight(mut self, weights: impl Into<Data>) -> Self {
        self.sample_weight = Some(weights.into());
        self
    }

    /// What is shown: 0 nothing, 1 a bar, 2 a line.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// Adds a callback, of which the methods `on_test_..` are called.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
}

impl Sequential {
    /// The loss and the metrics on samples `x` with targets `y`, in batches of 32.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let x = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
    /// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
    /// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
    /// let scores = model.evaluate(&x, &x)?;
    /// println!("{:.4}", scores["loss"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built or compiled, or `x` and `y` do not fit it or each other.
    pub fn evaluate(&self, x: impl Into<Data>, y: impl Into<Data>) -> Result<Logs> {
        self.evaluate_with(x, y, Evaluate::new())
    }

    /// As [`evaluate`](Self::evaluate), with options.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate), for options out of range, and when a callback fails.
    pub fn evaluate_with(
        &self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        mut options: Evaluate<'_>,
    ) -> Result<Logs> {
        let mut batch = Batch::new(x, y);
        batch.sample_weight = options.sample_weight.take();
        let pairs = Pairs::new(self, batch, "evaluate")?;
        check_batch_size("batch_size", options.batch_size)?;
        let mut samples = Samples::new(pairs, options.batch_size, false);
        self.evaluate_feed(&mut samples, options)
    }

    /// As [`evaluate_with`](Self::evaluate_with), on batches as a source gives them, whatever their
    /// size. A source without end needs [`Evaluate::steps`].
    ///
    /// # Errors
    /// As for [`evaluate_with`](Self::evaluate_with), and when the source fails or gives no batch.
    pub fn evaluate_batches(
        &self,
        source: impl BatchSource,
        options: Evaluate<'_>,
    ) -> Result<Logs> {
        self.compiled("evaluate_batches")?;
        if options.sample_weight.is_some() {
            let expected = "no such option with batches from a source";
            let advice = "let the source give batches with their weights";
            return Err(Error::argument("sample_weight", expected, "one", advice));
        }
        self.evaluate_feed(&mut Streamed::new(source, None), options)
    }

    fn evaluate_feed(&self, feed: &mut dyn Feed, mut options: Evaluate<'_>) -> Result<Logs> {
        if options.steps == Some(0) {
            let advice = "leave it out for all batches";
            return Err(Error::argument("steps", "at least 1", 0, advice));
        }
        let verbosity = Verbosity::new(options.verbose)?;
        let mut progress = Progress::new(verbosity, options.steps.or(feed.count()));
        let callbacks = &mut options.callbacks;
        each(callbacks, |callback| callback.on_test_begin(self))?;
        let logs = self.count_batches(feed, options.steps, callbacks, |counters| {
            progress.batch_end(|| counters.logs())
        })?;
        progress.epoch_end(&logs);
        each(callbacks, |callback| callback.on_test_end(&logs, self))?;
        Ok(logs)
    }

    /// Runs through the batches, at most `steps` of them; `done` is called after each.
    pub(super) fn count_batches(
        &self,
        feed: &mut dyn Feed,
        steps: Option<usize>,
        callbacks: &mut [Box<dyn Callback + '_>],
        mut done: impl FnMut(&mut Counters) -> Result<()>,
    ) -> Result<Logs> {
        let chain = self.built("evaluate")?;
        let mut counters = Counters::new(&self.compiled("evaluate")?.metrics);
        // The same for every batch, and so for their mean.
        let penalties = chain.weight_penalties()?;
        let mut batch = 0;
        let mut count = |step: TestStep| {
            each(callbacks, |callback| {
                callback.on_test_batch_begin(batch, self)
            })?;
            counters.add_step(&step, &penalties)?;
            each(callbacks, |callback| {
                callback.on_test_batch_end(batch, self)
            })?;
            batch += 1;
            done(&mut counters)
        };
        if let Some(samples) = feed.samples() {
            let size = samples.batch_size;
            let all = samples.pairs.len();
            let length = steps.map_or(all, |steps| steps.saturating_mul(size).min(all));
            let run = |rows| self.test_step(&samples.pairs.gather(rows, chain)?);
            chain.each_batch(length, size, run, count)?;
            return counters.logs();
        }
        feed.restart(0, self)?;
        for _ in 0..steps.unwrap_or(usize::MAX) {
            match feed.next(self)? {
                Some(batch) => count(self.test_step(&batch)?)?,
                None => break,
            }
        }
        counters.logs()
    }
}
