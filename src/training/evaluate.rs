use super::{Counters, Logs, pairs::Pairs, progress::Progress, progress::Verbosity};
use crate::{Data, Result, Sequential, data::check_batch_size};

/// How to evaluate: `Evaluate::new().batch_size(1000).verbose(0)`.
#[derive(Debug, Clone)]
pub struct Evaluate {
    batch_size: usize,
    verbose: u8,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            batch_size: 32,
            verbose: 1,
        }
    }
}

impl Evaluate {
    /// Batches of 32 and a progress bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples in a batch; the result depends on it by rounding alone.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// What is shown: 0 nothing, 1 a bar, 2 a line.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
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
    /// As for [`evaluate`](Self::evaluate), and for options out of range.
    pub fn evaluate_with(
        &self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        options: Evaluate,
    ) -> Result<Logs> {
        let pairs = Pairs::new(self, x.into(), y.into(), "evaluate")?;
        check_batch_size("batch_size", options.batch_size)?;
        let verbosity = Verbosity::new(options.verbose)?;
        let steps = pairs.len().div_ceil(options.batch_size);
        let mut progress = Progress::new(verbosity, steps);
        self.count_samples(&pairs, options.batch_size, |counters| {
            progress.batch_end(|| counters.logs())
        })
        .inspect(|logs| progress.epoch_end(logs))
    }

    /// Runs through all pairs; `each` is called after every batch.
    pub(crate) fn count_samples(
        &self,
        pairs: &Pairs,
        batch_size: usize,
        mut each: impl FnMut(&mut Counters) -> Result<()>,
    ) -> Result<Logs> {
        let chain = self.built("evaluate")?;
        let mut counters = Counters::new(&self.compiled("evaluate")?.metrics);
        let run = |rows| {
            let (x, y) = pairs.gather(rows, chain)?;
            self.test_step(&x, &y)
        };
        chain.each_batch(pairs.len(), batch_size, run, |step| {
            counters.update(&step.losses, &step.y_true, || Ok(step.y_pred))?;
            each(&mut counters)
        })?;
        counters.logs()
    }
}
