use super::{
    Batch, BatchSource, History,
    class_weight::ClassWeight,
    epoch::Plan,
    feed::{Feed, Samples, Streamed},
    pairs::Pairs,
    progress::Verbosity,
};
use crate::{Data, Error, Result, Sequential, callbacks::Callback, data::check_batch_size};

/// How to train: `Fit::new().epochs(5).batch_size(64).validation_split(0.1)`.
///
/// The defaults are Keras's: 1 epoch, batches of 32, no validation, shuffled, a progress bar.
#[derive(Default)]
pub struct Fit<'a> {
    epochs: Option<usize>,
    initial_epoch: usize,
    batch_size: Option<usize>,
    steps_per_epoch: Option<usize>,
    sample_weight: Option<Data>,
    class_weight: Option<ClassWeight>,
    validation_split: Option<f64>,
    validation_data: Option<Batch>,
    validation_batches: Option<Box<dyn BatchSource + 'a>>,
    validation_batch_size: Option<usize>,
    validation_steps: Option<usize>,
    validation_epochs: ValidationEpochs,
    unshuffled: bool,
    verbose: Option<u8>,
    pub(super) callbacks: Vec<Box<dyn Callback + 'a>>,
}

/// The epochs after which there is a validation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum ValidationEpochs {
    #[default]
    All,
    /// One in so many.
    Every(usize),
    /// These, counted from 1.
    These(Vec<usize>),
}

impl ValidationEpochs {
    /// Whether there is one after `epoch`, counted from 0.
    pub(super) fn holds(&self, epoch: usize) -> bool {
        match self {
            Self::All => true,
            Self::Every(every) => (epoch + 1).is_multiple_of(*every),
            Self::These(epochs) => epochs.contains(&(epoch + 1)),
        }
    }
}

impl<'a> Fit<'a> {
    /// One epoch in batches of 32.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often every sample is trained on, or the number of the last epoch where
    /// [`initial_epoch`](Self::initial_epoch) is given.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// The epoch to begin with, counted from 0, to go on with an earlier training: 3, with 5
    /// epochs, trains the fourth and the fifth; 5 has nothing left to do, and gives an empty history.
    pub fn initial_epoch(mut self, epoch: usize) -> Self {
        self.initial_epoch = epoch;
        self
    }

    /// Samples in a step. The last batch of an epoch may be smaller; it is trained on as well.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = Some(batch_size);
        self
    }

    /// Steps in an epoch, in place of all batches. The next epoch goes on with the batch after
    /// them; where the data end, so does the epoch, and the next begins with the first batch.
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.steps_per_epoch = Some(steps);
        self
    }

    /// How much each sample counts in the loss, (n), or each of its losses, (n, ..). Metrics count
    /// all alike but for those in [`Weighted`](crate::metrics::Weighted).
    pub fn sample_weight(mut self, weights: impl Into<Data>) -> Self {
        self.sample_weight = Some(weights.into());
        self
    }

    /// How much samples of a class count in the loss, by the class's label: `[(0, 1.0), (1, 5.0)]`;
    /// 1 for a class that is left out.
    ///
    /// Targets of the shape of the model's outputs are one-hot, of which the greatest number tells
    /// the class; all others are labels, which are rounded. Where there is a target for each step
    /// of a sample, each step has the weight of its class.
    pub fn class_weight(
        mut self,
        weights: impl IntoIterator<Item = (impl Into<i64>, f64)>,
    ) -> Self {
        self.class_weight = Some(ClassWeight::new(weights));
        self
    }

    /// The fraction, between 0 and 1, of the samples that is held back to validate on after every
    /// epoch: the last ones, before any shuffling.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation_split = Some(fraction);
        self
    }

    /// Samples and targets to validate on after every epoch; goes before `validation_split`.
    pub fn validation_data(self, x: impl Into<Data>, y: impl Into<Data>) -> Self {
        self.validation_batch(Batch::new(x, y))
    }

    /// The same with weights: `Batch::new(x, y).sample_weight(weights)`.
    pub fn validation_batch(mut self, data: Batch) -> Self {
        self.validation_data = Some(data);
        self
    }

    /// A source of batches to validate on after every epoch; goes before `validation_data`. One
    /// without end needs [`validation_steps`](Self::validation_steps).
    pub fn validation_batches(mut self, source: impl BatchSource + 'a) -> Self {
        self.validation_batches = Some(Box::new(source));
        self
    }

    /// Samples in a batch of the validation; as many as in training by default.
    pub fn validation_batch_size(mut self, batch_size: usize) -> Self {
        self.validation_batch_size = Some(batch_size);
        self
    }

    /// Batches in a validation, in place of all.
    pub fn validation_steps(mut self, steps: usize) -> Self {
        self.validation_steps = Some(steps);
        self
    }

    /// Validates after one epoch in so many.
    pub fn validation_freq(mut self, epochs: usize) -> Self {
        self.validation_epochs = ValidationEpochs::Every(epochs);
        self
    }

    /// Validates after these epochs, counted from 1. Keras: a list as `validation_freq`.
    pub fn validation_epochs(mut self, epochs: impl IntoIterator<Item = usize>) -> Self {
        self.validation_epochs = ValidationEpochs::These(epochs.into_iter().collect());
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

    /// An error when an option is out of range.
    fn check(&self) -> Result<()> {
        let steps = |name, steps: Option<usize>| match steps {
            Some(0) => Err(Error::argument(
                name,
                "at least 1",
                0,
                "leave it out for all batches",
            )),
            _ => Ok(()),
        };
        check_batch_size("batch_size", self.step_size())?;
        check_batch_size("validation_batch_size", self.validation_step_size())?;
        steps("steps_per_epoch", self.steps_per_epoch)?;
        steps("validation_steps", self.validation_steps)?;
        if self.validation_epochs == ValidationEpochs::Every(0) {
            let advice = "1 validates after every epoch";
            return Err(Error::argument("validation_freq", "at least 1", 0, advice));
        }
        let epochs = self.end();
        if epochs == 0 {
            let advice = "1 is Keras's default";
            return Err(Error::argument("epochs", "at least 1", 0, advice));
        }
        if self.initial_epoch > epochs {
            let advice = "epochs is the number of the last one, not how many are added";
            let expected = format!("at most epochs, {epochs}");
            let got = self.initial_epoch;
            return Err(Error::argument("initial_epoch", expected, got, advice));
        }
        if let Some(weights) = &self.class_weight {
            weights.check()?;
        }
        match self.validation_split {
            Some(split) if !(split > 0.0 && split < 1.0) => {
                let advice = "0.1 holds back the last tenth; leave it out for no validation";
                let expected = "a fraction between 0 and 1";
                Err(Error::argument("validation_split", expected, split, advice))
            }
            _ => Ok(()),
        }
    }

    /// The epochs to reach.
    fn end(&self) -> usize {
        self.epochs.unwrap_or(1)
    }

    /// Samples in a step.
    fn step_size(&self) -> usize {
        self.batch_size.unwrap_or(32)
    }

    /// Samples in a batch of the validation.
    fn validation_step_size(&self) -> usize {
        self.validation_batch_size.unwrap_or(self.step_size())
    }

    /// The training on `train`, and the validation.
    fn plan(
        &mut self,
        model: &Sequential,
        train: Box<dyn Feed + 'a>,
        held_back: Option<Pairs>,
    ) -> Result<Plan<'a>> {
        let device = &model.built("fit")?.device;
        let given = self.validation_data.take().map(|data| {
            let pairs = Pairs::new(model, data, "fit").and_then(|pairs| pairs.resident(device));
            pairs.map_err(|error| Error::ValidationData(Box::new(error)))
        });
        let pairs = given.transpose()?.or(held_back);
        let batch_size = self.validation_step_size();
        let validation: Option<Box<dyn Feed + 'a>> = match (self.validation_batches.take(), pairs) {
            (Some(source), _) => Some(Box::new(Streamed::new(source, None))),
            (None, Some(pairs)) => Some(Box::new(Samples::new(pairs, batch_size, false))),
            (None, None) => None,
        };
        Ok(Plan {
            train,
            validation,
            epochs: self.initial_epoch..self.end(),
            steps_per_epoch: self.steps_per_epoch,
            validation_steps: self.validation_steps,
            validation_epochs: std::mem::take(&mut self.validation_epochs),
            verbosity: Verbosity::new(self.verbose.unwrap_or(1))?,
        })
    }

    /// The samples to train on and those to validate on.
    fn samples(&mut self, model: &Sequential, x: Data, y: Data) -> Result<(Pairs, Option<Pairs>)> {
        let mut batch = Batch::new(x, y);
        batch.sample_weight = self.sample_weight.take();
        let mut all = Pairs::new(model, batch, "fit")?;
        self.check()?;
        if u32::try_from(all.len()).is_err() {
            let advice = "train on one part after the other";
            let expected = format!("at most {} samples", u32::MAX);
            return Err(Error::argument("x", expected, all.len(), advice));
        }
        let device = &model.built("fit")?.device;
        let given = self.validation_data.is_some() || self.validation_batches.is_some();
        let held_back = match self.validation_split.filter(|_| !given) {
            Some(fraction) => {
                let (train, held_back) = all.split(fraction)?;
                all = train;
                Some(held_back.resident(device)?)
            }
            None => None,
        };
        let all = all.class_weighted(self.class_weight.as_ref(), model)?;
        Ok((all.resident(device)?, held_back))
    }
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
    /// the model goes back to the weights and the optimizer's state from before the epoch. A learning
    /// rate that a callback changed stays.
    pub fn fit(
        &mut self,
        x: impl Into<Data>,
        y: impl Into<Data>,
        mut options: Fit<'_>,
    ) -> Result<History> {
        self.outside_fit("fit")?;
        let (train, held_back) = options.samples(self, x.into(), y.into())?;
        let shuffle = !options.unshuffled;
        let train = Samples::new(train, options.step_size(), shuffle);
        let plan = options.plan(self, Box::new(train), held_back)?;
        self.train(plan, &mut options.callbacks)
    }

    /// As [`fit`](Self::fit), on batches as a source gives them: data larger than memory, or a
    /// stream without end, which needs [`Fit::steps_per_epoch`].
    ///
    /// They are taken in the source's order. `batch_size`, `sample_weight` and `validation_split`
    /// are options of `fit` alone. See [`batches`](crate::batches) for an example.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit), and when the source fails or gives no batch.
    pub fn fit_batches<'a>(
        &mut self,
        source: impl BatchSource + 'a,
        mut options: Fit<'a>,
    ) -> Result<History> {
        self.outside_fit("fit_batches")?;
        self.compiled("fit_batches")?;
        options.check()?;
        let of_fit = [
            ("batch_size", options.batch_size.is_some()),
            ("sample_weight", options.sample_weight.is_some()),
            ("validation_split", options.validation_split.is_some()),
        ];
        if let Some((name, _)) = of_fit.iter().find(|(_, given)| *given) {
            let expected = "no such option with batches from a source";
            let advice = "let the source give batches as they are wanted, or call fit";
            return Err(Error::argument(*name, expected, "one", advice));
        }
        let train = Streamed::new(source, options.class_weight.take());
        let plan = options.plan(self, Box::new(train), None)?;
        self.train(plan, &mut options.callbacks)
    }
}
