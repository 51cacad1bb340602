use crate::{Error, Result, error::tuple};
use candle_core::{DType, Device, Tensor};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use std::fmt;

/// A number, or lists of them as deep as there are axes: what Keras takes as an array.
///
/// `0.5`, `[0.5, 2.0]`, `[[0.5, 2.0], [1.0, 1.0]]` and `Vec`s become one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Numbers {
    /// One number.
    One(f64),
    /// Numbers along an axis, or along several.
    Several(Vec<Numbers>),
}

/// By hand: serde's derive copies all that is inside a list once more for every list around it.
impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Numbers;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, or lists of numbers")
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Numbers, E> {
        Ok(Numbers::One(number))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Numbers, E> {
        Ok(Numbers::One(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Numbers, E> {
        Ok(Numbers::One(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Numbers, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element()? {
            numbers.push(number);
        }
        Ok(Numbers::Several(numbers))
    }
}

impl From<f64> for Numbers {
    fn from(number: f64) -> Self {
        Self::One(number)
    }
}

impl<N: Into<Numbers>> From<Vec<N>> for Numbers {
    fn from(numbers: Vec<N>) -> Self {
        Self::Several(numbers.into_iter().map(N::into).collect())
    }
}

impl<N: Into<Numbers>, const LENGTH: usize> From<[N; LENGTH]> for Numbers {
    fn from(numbers: [N; LENGTH]) -> Self {
        Self::Several(numbers.into_iter().map(N::into).collect())
    }
}

impl Numbers {
    /// The numbers as a tensor on the CPU, in f64.
    ///
    /// # Errors
    /// When lists beside each other are not of one length, there is none, or one is not finite;
    /// the message names `argument`.
    pub(super) fn tensor(&self, argument: &str) -> Result<Tensor> {
        let mut numbers = Vec::new();
        let shape = self.collect(&mut numbers).ok_or_else(|| {
            let expected = "a number, or lists that are all of one length";
            let advice = "give a number for every place along every axis";
            Error::argument(argument, expected, format!("{self:?}"), advice)
        })?;
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            let advice = "every output would be no number";
            return Err(Error::argument(argument, "finite numbers", number, advice));
        }
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }

    /// Adds the numbers to `all`, in row-major order, and gives their shape; `None` where they have
    /// none.
    fn collect(&self, all: &mut Vec<f64>) -> Option<Vec<usize>> {
        let rows = match self {
            Self::One(number) => {
                all.push(*number);
                return Some(Vec::new());
            }
            Self::Several(rows) => rows,
        };
        let mut shapes = rows.iter().map(|row| row.collect(all));
        let first = shapes.next()??;
        if !shapes.all(|shape| shape.as_ref() == Some(&first)) {
            return None;
        }
        Some([vec![rows.len()], first].concat())
    }
}

/// `numbers`, with as many axes as a batch of samples of `input_shape`, of lengths that spread
/// along it; their axes are the last ones. On the model's device, in its type.
///
/// # Errors
/// When a length is neither 1 nor the inputs'.
pub(super) fn spread(
    argument: &str,
    numbers: &Tensor,
    input_shape: &[usize],
    (dtype, device): (DType, &Device),
) -> Result<Tensor> {
    let full = [&[1], input_shape].concat();
    let lengths = numbers.dims();
    let fit = |(length, full): (&usize, &usize)| *length == 1 || length == full;
    if lengths.len() > full.len() || !lengths.iter().rev().zip(full.iter().rev()).all(fit) {
        return Err(Error::argument(
            argument,
            format!(
                "a number, or numbers for the last axes of samples of shape {}",
                tuple(input_shape)
            ),
            format!("numbers of shape {}", tuple(lengths)),
            "give one number for each place along these axes",
        ));
    }
    let mut shape = vec![1; full.len() - lengths.len()];
    shape.extend(lengths);
    Ok(numbers.reshape(shape)?.to_dtype(dtype)?.to_device(device)?)
}
