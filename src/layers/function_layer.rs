//! What layers that are one activation function have in common.

use crate::{Error, Result};

/// `Layer` and `Backward` for a layer with a field `base` and the methods `check`, of its arguments,
/// and `function`, the [`ActivationFunction`](crate::activations::ActivationFunction) that they
/// make; the function must keep the shape.
macro_rules! function_layer {
    ($layer:ident, $class_name:literal) => {
        impl Layer for $layer {
            layer_access!($class_name);

            fn build(&mut self, _: &[usize], _: &mut WeightBuilder<'_>) -> Result<()> {
                self.check()?;
                self.function().check()
            }

            fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
                Ok(input_shape.to_vec())
            }

            fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
                self.function().call_owned(inputs.force_contiguous()?)
            }

            fn passes_mask(&self) -> bool {
                true
            }

            fn inference(&self) -> Option<Inference<'_>> {
                Some(Inference::Function(self.function()))
            }

            fn backward(&self) -> Option<&dyn Backward> {
                Some(self)
            }
        }

        impl Backward for $layer {
            fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
                let function = self.function();
                let inputs = function.backward(Some(step.inputs), step.outputs, gradient)?;
                Ok(Gradients {
                    inputs: Some(inputs),
                    weights: Vec::new(),
                })
            }
        }
    };
}
pub(super) use function_layer;

/// An error for an argument below 0.
pub(super) fn check_not_negative(argument: &str, value: f64, default: &str) -> Result<()> {
    if value >= 0.0 {
        return Ok(());
    }
    let advice = format!("Keras's default is {default}");
    Err(Error::argument(argument, "at least 0", value, advice))
}
