//! Samples on their way into a model: a tensor, and how its numbers become the model's.

use crate::{Error, Result, error::tuple, ops};
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

/// Samples along the first axis, kept in the type they came in (bytes stay bytes) and turned into
/// the model's numbers, `value·scale + offset`, only as a batch is gathered.
///
/// `fit`, `evaluate` and `predict` take anything that turns into `Data`: a `&Tensor` of any
/// number type, or a `&Data`.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let pixels = Tensor::new(&[[[0u8, 255], [51, 102]]], &Device::Cpu)?; // one image of 2×2
/// let x = Data::from(&pixels).flatten().scale(1.0 / 255.0)?;
/// assert_eq!(x.to_tensor()?.to_vec2::<f32>()?, [[0.0, 1.0, 0.2, 0.4]]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Data {
    values: Tensor,
    sample_shape: Vec<usize>,
    scale: f64,
    offset: f64,
}

/// Which samples to gather.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// `length` samples from `start` on.
    Range { start: usize, length: usize },
    /// The samples of these indices, in this order.
    Indices(&'a [u32]),
}

impl Rows<'static> {
    /// `count` samples as ranges of at most `batch_size`.
    pub(crate) fn batches(count: usize, batch_size: usize) -> impl Iterator<Item = Self> {
        let starts = (0..count).step_by(batch_size);
        starts.map(move |start| Self::Range {
            start,
            length: batch_size.min(count - start),
        })
    }
}

impl Rows<'_> {
    /// How many samples they are.
    fn len(self) -> usize {
        match self {
            Self::Range { length, .. } => length,
            Self::Indices(indices) => indices.len(),
        }
    }

    /// The index of the sample in place `row`.
    fn index(self, row: usize) -> usize {
        match self {
            Self::Range { start, .. } => start + row,
            Self::Indices(indices) => indices[row] as usize,
        }
    }
}

/// An error for batches without samples.
pub(crate) fn check_batch_size(argument: &str, batch_size: usize) -> Result<()> {
    if batch_size > 0 {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "at least 1",
        0,
        "32 is Keras's default",
    ))
}

impl From<Tensor> for Data {
    fn from(values: Tensor) -> Self {
        let sample_shape = values.dims().get(1..).unwrap_or_default().to_vec();
        Self {
            values: values.detach(),
            sample_shape,
            scale: 1.0,
            offset: 0.0,
        }
    }
}

impl From<&Tensor> for Data {
    fn from(values: &Tensor) -> Self {
        values.clone().into()
    }
}

impl From<&Data> for Data {
    fn from(data: &Data) -> Self {
        data.clone()
    }
}

impl Data {
    /// The number of samples; 0 for a tensor without axes.
    pub fn len(&self) -> usize {
        self.values.dims().first().copied().unwrap_or(0)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> &[usize] {
        &self.sample_shape
    }

    /// The numbers as they are kept: not scaled, not flattened.
    pub fn tensor(&self) -> &Tensor {
        &self.values
    }

    /// Every sample as one row: (n, 28, 28) becomes (n, 784).
    pub fn flatten(mut self) -> Self {
        self.sample_shape = vec![self.sample_shape.iter().product()];
        self
    }

    /// Multiplies every number by `factor`; pixels become numbers from 0 to 1 by `1.0 / 255.0`.
    ///
    /// # Errors
    /// When `factor` is not finite.
    pub fn scale(mut self, factor: f64) -> Result<Self> {
        self.scale *= factor;
        self.offset *= factor;
        if factor.is_finite() && self.scale.is_finite() && self.offset.is_finite() {
            return Ok(self);
        }
        Err(Error::argument(
            "scale",
            "a number that keeps the data finite",
            factor,
            "1.0 / 255.0 maps bytes to 0..1",
        ))
    }

    /// Subtracts `mean` from every number, then divides by `deviation` (PyTorch's `Normalize`).
    ///
    /// # Errors
    /// When `mean` is not finite or `deviation` is not a finite number above 0.
    pub fn normalize(mut self, mean: f64, deviation: f64) -> Result<Self> {
        if !mean.is_finite() {
            return Err(Error::argument(
                "mean",
                "a finite number",
                mean,
                "give the mean of the training data",
            ));
        }
        if !(deviation.is_finite() && deviation > 0.0 && deviation.recip().is_finite()) {
            return Err(Error::argument(
                "deviation",
                "a finite number above 0",
                deviation,
                "give the standard deviation of the training data",
            ));
        }
        self.offset -= mean;
        self.scale(1.0 / deviation)
    }

    /// `length` samples from `start` on, without a copy. `axis` is 0, as the samples lie along
    /// the first axis; it is there so that a `Data` reads as a `Tensor` does.
    ///
    /// # Errors
    /// When `axis` is not 0 or the range leaves the samples.
    pub fn narrow(&self, axis: usize, start: usize, length: usize) -> Result<Self> {
        if axis != 0 {
            return Err(Error::argument(
                "axis",
                "0, the axis of the samples",
                axis,
                "narrow .tensor() instead to cut inside a sample",
            ));
        }
        if start.checked_add(length).is_none_or(|end| end > self.len()) {
            return Err(Error::argument(
                "narrow",
                format!("a range within the {} samples", self.len()),
                format!("{length} from {start} on"),
                "take fewer samples or start earlier",
            ));
        }
        Ok(Self {
            values: self.values.narrow(0, start, length)?,
            ..self.clone()
        })
    }

    /// All samples as one f32 tensor of shape (n, sample shape).
    ///
    /// # Errors
    /// When candle cannot allocate or convert.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let rows = Rows::Range {
            start: 0,
            length: self.len(),
        };
        self.gather(rows, DType::F32, self.values.device())
    }

    /// The samples in one contiguous block on `device`, ready to be gathered from many times.
    pub(crate) fn resident(&self, device: &Device) -> Result<Self> {
        let values = self.values.contiguous()?;
        let values = if values.device().same_device(device) {
            values
        } else {
            // `to_device` copies all that lies behind a view.
            values.force_contiguous()?.to_device(device)?
        };
        Ok(Self {
            values,
            ..self.clone()
        })
    }

    /// The samples `rows`, as numbers of type `dtype` on `device`: (rows, sample shape).
    ///
    /// `rows` must lie within the samples.
    pub(crate) fn gather(&self, rows: Rows<'_>, dtype: DType, device: &Device) -> Result<Tensor> {
        self.gather_before(rows, Rows::Indices(&[]), dtype, device)
    }

    /// The same, where the samples `next` will be gathered soon after.
    pub(crate) fn gather_before(
        &self,
        rows: Rows<'_>,
        next: Rows<'_>,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut shape = vec![rows.len()];
        shape.extend(&self.sample_shape);
        if dtype == DType::F32
            && device.is_cpu()
            && self.values.is_contiguous()
            && let Some(numbers) = self.gather_on_cpu(rows, next)
        {
            return Ok(Tensor::from_vec(numbers, shape, device)?);
        }
        let picked = match rows {
            Rows::Range { start, length } => self.values.narrow(0, start, length)?,
            Rows::Indices(indices) => {
                let indices = Tensor::new(indices, self.values.device())?;
                self.values.contiguous()?.index_select(&indices, 0)?
            }
        };
        let there = if picked.device().same_device(device) {
            picked
        } else {
            // `to_device` copies all that lies behind a view.
            picked.force_contiguous()?.to_device(device)?
        };
        let mut numbers = there.to_dtype(dtype)?;
        if (self.scale, self.offset) != (1.0, 0.0) {
            numbers = numbers.affine(self.scale, self.offset)?;
        }
        Ok(numbers.contiguous()?.reshape(shape)?)
    }

    /// Bytes and f32 gathered and scaled in one pass; `None` for other types and devices.
    fn gather_on_cpu(&self, rows: Rows<'_>, next: Rows<'_>) -> Option<Vec<f32>> {
        let (storage, layout) = self.values.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            return None;
        };
        let width = self.sample_shape.iter().product();
        let length = rows.len();
        let sample = |index: usize| {
            let first = layout.start_offset() + index * width;
            first..first + width
        };
        let place = |row: usize| sample(rows.index(row));
        let ahead = |row: usize| (row < next.len()).then(|| sample(next.index(row)));
        Some(match storage {
            CpuStorage::U8(bytes) => {
                let (row, ahead) = (
                    |row| &bytes[place(row)],
                    |row| ahead(row).map(|place| &bytes[place]),
                );
                // In f64, rounded once, so that b·(1/255) is the f32 nearest to b/255.
                let (scale, offset) = (self.scale, self.offset);
                let exact = move |byte: &u8| (f64::from(*byte) * scale + offset) as f32;
                match ops::gather::fused_scale(scale, offset, exact) {
                    Some(fused) => ops::gather::collect_rows(length, width, row, ahead, fused),
                    None => ops::gather::collect_rows(length, width, row, ahead, exact),
                }
            }
            CpuStorage::F32(values) if (self.scale, self.offset) == (1.0, 0.0) => {
                let ahead = |row| ahead(row).map(|place| &values[place]);
                let row = |row| &values[place(row)];
                ops::gather::collect_rows(length, width, row, ahead, |value| *value)
            }
            CpuStorage::F32(values) => {
                let (scale, offset) = (self.scale as f32, self.offset as f32);
                let number = move |value: &f32| value * scale + offset;
                let ahead = |row| ahead(row).map(|place| &values[place]);
                ops::gather::collect_rows(length, width, |row| &values[place(row)], ahead, number)
            }
            _ => return None,
        })
    }

    /// The shape of all samples, for messages: `(60000, 784)`.
    pub(crate) fn shape_text(&self) -> String {
        let mut shape = vec![self.len()];
        shape.extend(&self.sample_shape);
        tuple(&shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Data {
        let values: Vec<u8> = (0..=255).collect();
        Data::from(Tensor::from_vec(values, (64, 2, 2), &Device::Cpu).unwrap())
    }

    #[test]
    fn a_scaled_byte_is_the_f32_nearest_to_the_quotient() {
        let scaled = bytes().flatten().scale(1.0 / 255.0).unwrap();
        let values = scaled.to_tensor().unwrap().flatten_all().unwrap();
        let expected: Vec<f32> = (0..=255).map(|byte| byte as f32 / 255.0).collect();
        assert_eq!(values.to_vec1::<f32>().unwrap(), expected);
    }

    #[test]
    fn bytes_floats_and_other_types_gather_the_same_numbers() {
        let data = bytes()
            .flatten()
            .scale(0.5)
            .unwrap()
            .normalize(3.0, 2.0)
            .unwrap();
        let indices = [63, 0, 5, 5];
        let gather = |data: &Data, dtype| {
            data.gather(Rows::Indices(&indices), dtype, &Device::Cpu)
                .unwrap()
                .to_dtype(DType::F64)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap()
        };
        let expected = vec![
            vec![61.5, 61.75, 62.0, 62.25],
            vec![-1.5, -1.25, -1.0, -0.75],
            vec![3.5, 3.75, 4.0, 4.25],
            vec![3.5, 3.75, 4.0, 4.25],
        ];
        assert_eq!(gather(&data, DType::F32), expected);
        assert_eq!(gather(&data, DType::F64), expected);
        for other in [DType::F32, DType::U32, DType::I64] {
            let mut converted = data.clone();
            converted.values = data.values.to_dtype(other).unwrap();
            assert_eq!(gather(&converted, DType::F32), expected, "{other:?}");
        }
    }

    #[test]
    fn a_narrowed_or_transposed_tensor_gives_its_own_samples() {
        let narrowed = bytes().narrow(0, 60, 4).unwrap().flatten();
        let rows = Rows::Indices(&[3]);
        let last = narrowed.gather(rows, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(
            last.to_vec2::<f32>().unwrap(),
            [[252.0, 253.0, 254.0, 255.0]]
        );
        let transposed = Data::from(bytes().tensor().transpose(1, 2).unwrap()).flatten();
        let rows = Rows::Range {
            start: 0,
            length: 1,
        };
        let first = transposed.gather(rows, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(first.to_vec2::<f32>().unwrap(), [[0.0, 2.0, 1.0, 3.0]]);
    }

    #[test]
    fn bad_arguments_are_named() {
        let text = |result: Result<Data>| result.unwrap_err().to_string();
        assert_eq!(
            text(bytes().scale(f64::NAN)),
            "`scale`: expected a number that keeps the data finite, got NaN: 1.0 / 255.0 maps bytes to 0..1"
        );
        assert_eq!(
            text(bytes().normalize(0.0, 0.0)),
            "`deviation`: expected a finite number above 0, got 0: give the standard deviation of the training data"
        );
        assert_eq!(
            text(bytes().narrow(0, 60, 5)),
            "`narrow`: expected a range within the 64 samples, got 5 from 60 on: take fewer samples or start earlier"
        );
        assert!(bytes().narrow(1, 0, 1).is_err());
        assert!(bytes().normalize(f64::INFINITY, 1.0).is_err());
    }
}
