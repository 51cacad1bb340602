use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
    permute::inverse,
};
use crate::{Axes, Error, Result, activations::ActivationFunction, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Positive numbers with sum 1 along one axis, or over several together: f(x)ᵢ = e^xᵢ / Σⱼ e^xⱼ.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// The last axis. As the last layer it is then computed together with its cross-entropy, as
/// `Dense::new(10).activation(Softmax)` is.
///
/// ```
/// use candle_keras::{layers, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((1, 2)))
///     .add(layers::Softmax::new().axis([1, 2]))
///     .build(&Device::Cpu)?;
/// let y = model.predict(&Tensor::new(&[[[0f32, 0.0]]], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[0.5, 0.5]]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an axis that the inputs do not have.
///
/// Keras: `Softmax`. Its argument `mask` of a call is not there. Keras also takes a softmax along
/// another axis for one along the last when it computes a cross-entropy from it; here the loss then
/// gets the probabilities.
#[derive(Debug, Serialize, Deserialize)]
pub struct Softmax {
    axis: Axes,
    /// Whether that is the last axis alone; known once it is built.
    #[serde(skip)]
    is_last: bool,
    #[serde(flatten)]
    base: Base,
}

impl Default for Softmax {
    fn default() -> Self {
        Self::new()
    }
}

impl Softmax {
    /// Along the last axis.
    pub fn new() -> Self {
        Self {
            axis: Axes::One(-1),
            is_last: false,
            base: Base::default(),
        }
    }

    /// The axis along which the numbers add up to 1, or the axes that do so together: 1 is the first
    /// of a sample, -1 the last one.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }

    layer_setters!();

    /// The axes of a tensor of `rank` in the order in which those of the softmax come last, and how
    /// many they are.
    fn order(&self, rank: usize) -> Result<(Vec<usize>, usize)> {
        let axes = self.axis.resolve(rank)?;
        let others = (0..rank).filter(|axis| !axes.contains(axis));
        Ok((others.chain(axes.iter().copied()).collect(), axes.len()))
    }
}

/// The tensor's numbers with one row, (.., width), for each softmax, in memory of its own.
fn rows(x: &Tensor, order: &[usize], count: usize) -> Result<Tensor> {
    let permuted = x.permute(order)?.force_contiguous()?;
    let width: usize = permuted.dims().iter().rev().take(count).product();
    Ok(permuted.reshape(((), width))?)
}

/// What `rows` was made of: a tensor of `shape`.
fn whole(rows: &Tensor, order: &[usize], shape: &[usize]) -> Result<Tensor> {
    let lengths = order.iter().filter_map(|axis| shape.get(*axis).copied());
    let permuted = rows.reshape(lengths.collect::<Vec<usize>>())?;
    Ok(permuted.permute(inverse(order))?.contiguous()?)
}

impl Layer for Softmax {
    layer_access!("Softmax");

    fn build(&mut self, input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        let axes = self.axis.resolve(input_shape.len() + 1)?;
        if axes.contains(&0) {
            // Outputs would depend on the batch that a sample happens to be in.
            let (expected, advice) = ("axes of a sample", "0 is the batch's; give samples an axis");
            return Err(Error::argument("axis", expected, "0", advice));
        }
        self.is_last = axes == [input_shape.len()];
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if pass.without_activation() {
            return Ok(inputs.clone());
        }
        let (order, count) = self.order(inputs.rank())?;
        let outputs = ActivationFunction::Softmax.call_owned(rows(inputs, &order, count)?)?;
        whole(&outputs, &order, inputs.dims())
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Softmax(&self.axis))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }

    fn final_activation(&self) -> ActivationFunction {
        if self.is_last {
            ActivationFunction::Softmax
        } else {
            ActivationFunction::Linear
        }
    }
}

impl Backward for Softmax {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = if step.without_activation {
            gradient.clone()
        } else {
            let (order, count) = self.order(step.outputs.rank())?;
            let outputs = rows(step.outputs, &order, count)?;
            let gradient = rows(gradient, &order, count)?;
            let before = ActivationFunction::Softmax.backward(None, &outputs, &gradient)?;
            whole(&before, &order, step.inputs.dims())?
        };
        Ok(Gradients {
            inputs: Some(inputs),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{CategoricalCrossentropy, DType, Dense, Device, Input, Sequential, Sgd};

    #[test]
    fn at_the_end_it_is_computed_with_its_cross_entropy() -> Result<()> {
        // The last axis by any name; logits at which a probability in f32 is 0.
        for axis in [Axes::One(-1), Axes::One(1), Axes::from([-1])] {
            let layer = Softmax::new().axis(axis);
            let mut model = Sequential::new()
                .add(Input::new(2))
                .add(layer)
                .build(&Device::Cpu)?;
            model.compile(Sgd::new(0.1), CategoricalCrossentropy::new(), ())?;
            let x = Tensor::new(&[[400f32, 0.0]], &Device::Cpu)?;
            let y = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
            assert_eq!(model.evaluate(&x, &y)?["loss"], 400.0);
            assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[1.0, 0.0]]);
        }
        Ok(())
    }

    #[test]
    fn along_other_axes_it_is_no_final_activation() -> Result<()> {
        for axis in [Axes::One(1), Axes::from([1, 2])] {
            let layer = Softmax::new().axis(axis);
            let model = Sequential::new().add(Input::new((2, 3))).add(layer);
            let model = model.build(&Device::Cpu)?;
            let layer = model.layers().next().expect("a layer").layer();
            assert_eq!(layer.final_activation(), ActivationFunction::Linear);
        }
        let of_batch = Sequential::new().add(Input::new(2));
        let of_batch = of_batch.add(Softmax::new().axis(0)).build(&Device::Cpu);
        let error = of_batch.expect_err("it mixes samples").to_string();
        assert_eq!(
            error,
            "layer `softmax` (Softmax): `axis`: expected axes of a sample, got 0: 0 is the batch's; \
             give samples an axis"
        );
        Ok(())
    }

    #[test]
    fn its_gradient_is_right_whether_fused_with_the_loss_or_not() -> Result<()> {
        // A loss that is not fused, against candle's gradient of a softmax.
        let network = Sequential::new()
            .add(Input::new(2))
            .add(Dense::new(3))
            .seed(2);
        let mut model = network.add(Softmax::new()).build(&Device::Cpu)?;
        model.compile(Sgd::new(0.1), crate::losses::MeanSquaredError::new(), ())?;
        let x = Tensor::new(&[[1f32, -2.0], [0.5, 3.0]], &Device::Cpu)?;
        let y = Tensor::new(&[[0f32, 1.0, 0.0], [0.0, 0.0, 1.0]], &Device::Cpu)?;
        let got = model.gradients(&x, &y)?;
        let kernel = candle_core::Var::from_tensor(&model.weight("dense/kernel")?)?;
        let y_pred = candle_nn::ops::softmax(&x.matmul(&kernel)?, 1)?;
        let loss = (y_pred - y)?.sqr()?.mean_all()?;
        let store = loss.backward()?;
        let expected = store.get(&kernel).expect("a gradient");
        let difference = (&got[0].1 - expected)?
            .abs()?
            .max_all()?
            .to_dtype(DType::F64)?;
        assert!(difference.to_scalar::<f64>()? < 1e-7);
        Ok(())
    }

    #[test]
    fn an_axis_that_is_not_there_is_an_error() {
        let layer = Softmax::new().axis(2);
        let model = Sequential::new().add(Input::new(3)).add(layer);
        assert_eq!(
            model.build(&Device::Cpu).unwrap_err().to_string(),
            "layer `softmax` (Softmax): `axis`: expected an axis of 2: -2 to 1, got 2: -1 is the \
             last one; the batch's is 0"
        );
    }
}
