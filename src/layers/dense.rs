use super::{Backward, Forward, Gradients, Layer, Pass};
use crate::{
    Error, Result,
    activations::ActivationFunction,
    error::batched,
    initializers::{GlorotUniform, Initializer, Zeros},
    ops,
    weights::WeightBuilder,
};
use candle_core::{D, Tensor};

/// Every output is a weighted sum of all inputs: y = f(x·W + b).
///
/// # Shapes
/// Inputs (batch, .., features), outputs (batch, .., units). Weights: `kernel` (features, units)
/// and `bias` (units).
///
/// # Defaults
/// No activation, a bias; the kernel starts with [`GlorotUniform`], the bias with [`Zeros`].
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(4))
///     .add(Dense::new(3).activation(Relu).name("hidden"))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.weight("hidden/kernel")?.dims(), [4, 3]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for 0 units, for inputs without an axis of features and for one of length 0.
///
/// Keras: `Dense`.
#[derive(Debug)]
pub struct Dense {
    units: usize,
    activation: ActivationFunction,
    use_bias: bool,
    kernel_initializer: Box<dyn Initializer>,
    bias_initializer: Box<dyn Initializer>,
    name: Option<String>,
}

impl Dense {
    /// A layer of `units` outputs.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: ActivationFunction::Linear,
            use_bias: true,
            kernel_initializer: Box::new(GlorotUniform),
            bias_initializer: Box::new(Zeros),
            name: None,
        }
    }

    /// What is done to every output.
    pub fn activation(mut self, activation: ActivationFunction) -> Self {
        self.activation = activation;
        self
    }

    /// Whether a number of its own is added to every output.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// What the kernel starts with.
    pub fn kernel_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.kernel_initializer = Box::new(initializer);
        self
    }

    /// What the bias starts with.
    pub fn bias_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.bias_initializer = Box::new(initializer);
        self
    }

    /// The layer's name, in place of `dense`, `dense_1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds the bias to `z`, which is nobody else's, and applies `activation` in the same pass.
    fn finish(
        &self,
        z: Tensor,
        bias: Option<&Tensor>,
        activation: ActivationFunction,
    ) -> Result<Tensor> {
        if ops::in_memory(&[&z]) {
            ops::write(&z, |rows| {
                let mut finish = |bias: Option<&[f32]>| {
                    ops::dense::finish_rows(rows, bias, activation, self.units);
                    Ok(())
                };
                match bias {
                    Some(bias) => ops::read(bias, |bias| finish(Some(bias))),
                    None => finish(None),
                }
            })?;
            return Ok(z);
        }
        let z = match bias {
            Some(bias) => z.broadcast_add(bias)?,
            None => z,
        };
        activation.call(&z)
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &str {
        "Dense"
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.units == 0 {
            let advice = "give the number of outputs";
            return Err(Error::argument("units", "at least 1", 0, advice));
        }
        self.activation.check()?;
        let features = features(input_shape)?;
        weights.add("kernel", &[features, self.units], &*self.kernel_initializer)?;
        if self.use_bias {
            weights.add("bias", &[self.units], &*self.bias_initializer)?;
        }
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        features(input_shape)?;
        let mut shape = input_shape.to_vec();
        shape.pop();
        shape.push(self.units);
        Ok(shape)
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let x = inputs.flatten_to(D::Minus2)?; // (batch·.., features)
        let z = x.matmul(pass.weight("kernel")?)?; // (batch·.., units)
        let activation = if pass.without_activation() {
            ActivationFunction::Linear
        } else {
            self.activation
        };
        let keep_input = activation.needs_input() && pass.training();
        let first = if keep_input {
            ActivationFunction::Linear
        } else {
            activation
        };
        let bias = if self.use_bias {
            Some(pass.weight("bias")?)
        } else {
            None
        };
        let mut y = self.finish(z, bias, first)?;
        if keep_input {
            pass.keep(y.clone());
            y = activation.call(&y)?;
        }
        if inputs.rank() == 2 {
            return Ok(y);
        }
        let mut shape = inputs.dims().to_vec();
        shape.pop();
        shape.push(self.units);
        Ok(y.reshape(shape)?) // (batch, .., units)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }

    fn activation(&self) -> ActivationFunction {
        self.activation
    }
}

impl Backward for Dense {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let x = step.inputs.flatten_to(D::Minus2)?; // (batch·.., features)
        let mut g = gradient.flatten_to(D::Minus2)?.contiguous()?; // (batch·.., units)
        if !step.without_activation {
            let y = step.outputs.flatten_to(D::Minus2)?;
            g = self.activation.backward(step.kept.first(), &y, &g)?;
        }
        let mut weights = vec![x.t()?.matmul(&g)?];
        if self.use_bias {
            weights.push(if ops::in_memory(&[&g]) {
                let sums = ops::read(&g, |rows| Ok(ops::dense::sum_rows(rows, self.units)))?;
                Tensor::from_vec(sums, self.units, g.device())?
            } else {
                g.sum(0)?
            });
        }
        let inputs = if step.needs_input_gradient {
            let kernel = step.weight("kernel")?;
            Some(g.matmul(&kernel.t()?)?.reshape(step.inputs.shape())?)
        } else {
            None
        };
        Ok(Gradients { inputs, weights })
    }
}

/// The length of the last axis.
fn features(input_shape: &[usize]) -> Result<usize> {
    match input_shape {
        [.., features] if *features > 0 => Ok(*features),
        _ => Err(Error::shape(
            "(None, .., features)",
            batched(input_shape),
            "Dense works along the last axis, so give samples one, with at least one feature",
        )),
    }
}
