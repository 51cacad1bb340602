use super::{Counters, History, Logs, pairs::Pairs, progress::Progress, progress::Verbosity};
use crate::{
    Data, Error, Result, Sequential,
    callbacks::Callback,
    data::{Rows, check_batch_size},
    model::snapshot::Snapshot,
    ops::all_finite,
    seed::Stream,
};

/// How to train: `Fit::new().epochs(5).batch_size(64).validation_split(0.1)`.
///
/// The defaults are Keras's: 1 epoch, batches of 32, no validation, shuffled, a progress bar.
#[derive(Default)]
pub struct Fit<'a> {
    epochs: Option<usize>,
    batch_size: Option<usize>,
    validation_split: Option<f64>,
    validation_data: Option<(Data, Data)>,
    validation_batch_size: Option<usize>,
    unshuffled: bool,
    verbose: Option<u8>,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl<'a> Fit<'a> {
    /// One epoch in batches of 32.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often every sample is trained on.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Samples in a step. The last batch of an epoch may be smaller; it is trained on as well.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = Some(batch_size);
        self
    }

    /// The fraction, between 0 and 1, of the samples that is held back to validate on after every
    /// epoch: the last ones, before any shuffling.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = Some(fraction);
        self
    }

    /// Samples and targets to validate on after every epoch; goes before `validation_split`.
    pub fn validation_data(mut self, x: impl Into<Data>, y: impl Into<Data>) -> Self {
        self.validation_data = Some((x.into(), y.into()));
        self
    }

    /// Samples in a batch of the validation; as many as in training by default.
    pub fn validation_batch_size(mut self, batch_size: usize) -> Self {
        self.validation_batch_size = Some(batch_size);
        self
    }

    /// Whether every epoch takes the samples in a new random order, from the model's seed.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.unshuffled = !shuffle;
        self
    }

    /// What is shown: 0 nothing, 1 a bar for each epoch, 2 a line for each epoch. Where the output
    /// is not a terminal, 1 shows lines as well.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = Some(verbose);
        self
    }

    /// Adds a callback; several are called in the order in which they were added.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
}

/// What `fit` goes by, checked.
struct Plan {
    train: Pairs,
    validation: Option<Pairs>,
    epochs: usize,
    batch_size: usize,
    validation_batch_size: usize,
    shuffle: bool,
}

impl Plan {
    fn new(model: &Sequential, x: Data, y: Data, options: &mut Fit<'_>) -> Result<Self> {
        let device = &model.built("fit")?.device;
        let all = Pairs::new(model, x, y, "fit")?;
        let batch_size = options.batch_size.unwrap_or(32);
        let validation_batch_size = options.validation_batch_size.unwrap_or(batch_size);
        check_batch_size("batch_size", batch_size)?;
        check_batch_size("validation_batch_size", validation_batch_size)?;
        let epochs = options.epochs.unwrap_or(1);
        if epochs == 0 {
            return Err(Error::argument(
                "epochs",
                "at least 1",
                0,
                "1 is Keras's default",
            ));
        }
        if u32::try_from(all.len()).is_err() {
            let advice = "train on one part after the other";
            let expected = format!("at most {} samples", u32::MAX);
            return Err(Error::argument("x", expected, all.len(), advice));
        }
        if let Some(split) = options.validation_split
            && !(split > 0.0 && split < 1.0)
        {
            let advice = "0.1 holds back the last tenth; leave it out for no validation";
            let expected = "a fraction between 0 and 1";
            return Err(Error::argument("validation_split", expected, split, advice));
        }
        let (train, validation) = match (options.validation_data.take(), options.validation_split) {
            (Some((x, y)), _) => {
                let validation = Pairs::new(model, x, y, "fit").map_err(in_validation_data)?;
                (all, Some(validation))
            }
            (None, Some(fraction)) => {
                let (train, validation) = all.split(fraction)?;
                (train, Some(validation))
            }
            (None, None) => (all, None),
        };
        Ok(Self {
            train: train.resident(device)?,
            validation: validation.map(|pairs| pairs.resident(device)).transpose()?,
            epochs,
            batch_size,
            validation_batch_size,
            shuffle: !options.unshuffled,
        })
    }

    fn steps(&self) -> usize {
        self.train.len().div_ceil(self.batch_size)
    }
}

/// Says that an error concerns `validation_data`.
fn in_validation_data(error: Error) -> Error {
    Error::ValidationData(Box::new(error))
}

impl Sequential {
    /// Trains on samples `x` with targets `y`, and gives every epoch's loss and metrics.
    ///
    /// Weights and the optimizer's state stay, so that a second call goes on where the first one
    /// ended. An epoch's loss and metrics are means over its samples, each taken with the weights
    /// before its batch's update, as in Keras; `val_` ones are taken after the epoch.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let x = Tensor::new(&[[0f32], [1.0], [2.0], [3.0]], &Device::Cpu)?;
    /// let y = x.affine(2.0, 1.0)?; // 2x + 1
    /// let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
    /// model.compile(Sgd::new(0.05).momentum(0.9), MeanSquaredError::new(), ())?;
    /// let history = model.fit(&x, &y, Fit::new().epochs(200).verbose(0))?;
    /// assert!(history["loss"][199] < 1e-3);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built or compiled, the data do not fit it or each other, an option is
    /// out of range, a callback fails, or a number is not finite: training stops at that batch and
    /// the model keeps the weights from before the epoch.
    pub fn fit(
        &mut self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        mut options: Fit<'_>,
    ) -> Result<History> {
        self.outside_fit("fit")?;
        let plan = Plan::new(self, x.into(), y.into(), &mut options)?;
        let verbosity = Verbosity::new(options.verbose.unwrap_or(1))?;
        self.trained.stop = false;
        self.trained.in_fit = true;
        let history = self.train(&plan, &mut options.callbacks, verbosity);
        self.trained.in_fit = false;
        history
    }

    fn train(
        &mut self,
        plan: &Plan,
        callbacks: &mut [Box<dyn Callback + '_>],
        verbosity: Verbosity,
    ) -> Result<History> {
        let mut history = History::default();
        each(callbacks, |callback| callback.on_train_begin(self))?;
        for number in 0..plan.epochs {
            let mut progress = Progress::new(verbosity, plan.steps());
            progress.epoch_begin(number, plan.epochs);
            let logs = self.train_epoch(number, plan, &history, callbacks, &mut progress)?;
            progress.epoch_end(&logs);
            history.push(number, &logs);
            if self.trained.stop {
                break;
            }
        }
        each(callbacks, |callback| callback.on_train_end(self))?;
        Ok(history)
    }

    /// Ends the training after the running epoch; for callbacks.
    pub fn stop_training(&mut self) {
        self.trained.stop = true;
    }

    /// The loss and metrics of the running epoch so far; for callbacks. Waits for the device.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn running_logs(&mut self) -> Result<Logs> {
        self.trained.counters.logs()
    }

    fn train_epoch(
        &mut self,
        number: usize,
        plan: &Plan,
        history: &History,
        callbacks: &mut [Box<dyn Callback + '_>],
        progress: &mut Progress,
    ) -> Result<Logs> {
        each(callbacks, |callback| callback.on_epoch_begin(number, self))?;
        self.trained.counters = Counters::new(&self.compiled("fit")?.metrics);
        let epoch = Epoch {
            number,
            plan,
            order: self.order(plan)?,
            before: self.snapshot()?,
            history,
        };
        for batch in 0..plan.steps() {
            each(callbacks, |callback| {
                callback.on_train_batch_begin(batch, self)
            })?;
            let mut pace = std::mem::take(&mut self.trained.pace);
            let outcome = pace.step(|| self.train_batch(&epoch, batch));
            self.trained.pace = pace;
            outcome?;
            self.check_finite(&epoch)?;
            each(callbacks, |callback| {
                callback.on_train_batch_end(batch, self)
            })?;
            progress.batch_end(|| self.running_logs())?;
        }
        let mut logs = self.running_logs()?;
        self.check_finite(&epoch)?;
        self.check_weights(&epoch)?;
        self.trained.epochs += 1;
        if let Some(validation) = &plan.validation {
            each(callbacks, |callback| callback.on_test_begin(self))?;
            let batch_size = plan.validation_batch_size;
            let scores = self.count_samples(validation, batch_size, |_| Ok(()))?;
            each(callbacks, |callback| callback.on_test_end(&scores, self))?;
            scores
                .iter()
                .for_each(|(name, value)| logs.insert(format!("val_{name}"), value));
            logs.sort();
        }
        each(callbacks, |callback| {
            callback.on_epoch_end(number, &mut logs, self)
        })?;
        Ok(logs)
    }

    /// Gathers a batch and trains on it.
    fn train_batch(&mut self, epoch: &Epoch<'_>, batch: usize) -> Result<()> {
        let (rows, next) = (epoch.rows(batch), epoch.rows(batch + 1));
        let pairs = &epoch.plan.train;
        let (x, y) = pairs.gather_before(rows, next, self.built("fit")?)?;
        self.train_step(&x, &y)
    }

    /// This epoch's order of the samples; `None` for theirs.
    fn order(&self, plan: &Plan) -> Result<Option<Vec<u32>>> {
        if !plan.shuffle {
            return Ok(None);
        }
        let seed = self.built("fit")?.seed;
        let mut stream = Stream::new(seed, "shuffle", self.trained.epochs);
        Ok(Some(stream.permutation(plan.train.len())))
    }

    /// An error, with the weights from before the epoch back, when a loss was not finite.
    fn check_finite(&mut self, epoch: &Epoch<'_>) -> Result<()> {
        let Some(batch) = self.trained.counters.first_not_finite() else {
            return Ok(());
        };
        let pairs = &epoch.plan.train;
        let (x, y) = pairs.gather(epoch.rows(batch), self.built("fit")?)?;
        let (what, advice) = if !all_finite(&x)? {
            (
                "x holds a number that is not finite",
                "mend or remove the samples",
            )
        } else if !all_finite(&y)? {
            (
                "y holds a number that is not finite",
                "mend or remove the targets",
            )
        } else {
            (
                "the loss is not finite",
                "try a smaller learning rate, or scale the inputs",
            )
        };
        self.stop_at(epoch, batch, what.to_string(), advice)
    }

    /// An error, with the weights from before the epoch back, when an update left a weight that is
    /// not finite: the next step would only show its traces.
    fn check_weights(&mut self, epoch: &Epoch<'_>) -> Result<()> {
        let Some(path) = self.weight_not_finite()? else {
            return Ok(());
        };
        let what = format!("the weight `{path}` is not finite after the update");
        let advice = "try a smaller learning rate";
        self.stop_at(epoch, epoch.plan.steps() - 1, what, advice)
    }

    fn stop_at(
        &mut self,
        epoch: &Epoch<'_>,
        batch: usize,
        what: String,
        advice: &'static str,
    ) -> Result<()> {
        self.restore(&epoch.before)?;
        Err(Error::NotFinite {
            epoch: epoch.number + 1,
            step: batch + 1,
            what,
            kept: match epoch.number {
                0 => "from before this fit".to_string(),
                number => format!("of epoch {number}"),
            },
            advice,
            history: Box::new(epoch.history.clone()),
        })
    }
}

/// A running epoch.
struct Epoch<'p> {
    number: usize,
    plan: &'p Plan,
    /// The samples' order; `None` for their own.
    order: Option<Vec<u32>>,
    /// The model before its first step.
    before: Snapshot,
    /// The epochs before.
    history: &'p History,
}

impl Epoch<'_> {
    /// The samples of a batch.
    fn rows(&self, batch: usize) -> Rows<'_> {
        let count = self.plan.train.len();
        let start = (batch * self.plan.batch_size).min(count);
        let end = (start + self.plan.batch_size).min(count);
        match &self.order {
            Some(order) => Rows::Indices(&order[start..end]),
            None => Rows::Range {
                start,
                length: end - start,
            },
        }
    }
}

fn each<'c>(
    callbacks: &mut [Box<dyn Callback + 'c>],
    mut call: impl FnMut(&mut (dyn Callback + 'c)) -> Result<()>,
) -> Result<()> {
    callbacks
        .iter_mut()
        .try_for_each(|callback| call(&mut **callback))
}
