use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, axes_last::axes_of_samples,
    layer_access, layer_setters,
};
use crate::{Axes, Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Divides every sample's numbers along some axes by their length √(Σ x²), so that it becomes 1.
/// Lengths below 1e-12 count as that: zeros stay zeros.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// `axis` -1, the last one.
///
/// ```
/// use candle_keras::{layers::UnitNormalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(UnitNormalization::new())
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[3f32, -4.0], [0.0, 0.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[0.6, -0.8], [0.0, 0.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for axes that the inputs do not have, that come twice or that are the batch's.
///
/// Keras: `UnitNormalization`.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnitNormalization {
    axis: Axes,
    #[serde(flatten)]
    base: Base,
}

/// The greatest 1/√(Σ x²); Keras's.
const GREATEST: f64 = 1e12;

impl Default for UnitNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl UnitNormalization {
    /// A layer that normalises along the last axis.
    pub fn new() -> Self {
        Self {
            axis: Axes::One(-1),
            base: Base::default(),
        }
    }

    /// The axes along which numbers are one vector; 0 is the batch's, -1, the default, the last one.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }

    layer_setters!();

    /// 1/√(Σ x²), which is ∞ for zeros, with lengths of 1 along the axes.
    fn inverse(&self, inputs: &Tensor) -> Result<Tensor> {
        let axes = self.axis.resolve(inputs.rank())?;
        Ok(inputs.sqr()?.sum_keepdim(axes)?.sqrt()?.recip()?)
    }
}

impl Layer for UnitNormalization {
    layer_access!("UnitNormalization");

    fn build(&mut self, input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        axes_of_samples(&self.axis, input_shape).map(|_| ())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        let inverse = self.inverse(inputs)?.minimum(GREATEST)?;
        Ok(inputs.broadcast_mul(&inverse)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::UnitNormalization {
            axis: &self.axis,
            greatest: GREATEST,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for UnitNormalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let axes = self.axis.resolve(step.inputs.rank())?;
        let inverse = self.inverse(step.inputs)?;
        // dx = (g - y·Σ g·y)/√(Σ x²), or g·1e12 where the length counts as a constant.
        let along = (gradient * step.outputs)?.sum_keepdim(axes)?;
        let along = inverse
            .le(GREATEST)?
            .where_cond(&along, &along.zeros_like()?)?;
        let inputs = (gradient - step.outputs.broadcast_mul(&along)?)?;
        Ok(Gradients {
            inputs: Some(inputs.broadcast_mul(&inverse.minimum(GREATEST)?)?),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::alone::{Alone, flat, fused_as_plain, numbers};
    use candle_core::{DType, Device};

    #[test]
    fn gradients_are_those_of_differences() {
        for (axis, shape) in [
            (Axes::One(-1), &[3, 5][..]),
            (Axes::One(1), &[2, 3, 4]),
            (Axes::from([1, 2]), &[2, 3, 4]),
        ] {
            let make = || UnitNormalization::new().axis(axis.clone());
            let layer = Alone::new(make(), &shape[1..], DType::F64).unwrap();
            layer.check_gradients(&numbers("x", shape), Some(1));
            let what = format!("{:?}", layer.layer);
            fused_as_plain(&what, || make().into(), &numbers("x", shape), Some(1));
        }
    }

    #[test]
    fn a_vector_shorter_than_1e_12_is_divided_by_that() {
        for dtype in [DType::F32, DType::F64] {
            let layer = Alone::new(UnitNormalization::new(), &[2], dtype).unwrap();
            let x = Tensor::new(&[[0f32, 0.0], [3e-13, -4e-13]], &Device::Cpu).unwrap();
            let c = Tensor::new(&[[1f32, 2.0], [0.5, -1.0]], &Device::Cpu).unwrap();
            let run = layer.run(&x, &c, None).unwrap();
            let near = |got: &Tensor, expected: [f64; 4]| {
                for (got, expected) in flat(got).into_iter().zip(expected) {
                    assert!(
                        (got - expected).abs() <= 1e-6 * expected.abs(),
                        "{got}, {expected}"
                    );
                }
            };
            near(&run.outputs, [0.0, 0.0, 0.3, -0.4]);
            near(&run.gradients[0], [1e12, 2e12, 5e11, -1e12]);
        }
    }

    #[test]
    fn the_batchs_axis_is_an_error() {
        let layer = UnitNormalization::new().axis([0, 1]);
        let error = Alone::new(layer, &[6], DType::F32).err().unwrap();
        let message = "`axis`: expected an axis of the samples, got the batch's";
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
