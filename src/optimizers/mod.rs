//! Optimizers: how gradients change weights, and the trait for optimizers of your own.

mod adam;
mod sgd;

pub use adam::Adam;
pub use sgd::Sgd;

use crate::{
    Error, Result,
    ops::{self, Change, Gradient},
    weights::Weight,
};
use candle_core::{Tensor, Var};
use std::fmt::Debug;

/// A rule that changes one weight by its gradient. What it remembers of a weight from step to
/// step it keeps in slots, tensors of the weight's shape that start at 0.
///
/// ```
/// use candle_core::{Tensor, Var};
/// use candle_keras::optimizers::Optimizer;
///
/// /// Moves every number by the learning rate, whatever the gradient's size.
/// #[derive(Debug)]
/// struct SignDescent {
///     learning_rate: f64,
/// }
///
/// impl Optimizer for SignDescent {
///     fn name(&self) -> &str {
///         "sign_descent"
///     }
///     fn learning_rate(&self) -> f64 {
///         self.learning_rate
///     }
///     fn set_learning_rate(&mut self, learning_rate: f64) {
///         self.learning_rate = learning_rate;
///     }
///     fn update(
///         &self,
///         _step: u64,
///         weight: &Var,
///         gradient: &Tensor,
///         _slots: &[Var],
///     ) -> candle_keras::Result<()> {
///         let change = (gradient.sign()? * self.learning_rate)?;
///         Ok(weight.set(&(weight.as_detached_tensor() - change)?)?)
///     }
/// }
/// ```
pub trait Optimizer: Debug + Send + Sync {
    /// The name as in Keras: `adam`.
    fn name(&self) -> &str;

    /// The step size.
    fn learning_rate(&self) -> f64;

    /// Changes the step size, from the next step on.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The names of the slots that it keeps for every weight.
    fn slots(&self) -> &[&str] {
        &[]
    }

    /// Whether the arguments are in range; `compile` asks.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<()> {
        check_learning_rate(self.learning_rate())
    }

    /// Changes a weight by its gradient, in step `step` (from 1 on). `slots` are in the order of
    /// [`slots`](Self::slots).
    ///
    /// # Errors
    /// When candle's operations fail.
    fn update(&self, step: u64, weight: &Var, gradient: &Tensor, slots: &[Var]) -> Result<()>;

    /// The same rule on f32 numbers in the CPU's memory, used in place of `update` where weights,
    /// slots and gradients are that.
    fn elementwise(&self) -> Option<&dyn Elementwise> {
        None
    }
}

/// A rule that changes every number by its own gradient and slots alone.
///
/// It is given any part of a weight, right after that part's gradient was computed and while it is
/// in the processor's cache, on several threads at once. It must not touch tensors of the model,
/// which are locked meanwhile.
pub trait Elementwise: Sync {
    /// Changes numbers of a weight in step `step` (from 1 on). `gradient` and each of the `slots`,
    /// in the order of [`Optimizer::slots`], are as long as `weight`.
    fn update_part(
        &self,
        step: u64,
        weight: &mut [f32],
        gradient: &[f32],
        slots: &mut [&mut [f32]],
    );
}

impl<O: Optimizer + 'static> From<O> for Box<dyn Optimizer> {
    fn from(optimizer: O) -> Self {
        Box::new(optimizer)
    }
}

/// An optimizer at work on a model: its rule, the steps done, and every weight's slots.
#[derive(Debug)]
pub(crate) struct OptimizerState {
    pub(crate) rule: Box<dyn Optimizer>,
    pub(crate) steps: u64,
    /// For every trainable weight in order.
    slots: Vec<Vec<Var>>,
}

impl OptimizerState {
    pub(crate) fn new<'a>(
        rule: Box<dyn Optimizer>,
        weights: impl Iterator<Item = &'a Weight>,
    ) -> Result<Self> {
        rule.check()?;
        let slots_of = |weight: &Weight| {
            let value = weight.value();
            let zeros = rule
                .slots()
                .iter()
                .map(|_| Var::zeros(value.shape(), value.dtype(), value.device()));
            Ok(zeros.collect::<candle_core::Result<_>>()?)
        };
        let slots = weights.filter(|weight| weight.trainable()).map(slots_of);
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            rule,
            steps: 0,
        })
    }

    /// One step: every trainable weight by its gradient, both in order.
    pub(crate) fn update<'a>(
        &mut self,
        weights: impl Iterator<Item = &'a Weight>,
        gradients: Vec<Gradient>,
    ) -> Result<()> {
        self.steps += 1;
        let trainable = weights.filter(|weight| weight.trainable());
        let changes = trainable.zip(gradients).zip(&self.slots);
        let changes = changes.map(|((weight, gradient), slots)| Change {
            weight: weight.variable(),
            slots,
            gradient,
        });
        let mut changes: Vec<_> = changes.collect();
        ops::set_apart(&mut changes)?;
        match self.rule.elementwise() {
            Some(rule) if changes.iter().all(Change::in_memory) => {
                ops::update_weights(&changes, &|weight, gradient, slots| {
                    rule.update_part(self.steps, weight, gradient, slots);
                })
            }
            _ => changes.iter().try_for_each(|change| {
                let gradient = change.gradient.whole()?;
                let rule = &self.rule;
                rule.update(self.steps, change.weight, &gradient, change.slots)
            }),
        }
    }

    /// All slots, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Var> {
        self.slots.iter().flatten()
    }
}

/// An error unless the learning rate is a finite number of at least 0.
pub(crate) fn check_learning_rate(learning_rate: f64) -> Result<()> {
    if learning_rate.is_finite() && learning_rate >= 0.0 {
        return Ok(());
    }
    Err(Error::argument(
        "learning_rate",
        "a finite number of at least 0",
        learning_rate,
        "0.01 suits Sgd, 0.001 Adam",
    ))
}

/// An error unless `value` lies from 0 up to, but not including, 1.
fn check_fraction(argument: &str, value: f64, usual: &str) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "a number from 0 up to, but not including, 1",
        value,
        format!("{usual} is usual"),
    ))
}
