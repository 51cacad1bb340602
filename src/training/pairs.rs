use crate::{Data, Error, Result, Sequential, data::Rows, model::chain::Chain};
use candle_core::{Device, Tensor};

/// Samples with their targets.
#[derive(Debug, Clone)]
pub(crate) struct Pairs {
    pub(crate) x: Data,
    y: Data,
}

impl Pairs {
    /// Pairs that the model can be trained and evaluated on.
    pub(crate) fn new(model: &Sequential, x: Data, y: Data, method: &'static str) -> Result<Self> {
        let compiled = model.compiled(method)?;
        let x = model.checked_input(x, "x")?;
        if x.len() != y.len() {
            return Err(Error::Lengths {
                x: x.len(),
                y: y.len(),
            });
        }
        compiled.loss.check(&y, model.output_shape())?;
        Ok(Self { x, y })
    }

    pub(crate) fn len(&self) -> usize {
        self.x.len()
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
        Ok(Self {
            x: self.x.narrow(0, start, length)?,
            y: self.y.narrow(0, start, length)?,
        })
    }

    /// The pairs on `device`, to be gathered from many times.
    pub(crate) fn resident(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            x: self.x.resident(device)?,
            y: self.y.resident(device)?,
        })
    }

    /// A batch as the model takes it: (samples, targets).
    pub(crate) fn gather(&self, rows: Rows<'_>, chain: &Chain) -> Result<(Tensor, Tensor)> {
        self.gather_before(rows, Rows::Indices(&[]), chain)
    }

    /// The same, where `next` is the batch to come.
    pub(crate) fn gather_before(
        &self,
        rows: Rows<'_>,
        next: Rows<'_>,
        chain: &Chain,
    ) -> Result<(Tensor, Tensor)> {
        let (dtype, device) = (chain.dtype, &chain.device);
        Ok((
            self.x.gather_before(rows, next, dtype, device)?,
            self.y.gather_before(rows, next, dtype, device)?,
        ))
    }
}
