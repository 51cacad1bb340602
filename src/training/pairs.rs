use super::{Batch, class_weight::ClassWeight, feed::Ready};
use crate::{
    Data, Error, Result, Sequential, data::Rows, error::of_samples, model::Compiled,
    model::chain::Chain,
};
use candle_core::Device;

/// Samples with their targets and weights.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    pub(crate) x: Data,
    y: Data,
    sample_weight: Option<Data>,
}

impl Pairs {
    /// Pairs that the model can be trained and evaluated on.
    pub(crate) fn new(model: &Sequential, batch: Batch, method: &'static str) -> Result<Self> {
        Self::checked(batch, model.built(method)?, model.compiled(method)?)
    }

    /// The same, from the parts of a model.
    pub(crate) fn checked(batch: Batch, chain: &Chain, compiled: &Compiled) -> Result<Self> {
        let Batch {
            x,
            y,
            sample_weight,
        } = batch;
        let x = chain.checked_input(x, "x")?;
        if x.len() != y.len() {
            return Err(Error::Lengths {
                x: x.len(),
                y: y.len(),
            });
        }
        if let Some(weights) = &sample_weight
            && weights.len() != x.len()
        {
            return Err(Error::Samples {
                argument: "sample_weight",
                expected: format!("({},)", x.len()),
                got: weights.shape_text(),
                advice: "give a weight for each sample".to_string(),
            });
        }
        let check = compiled.loss.check(&y, chain.output_shape());
        check.map_err(|error| Error::of_part("loss", compiled.loss.name(), error))?;
        for metric in &compiled.metrics {
            let check = metric.check(y.sample_shape(), chain.output_shape());
            check.map_err(|error| Error::of_part("metric", metric.name(), error))?;
        }
        Ok(Self {
            x,
            y,
            sample_weight,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.x.len()
    }

    /// All samples, in their order.
    pub(crate) fn all(&self) -> Rows<'static> {
        Rows::Range {
            start: 0,
            length: self.len(),
        }
    }

    /// The same, each sample with the weight of its class, where classes have weights.
    pub(crate) fn class_weighted(
        self,
        weights: Option<&ClassWeight>,
        model: &Sequential,
    ) -> Result<Self> {
        let Some(weights) = weights else {
            return Ok(self);
        };
        if self.sample_weight.is_some() {
            let advice = "multiply the samples' weights by those of their classes";
            let got = "both";
            let expected = "class_weight or sample_weight";
            return Err(Error::argument("class_weight", expected, got, advice));
        }
        let weights = weights.of_samples(&self.y, model.output_shape())?;
        Ok(Self {
            sample_weight: Some(weights),
            ..self
        })
    }

    /// The first `fraction` less than all, and the rest: what `validation_split` holds back is the
    /// unshuffled tail.
    pub(crate) fn split(&self, validation_split: f64) -> Result<(Self, Self)> {
        let count = self.len();
        // Keras: floor(n·(1 - split)), with f64's rounding.
        let train = (count as f64 * (1.0 - validation_split)).floor() as usize;
        if train == 0 || train == count {
            let advice = "take another fraction, or give validation_data";
            let got = format!(
                "{validation_split}, which leaves {train} and {}",
                count - train
            );
            let expected = format!("a fraction that leaves samples on both sides of {count}");
            return Err(Error::argument("validation_split", expected, got, advice));
        }
        Ok((self.narrow(0, train)?, self.narrow(train, count - train)?))
    }

    fn narrow(&self, start: usize, length: usize) -> Result<Self> {
        self.each(|data| data.narrow(0, start, length))
    }

    /// The pairs on `device`, to be gathered from many times.
    pub(crate) fn resident(&self, device: &Device) -> Result<Self> {
        self.each(|data| data.resident(device))
    }

    fn each(&self, change: impl Fn(&Data) -> Result<Data>) -> Result<Self> {
        Ok(Self {
            x: change(&self.x)?,
            y: change(&self.y)?,
            sample_weight: self.sample_weight.as_ref().map(change).transpose()?,
        })
    }

    /// A batch as the model takes it.
    pub(crate) fn gather(&self, rows: Rows<'_>, chain: &Chain) -> Result<Ready> {
        self.gather_before(rows, Rows::Indices(&[]), chain)
    }

    /// The same, where `next` is the batch to come.
    pub(crate) fn gather_before(
        &self,
        rows: Rows<'_>,
        next: Rows<'_>,
        chain: &Chain,
    ) -> Result<Ready> {
        let gather = |data: &Data| data.gather_before(rows, next, chain.dtype, &chain.device);
        Ok(Ready {
            x: gather(&self.x)?,
            y: gather(&self.y)?,
            sample_weight: self.sample_weight.as_ref().map(gather).transpose()?,
        })
    }
}

impl Chain {
    /// `x` if it has samples of the model's input shape.
    pub(crate) fn checked_input(&self, x: Data, argument: &'static str) -> Result<Data> {
        if x.is_empty() {
            return Err(Error::Empty { argument });
        }
        let expected = &self.input_shape[..];
        if x.sample_shape() == expected {
            return Ok(x);
        }
        let counts = [x.sample_shape(), expected].map(|shape| shape.iter().product::<usize>());
        let advice = if counts[0] == counts[1] && expected.len() == 1 {
            "the numbers are as many, so Data::flatten() or a Flatten layer may be missing"
        } else if counts[0] == counts[1] {
            "the numbers are as many: reshape the samples, or give Input their shape"
        } else if x.tensor().dims() == expected {
            "the axis of the samples is missing: one sample is x.unsqueeze(0)?"
        } else {
            "give samples of the shape of the model's Input"
        };
        Err(Error::Samples {
            argument,
            expected: of_samples(expected),
            got: x.shape_text(),
            advice: advice.to_string(),
        })
    }
}
