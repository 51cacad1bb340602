use super::{
    Backward, Base, DataFormat, Forward, Gradients, Inference, Layer, Pass, layer_access,
    layer_setters, permute::inverse,
};
use crate::Result;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Every sample as one row.
///
/// # Shapes
/// Inputs (batch, ..), outputs (batch, product of ..).
///
/// # Defaults
/// Channels last: the numbers stay in their order.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((28, 28)))
///     .add(Flatten::new())
///     .build(&Device::Cpu)?;
/// assert_eq!(model.output_shape(), [784]);
/// # Ok(()) }
/// ```
///
/// Keras: `Flatten`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Flatten {
    data_format: DataFormat,
    #[serde(flatten)]
    base: Base,
}

impl Flatten {
    /// A layer that flattens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the inputs have their channels. Those that come first are brought to the end before
    /// the sample is flattened, so that rows are the same in either format.
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    layer_setters!();

    /// The order in which the axes of a tensor of `rank` are flattened.
    fn order(&self, rank: usize) -> Vec<usize> {
        match self.data_format {
            DataFormat::ChannelsFirst if rank > 1 => {
                let others = std::iter::once(0).chain(2..rank);
                others.chain(std::iter::once(1)).collect()
            }
            _ => (0..rank).collect(),
        }
    }
}

impl Layer for Flatten {
    layer_access!("Flatten");

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(vec![input_shape.iter().product()])
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        let width: usize = inputs.dims().iter().skip(1).product();
        let ordered = inputs.permute(self.order(inputs.rank()))?;
        Ok(ordered.reshape(((), width))?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Flatten(self.data_format))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Flatten {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let order = self.order(step.inputs.rank());
        let lengths = order
            .iter()
            .filter_map(|axis| step.inputs.dims().get(*axis).copied());
        let ordered = gradient.reshape(lengths.collect::<Vec<usize>>())?;
        Ok(Gradients {
            inputs: Some(ordered.permute(inverse(&order))?.contiguous()?),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Device, Input, Sequential};

    #[test]
    fn channels_that_come_first_are_brought_to_the_end_and_their_gradient_back() -> Result<()> {
        let layer = Flatten::new().data_format(DataFormat::ChannelsFirst);
        let x = Tensor::new(&[[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]], &Device::Cpu)?;
        let y = Tensor::new(&[[1f32, 4.0, 2.0, 5.0, 3.0, 6.0]], &Device::Cpu)?;
        let gradients = layer.gradients(&Forward::new(&x, &y), &y)?;
        let gradient = gradients.inputs.expect("a gradient");
        assert_eq!(gradient.to_vec3::<f32>()?, x.to_vec3::<f32>()?);
        let model = Sequential::new().add(Input::new((2, 3))).add(layer);
        let model = model.build(&Device::Cpu)?;
        assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, y.to_vec2::<f32>()?);
        Ok(())
    }
}
