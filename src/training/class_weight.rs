use crate::{Data, Error, Result};
use candle_core::{D, DType, Device, Tensor};
use std::collections::BTreeMap;

/// How much samples of a class count, by the class's label; 1 where there is none.
pub(crate) type ClassWeight = BTreeMap<u32, f64>;

/// An error for a weight that is not a finite number of at least 0.
pub(crate) fn check(weights: &ClassWeight) -> Result<()> {
    let bad = |(_, weight): &(&u32, &f64)| !(weight.is_finite() && **weight >= 0.0);
    match weights.iter().find(bad) {
        None => Ok(()),
        Some((class, weight)) => Err(Error::argument(
            format!("class_weight of class {class}"),
            "a finite number of at least 0",
            weight,
            "1 counts a sample once",
        )),
    }
}

/// The weights of samples with these targets: labels, (n, ..) or (n, .., 1), or one-hot rows.
pub(crate) fn of_samples(weights: &ClassWeight, y: &Data) -> Result<Data> {
    let targets = y
        .to_tensor()?
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?;
    let rank = targets.rank();
    let labels = if rank > 1 && targets.dim(D::Minus1)? > 1 {
        targets.argmax(D::Minus1)?
    } else {
        let labels = if rank > 1 {
            targets.squeeze(D::Minus1)?
        } else {
            targets
        };
        labels.to_dtype(DType::U32)?
    };
    let of_label = |label: &u32| weights.get(label).copied().unwrap_or(1.0) as f32;
    let values: Vec<f32> = labels
        .flatten_all()?
        .to_vec1()?
        .iter()
        .map(of_label)
        .collect();
    Ok(Tensor::from_vec(values, labels.shape(), &Device::Cpu)?.into())
}
