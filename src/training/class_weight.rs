use crate::{Data, Error, Result};
use candle_core::{D, DType, Device, Tensor};
use std::collections::BTreeMap;

/// How much samples of a class count, by the class's label; 1 where there is none.
#[derive(Debug, Clone)]
pub(crate) struct ClassWeight(BTreeMap<i64, f64>);

impl ClassWeight {
    pub(crate) fn new(weights: impl IntoIterator<Item = (impl Into<i64>, f64)>) -> Self {
        let weights = weights.into_iter();
        Self(
            weights
                .map(|(class, weight)| (class.into(), weight))
                .collect(),
        )
    }

    /// An error for a weight that is not a finite number of at least 0.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |(_, weight): &(&i64, &f64)| !(weight.is_finite() && **weight >= 0.0);
        match self.0.iter().find(bad) {
            None => Ok(()),
            Some((class, weight)) => Err(Error::argument(
                format!("class_weight of class {class}"),
                "a finite number of at least 0",
                weight,
                "1 counts a sample once",
            )),
        }
    }

    /// The weights of samples with these targets: one-hot rows where they are of the shape of the
    /// model's outputs, or else labels, (n, ..) or (n, .., 1).
    pub(super) fn of_samples(&self, y: &Data, output_shape: &[usize]) -> Result<Data> {
        let targets = y
            .to_tensor()?
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?;
        let last = *y.sample_shape().last().unwrap_or(&0);
        let labels = if last > 1 && y.sample_shape() == output_shape {
            targets.argmax(D::Minus1)?.to_dtype(DType::F64)?
        } else if last == 1 {
            targets.squeeze(D::Minus1)?
        } else {
            targets
        };
        let numbers: Vec<f64> = labels.flatten_all()?.to_vec1()?;
        let weights = numbers.iter().map(|label| self.of_label(*label));
        let weights: Vec<f32> = weights.collect::<Result<_>>()?;
        Ok(Tensor::from_vec(weights, labels.shape(), &Device::Cpu)?.into())
    }

    /// The weight of a class; its label is rounded, half to even, as in Keras.
    fn of_label(&self, label: f64) -> Result<f32> {
        if !label.is_finite() {
            let advice = "mend or remove the samples";
            let expected = "labels that are finite, to weight them by their classes";
            return Err(Error::argument("y", expected, label, advice));
        }
        let class = label.round_ties_even() as i64;
        Ok(self.0.get(&class).copied().unwrap_or(1.0) as f32)
    }
}
