use super::{Backward, Deferred, Forward, Gradients, Layer, Pass};
use crate::{
    Error, Result,
    activations::ActivationFunction,
    error::{batched, tuple},
    initializers::{GlorotUniform, Initializer, Zeros},
    ops::{self, Gradient},
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

    /// f(x·W + b) for rows `x`, (rows, units).
    fn outputs(&self, x: &Tensor, pass: &Pass<'_>, function: ActivationFunction) -> Result<Tensor> {
        let kernel = pass.weight("kernel")?;
        let bias = if self.use_bias {
            Some(pass.weight("bias")?)
        } else {
            None
        };
        if ops::in_memory(&[x, kernel]) {
            let bias = bias.map(ops::numbers).transpose()?;
            let (numbers, kernel) = (ops::numbers(x)?, ops::numbers(kernel)?);
            let bias = bias.as_deref();
            let outputs = ops::dense::forward(&numbers, &kernel, bias, self.units, function);
            return Ok(Tensor::from_vec(
                outputs,
                (x.dim(0)?, self.units),
                x.device(),
            )?);
        }
        let z = x.matmul(kernel)?;
        let z = match bias {
            Some(bias) => z.broadcast_add(bias)?,
            None => z,
        };
        function.call(&z)
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &str {
        "Dense"
    }

    fn given_name(&self) -> Option<&str> {
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
        let function = if pass.without_activation() {
            ActivationFunction::Linear
        } else {
            self.activation
        };
        let y = if function.needs_input() && pass.training() {
            let z = self.outputs(&x, pass, ActivationFunction::Linear)?;
            pass.keep(z.clone());
            function.call(&z)?
        } else {
            self.outputs(&x, pass, function)?
        }; // (batch·.., units)
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

    fn final_activation(&self) -> ActivationFunction {
        self.activation
    }
}

impl Dense {
    /// The inputs as rows, and the gradient before the activation.
    fn before_activation(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = step.inputs.flatten_to(D::Minus2)?; // (batch·.., features)
        let g = gradient.flatten_to(D::Minus2)?.contiguous()?; // (batch·.., units)
        if g.dims() != [x.dim(0)?, self.units] {
            // Reached by a layer of the user's own that passes its gradient on to a Dense.
            return Err(Error::argument(
                "gradient",
                format!("the outputs' shape {}", tuple(step.outputs.dims())),
                tuple(gradient.dims()),
                "give one number for each output",
            ));
        }
        if step.without_activation {
            return Ok((x, g));
        }
        let y = step.outputs.flatten_to(D::Minus2)?;
        let g = self.activation.backward(step.kept.first(), &y, &g)?;
        Ok((x, g))
    }
}

impl Backward for Dense {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let (x, g) = self.before_activation(step, gradient)?;
        let mut weights = vec![x.t()?.matmul(&g)?];
        if self.use_bias {
            weights.push(g.sum(0)?);
        }
        let inputs = if step.needs_input_gradient {
            let inputs = g.matmul(&step.weight("kernel")?.t()?)?;
            Some(inputs.reshape(step.inputs.shape())?)
        } else {
            None
        };
        Ok(Gradients { inputs, weights })
    }

    fn deferred(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Deferred> {
        let kernel = step.weight("kernel")?;
        if !ops::in_memory(&[step.inputs, step.outputs, kernel]) {
            return self.gradients(step, gradient).map(Deferred::from);
        }
        let (x, g) = self.before_activation(step, gradient)?;
        let inputs = if step.needs_input_gradient {
            let (g, kernel) = (ops::numbers(&g)?, ops::numbers(kernel)?);
            let inputs = ops::dense::input_gradient(&g, &kernel, self.units);
            Some(Tensor::from_vec(inputs, step.inputs.shape(), x.device())?)
        } else {
            None
        };
        let mut weights = vec![Gradient::Product { x, g: g.clone() }];
        if self.use_bias {
            weights.push(Gradient::Sum(g));
        }
        Ok(Deferred { inputs, weights })
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
