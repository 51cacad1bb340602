use super::{
    Backward, Base, Deferred, Forward, Gradients, Inference, Layer, Pass, layer_access,
    layer_setters,
};
use crate::{
    Error, Result,
    activations::ActivationFunction,
    constraints::Constraint,
    error::{batched, tuple},
    initializers::{GlorotUniform, Initializer, Zeros},
    ops::{self, Gradient},
    regularizers::Regularizer,
    weights::WeightBuilder,
};
use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every output is a weighted sum of all inputs: y = f(x·W + b).
///
/// # Shapes
/// Inputs (batch, .., features), outputs (batch, .., units), with the activation
/// [`Glu`](crate::activations::Glu) half as many. Weights: `kernel` (features, units)
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Dense {
    units: usize,
    activation: ActivationFunction,
    use_bias: bool,
    kernel_initializer: Box<dyn Initializer>,
    bias_initializer: Box<dyn Initializer>,
    #[serde(with = "crate::config::shared")]
    kernel_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    bias_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    activity_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    kernel_constraint: Option<Arc<dyn Constraint>>,
    #[serde(with = "crate::config::shared")]
    bias_constraint: Option<Arc<dyn Constraint>>,
    #[serde(flatten)]
    base: Base,
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
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            base: Base::default(),
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

    /// What the kernel adds to the loss.
    pub fn kernel_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.kernel_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What the bias adds to the loss.
    pub fn bias_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.bias_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What the outputs add to the loss, divided by the samples in the batch.
    pub fn activity_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.activity_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What every update brings the kernel back to.
    pub fn kernel_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
        self.kernel_constraint = Some(Arc::new(constraint));
        self
    }

    /// What every update brings the bias back to.
    pub fn bias_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
        self.bias_constraint = Some(Arc::new(constraint));
        self
    }

    layer_setters!();

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
    layer_access!("Dense");

    fn activity_regularizer(&self) -> Option<&dyn Regularizer> {
        self.activity_regularizer.as_deref()
    }

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.units == 0 {
            let advice = "give the number of outputs";
            return Err(Error::argument("units", "at least 1", 0, advice));
        }
        self.activation.check()?;
        self.activation.output_width(self.units)?;
        let features = features(input_shape)?;
        let shape = [features, self.units];
        weights.add("kernel", &shape, &*self.kernel_initializer)?;
        weights.regularize("kernel", self.kernel_regularizer.clone())?;
        weights.constrain("kernel", self.kernel_constraint.clone())?;
        if self.use_bias {
            weights.add("bias", &[self.units], &*self.bias_initializer)?;
            weights.regularize("bias", self.bias_regularizer.clone())?;
            weights.constrain("bias", self.bias_constraint.clone())?;
        }
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        features(input_shape)?;
        let mut shape = input_shape.to_vec();
        shape.pop();
        shape.push(self.activation.output_width(self.units)?);
        Ok(shape)
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let x = inputs.flatten_to(D::Minus2)?; // (batch·.., features)
        let function = if pass.without_activation() {
            ActivationFunction::Linear
        } else {
            self.activation
        };
        let keeps = function.needs_input(ops::in_memory(&[&x])) && pass.training();
        let y = if keeps {
            let z = self.outputs(&x, pass, ActivationFunction::Linear)?;
            pass.keep(z.clone());
            function.call_owned(z.copy()?)?
        } else if function == ActivationFunction::Glu {
            // Not in the product's own memory: it gives another width.
            function.call_owned(self.outputs(&x, pass, ActivationFunction::Linear)?)?
        } else {
            self.outputs(&x, pass, function)?
        }; // (batch·.., units)
        if inputs.rank() == 2 {
            return Ok(y);
        }
        let mut shape = inputs.dims().to_vec();
        shape.pop();
        shape.push(y.dim(D::Minus1)?);
        Ok(y.reshape(shape)?) // (batch, .., units)
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Dense(self.activation))
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
        let width = if step.without_activation {
            self.units
        } else {
            self.activation.output_width(self.units)?
        };
        if g.dims() != [x.dim(0)?, width] {
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
