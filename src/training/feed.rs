use super::{class_weight::ClassWeight, pairs::Pairs};
use crate::{Data, Error, Result, Sequential, data::Rows, seed::Stream};
use candle_core::Tensor;

/// Samples with their targets, and how much each counts.
///
/// ```
/// use candle_keras::{Batch, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let x = Tensor::zeros((4, 2), DType::F32, &Device::Cpu)?;
/// let y = Tensor::zeros((4, 1), DType::F32, &Device::Cpu)?;
/// let weights = Tensor::new(&[1f32, 1.0, 2.0, 0.5], &Device::Cpu)?;
/// Batch::new(&x, &y).sample_weight(&weights);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) x: Data,
    pub(crate) y: Data,
    pub(crate) sample_weight: Option<Data>,
}

impl Batch {
    /// Samples `x` with targets `y`, which all count alike.
    pub fn new(x: impl Into<Data>, y: impl Into<Data>) -> Self {
        Self {
            x: x.into(),
            y: y.into(),
            sample_weight: None,
        }
    }

    /// How much each sample counts, (batch), or each of its losses.
    pub fn sample_weight(mut self, weights: impl Into<Data>) -> Self {
        self.sample_weight = Some(weights.into());
        self
    }
}

/// Batches one after the other: data larger than memory, or made as they are needed.
///
/// [`batches`] makes one of a closure that gives an iterator.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of batches",
    note = "`batches(|| iterator)` makes one of a closure that gives an iterator of `Result<Batch>`, anew for each pass"
)]
pub trait BatchSource {
    /// The next batch; `None` at the end of the data.
    ///
    /// # Errors
    /// Ends the training.
    fn next_batch(&mut self) -> Result<Option<Batch>>;

    /// Begins with the first batch again.
    ///
    /// # Errors
    /// Ends the training.
    fn restart(&mut self) -> Result<()>;

    /// How many batches there are, if that is known: a bar shows it.
    fn count(&self) -> Option<usize> {
        None
    }
}

/// A source of the batches that an iterator gives; for every pass over the data `iterate` is called
/// for a new one.
///
/// ```
/// use candle_keras::{Batch, batches, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
///
/// // An endless stream: y = 2x.
/// let numbers = || {
///     (0..).map(|i| {
///         let x = Tensor::new(&[[(i % 7) as f32], [1.0]], &Device::Cpu)?;
///         let y = (&x * 2.0)?;
///         Ok(Batch::new(x, y))
///     })
/// };
/// let options = Fit::new().steps_per_epoch(20).epochs(2).verbose(0);
/// let history = model.fit_batches(batches(numbers), options)?;
/// assert_eq!(history["loss"].len(), 2);
/// # Ok(()) }
/// ```
pub fn batches<I, F>(iterate: F) -> impl BatchSource
where
    F: FnMut() -> I,
    I: Iterator<Item = Result<Batch>>,
{
    Iterated {
        iterate,
        iterator: None,
    }
}

struct Iterated<I, F> {
    iterate: F,
    iterator: Option<I>,
}

impl<I: Iterator<Item = Result<Batch>>, F: FnMut() -> I> BatchSource for Iterated<I, F> {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let iterator = self.iterator.get_or_insert_with(&mut self.iterate);
        iterator.next().transpose()
    }

    fn restart(&mut self) -> Result<()> {
        self.iterator = None;
        Ok(())
    }
}

impl<S: BatchSource + ?Sized> BatchSource for Box<S> {
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        (**self).next_batch()
    }

    fn restart(&mut self) -> Result<()> {
        (**self).restart()
    }

    fn count(&self) -> Option<usize> {
        (**self).count()
    }
}

/// A batch as the model takes it.
pub(crate) struct Ready {
    pub(crate) x: Tensor,
    pub(crate) y: Tensor,
    pub(crate) sample_weight: Option<Tensor>,
}

/// Where the batches of a training or an evaluation come from.
pub(crate) trait Feed {
    /// The batches of a pass over the data, if that is known.
    fn count(&self) -> Option<usize>;

    /// Begins a pass over the data; `pass` numbers them.
    fn restart(&mut self, pass: u64, model: &Sequential) -> Result<()>;

    /// Whether the pass is at its end.
    fn at_end(&mut self) -> Result<bool>;

    /// The next batch; `None` at the end of the pass.
    fn next(&mut self, model: &Sequential) -> Result<Option<Ready>>;

    /// Passes over so many batches of the pass; how many there were.
    fn skip(&mut self, batches: usize) -> Result<usize>;

    /// The samples, where all are at hand and can be taken in any order.
    fn samples(&self) -> Option<&Samples> {
        None
    }

    /// Whether the samples or the targets of a batch of the last pass hold a number that is not
    /// finite, and which: `x` or `y`.
    fn not_finite(&self, batch: usize, model: &Sequential) -> Result<Option<&'static str>>;
}

/// Batches of samples that are all at hand.
pub(crate) struct Samples {
    pub(super) pairs: Pairs,
    pub(super) batch_size: usize,
    shuffle: bool,
    /// The samples' order; `None` for their own.
    order: Option<Vec<u32>>,
    next: usize,
}

impl Samples {
    pub(crate) fn new(pairs: Pairs, batch_size: usize, shuffle: bool) -> Self {
        Self {
            pairs,
            batch_size,
            shuffle,
            order: None,
            next: 0,
        }
    }

    /// The samples of a batch.
    fn rows(&self, batch: usize) -> Rows<'_> {
        let count = self.pairs.len();
        let start = (batch * self.batch_size).min(count);
        let end = (start + self.batch_size).min(count);
        match &self.order {
            Some(order) => Rows::Indices(&order[start..end]),
            None => Rows::Range {
                start,
                length: end - start,
            },
        }
    }
}

impl Feed for Samples {
    fn count(&self) -> Option<usize> {
        Some(self.pairs.len().div_ceil(self.batch_size))
    }

    fn restart(&mut self, pass: u64, model: &Sequential) -> Result<()> {
        self.next = 0;
        if self.shuffle {
            let seed = model.built("fit")?.seed;
            let mut stream = Stream::new(seed, "shuffle", pass);
            self.order = Some(stream.permutation(self.pairs.len()));
        }
        Ok(())
    }

    fn at_end(&mut self) -> Result<bool> {
        Ok(self.count().is_some_and(|count| self.next >= count))
    }

    fn next(&mut self, model: &Sequential) -> Result<Option<Ready>> {
        if self.at_end()? {
            return Ok(None);
        }
        self.next += 1;
        let (rows, next) = (self.rows(self.next - 1), self.rows(self.next));
        let chain = model.built("fit")?;
        self.pairs.gather_before(rows, next, chain).map(Some)
    }

    fn skip(&mut self, batches: usize) -> Result<usize> {
        let left = self.count().unwrap_or_default().saturating_sub(self.next);
        let passed = batches.min(left);
        self.next += passed;
        Ok(passed)
    }

    fn samples(&self) -> Option<&Samples> {
        Some(self)
    }

    fn not_finite(&self, batch: usize, model: &Sequential) -> Result<Option<&'static str>> {
        let chain = model.built("fit")?;
        self.pairs.gather(self.rows(batch), chain)?.not_finite()
    }
}

/// Batches from a source.
pub(crate) struct Streamed<S> {
    source: S,
    class_weight: Option<ClassWeight>,
    /// The next batch, once it was asked for.
    next: Option<Batch>,
    /// Batches of this pass so far.
    taken: usize,
    last: Option<Pairs>,
}

impl<S: BatchSource> Streamed<S> {
    pub(crate) fn new(source: S, class_weight: Option<ClassWeight>) -> Self {
        Self {
            source,
            class_weight,
            next: None,
            taken: 0,
            last: None,
        }
    }

    /// A batch of the source, if it fits the model.
    fn checked(&self, batch: Batch, model: &Sequential) -> Result<Pairs> {
        let pairs = Pairs::new(model, batch, "fit_batches")?;
        pairs.class_weighted(self.class_weight.as_ref(), model)
    }
}

impl<S: BatchSource> Feed for Streamed<S> {
    fn count(&self) -> Option<usize> {
        self.source.count()
    }

    fn restart(&mut self, _pass: u64, _model: &Sequential) -> Result<()> {
        self.taken = 0;
        self.next = None;
        self.source.restart()
    }

    fn at_end(&mut self) -> Result<bool> {
        if self.next.is_none() {
            self.next = self.source.next_batch()?;
        }
        match &self.next {
            Some(_) => Ok(false),
            None if self.taken == 0 => Err(Error::Empty {
                argument: "batches",
            }),
            None => Ok(true),
        }
    }

    fn next(&mut self, model: &Sequential) -> Result<Option<Ready>> {
        if self.at_end()? {
            return Ok(None);
        }
        let Some(batch) = self.next.take() else {
            return Ok(None);
        };
        let in_batch = |error| Error::of_part("batch", &self.taken.to_string(), error);
        let pairs = self.checked(batch, model).map_err(in_batch)?;
        self.taken += 1;
        let ready = pairs.gather(pairs.all(), model.built("fit_batches")?)?;
        self.last = Some(pairs);
        Ok(Some(ready))
    }

    fn skip(&mut self, batches: usize) -> Result<usize> {
        for passed in 0..batches {
            if self.source.next_batch()?.is_none() {
                return Ok(passed);
            }
            self.taken += 1;
        }
        Ok(batches)
    }

    fn not_finite(&self, batch: usize, model: &Sequential) -> Result<Option<&'static str>> {
        // Only the last one is still at hand.
        match self.last.as_ref().filter(|_| batch + 1 == self.taken) {
            Some(pairs) => {
                let chain = model.built("fit_batches")?;
                pairs.gather(pairs.all(), chain)?.not_finite()
            }
            None => Ok(None),
        }
    }
}

impl Ready {
    /// Which of `x` and `y` holds a number that is not finite, if one does.
    pub(crate) fn not_finite(&self) -> Result<Option<&'static str>> {
        for (name, tensor) in [("x", &self.x), ("y", &self.y)] {
            if !crate::ops::all_finite(tensor)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
