//! Dense layers with relu between them, and a step of SGD with momentum.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{Linear, Module, VarBuilder, VarMap};

const LEARNING_RATE: f64 = 0.01;
const MOMENTUM: f64 = 0.9;

pub struct Network {
    variables: Vec<Var>,
    layers: Vec<Linear>,
    momenta: Vec<Tensor>,
}

/// What a step tells of its batch.
pub struct Step {
    pub right: f32,
    pub loss: f32,
}

impl Network {
    pub fn new(widths: &[usize]) -> Result<Self> {
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let mut layers = Vec::new();
        let mut inputs = 784;
        for (index, units) in widths.iter().chain(&[10]).enumerate() {
            layers.push(candle_nn::linear(inputs, *units, builder.pp(index))?);
            inputs = *units;
        }
        let variables = variables.all_vars();
        let momenta = variables.iter().map(|variable| variable.zeros_like());
        Ok(Self {
            momenta: momenta.collect::<Result<_>>()?,
            variables,
            layers,
        })
    }

    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let (last, hidden) = self.layers.split_last().expect("a network has layers");
        let mut values = x.clone();
        for layer in hidden {
            values = layer.forward(&values)?.relu()?;
        }
        last.forward(&values)
    }

    pub fn step(&mut self, x: &Tensor, y: &Tensor) -> Result<Step> {
        let logits = self.logits(x)?;
        let loss = candle_nn::loss::cross_entropy(&logits, y)?;
        let gradients = loss.backward()?;
        for (variable, momentum) in self.variables.iter().zip(&mut self.momenta) {
            if let Some(gradient) = gradients.get(variable) {
                // v ← μ·v − η·g, w ← w + v; detached, or the graph would grow with every step.
                *momentum = ((&*momentum * MOMENTUM)? - (gradient * LEARNING_RATE)?)?.detach();
                variable.set(&(variable.as_tensor() + &*momentum)?.detach())?;
            }
        }
        let right = right(&logits, y)?.to_dtype(DType::F32)?.sum_all()?;
        Ok(Step {
            right: right.to_scalar()?,
            loss: loss.to_scalar()?,
        })
    }
}

/// Which samples have their label's logit as the largest: 1, or else 0.
pub fn right(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    logits.argmax(D::Minus1)?.eq(labels)
}
