use crate::{Axes, Error, Result, error::batched};
use candle_core::Tensor;

/// Some axes of a tensor brought to its end and made one, so that it becomes rows along them.
#[derive(Debug)]
pub(super) struct AxesLast {
    /// The axes in their new order.
    order: Vec<usize>,
    /// The lengths in that order.
    dims: Vec<usize>,
    /// Numbers in a row.
    width: usize,
}

impl AxesLast {
    /// The ascending `axes` of a tensor of shape `dims` at its end.
    pub(super) fn new(axes: &[usize], dims: &[usize]) -> Self {
        let others = (0..dims.len()).filter(|axis| !axes.contains(axis));
        let order: Vec<usize> = others.chain(axes.iter().copied()).collect();
        Self {
            dims: order.iter().map(|axis| dims[*axis]).collect(),
            order,
            width: axes.iter().map(|axis| dims[*axis]).product(),
        }
    }

    /// Whether the axes are the last ones as they are.
    pub(super) fn are_last(&self) -> bool {
        self.order.is_sorted()
    }

    /// The tensor as rows, (rows, width), in one piece.
    pub(super) fn rows(&self, tensor: &Tensor) -> Result<Tensor> {
        let tensor = if self.are_last() {
            tensor.contiguous()?
        } else {
            tensor.permute(&self.order[..])?.contiguous()?
        };
        let rows = tensor.elem_count() / self.width.max(1);
        Ok(tensor.reshape((rows, self.width))?)
    }

    /// Rows as the tensor that they come from.
    pub(super) fn back(&self, rows: &Tensor) -> Result<Tensor> {
        let tensor = rows.reshape(&self.dims[..])?;
        if self.are_last() {
            return Ok(tensor);
        }
        let mut places = vec![0; self.order.len()];
        for (place, axis) in self.order.iter().enumerate() {
            places[*axis] = place;
        }
        Ok(tensor.permute(places)?.contiguous()?)
    }
}

/// The indices of a layer's axes in its inputs, the batch's axis being 0, in ascending order.
///
/// # Errors
/// When one is unknown or the batch's, or has no length.
pub(super) fn axes_of_samples(axes: &Axes, input_shape: &[usize]) -> Result<Vec<usize>> {
    let indices = axes.resolve(input_shape.len() + 1)?;
    for index in &indices {
        match index.checked_sub(1).and_then(|axis| input_shape.get(axis)) {
            None => {
                let advice = "samples are normalized apart from each other, or all together";
                let expected = "an axis of the samples";
                return Err(Error::argument("axis", expected, "the batch's", advice));
            }
            Some(0) => {
                let advice = "give the axis a length of at least 1";
                let expected = "(None, .., at least 1, ..)";
                return Err(Error::shape(expected, batched(input_shape), advice));
            }
            Some(_) => {}
        }
    }
    Ok(indices)
}

/// An error for an ε that is not a finite number above 0.
pub(super) fn check_epsilon(epsilon: f64) -> Result<()> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    let advice = "it keeps the root of a variance from being 0";
    Err(Error::argument(
        "epsilon",
        "a number above 0",
        epsilon,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn rows_lie_along_the_axes_and_come_back() {
        let x = Tensor::arange(0u32, 24, &Device::Cpu).unwrap();
        let x = x.reshape((2, 3, 4)).unwrap();
        for (axes, first) in [
            (&[2][..], &[0, 1, 2, 3][..]),
            (&[1], &[0, 4, 8]),
            (&[1, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            (&[0, 2], &[0, 1, 2, 3, 12, 13, 14, 15]),
        ] {
            let last = AxesLast::new(axes, x.dims());
            let rows = last.rows(&x).unwrap();
            assert_eq!(rows.dims(), [24 / first.len(), first.len()]);
            assert_eq!(rows.to_vec2::<u32>().unwrap()[0], first);
            let back = last.back(&rows).unwrap();
            assert_eq!(back.to_vec3::<u32>().unwrap(), x.to_vec3::<u32>().unwrap());
        }
    }
}
