//! Optimizers: how gradients change weights, and the trait for optimizers of your own.

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adam_rule;
mod adam_w;
mod adamax;
mod ftrl;
mod lamb;
mod lion;
mod muon;
mod nadam;
mod optimization;
mod rmsprop;
pub mod schedules;
mod settings;
mod sgd;
mod stored;

pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adam_w::AdamW;
pub use adamax::Adamax;
pub use ftrl::Ftrl;
pub use lamb::Lamb;
pub use lion::Lion;
pub use muon::Muon;
pub use nadam::Nadam;
pub use optimization::Optimization;
pub use rmsprop::RMSprop;
pub use settings::Settings;
pub use sgd::Sgd;
pub(crate) use stored::Stored;

use crate::{
    Config, Error, Result, config::Entry, config::serde_of_part, config::table, weights::Weight,
};
use candle_core::{Tensor, Var};
use settings::{argument_setters, check_above_zero, settings_access, settings_setters};
use std::fmt::Debug;

/// A rule that changes one weight by its gradient. What it remembers of a weight from step to
/// step it keeps in slots.
///
/// Weight decay, clipping, averaging and accumulation are done around it, by the [`Settings`].
///
/// ```
/// use candle_core::{Tensor, Var};
/// use candle_keras::optimizers::{Optimizer, Settings, Step};
/// use candle_keras::weights::Weight;
///
/// /// Moves every number by the learning rate, whatever the gradient's size.
/// #[derive(Debug)]
/// struct SignDescent {
///     settings: Settings,
/// }
///
/// impl Optimizer for SignDescent {
///     fn name(&self) -> &str {
///         "sign_descent"
///     }
///     fn settings(&self) -> &Settings {
///         &self.settings
///     }
///     fn settings_mut(&mut self) -> &mut Settings {
///         &mut self.settings
///     }
///     fn update(
///         &self,
///         step: Step,
///         weight: &Weight,
///         gradient: &Tensor,
///         _slots: &[Var],
///     ) -> candle_keras::Result<()> {
///         let change = (gradient.sign()? * step.learning_rate)?;
///         Ok(weight.variable().set(&(weight.value() - change)?)?)
///     }
/// }
/// let settings = Settings::new(0.01).clipnorm(1.0);
/// let optimizer = SignDescent { settings };
/// ```
pub trait Optimizer: Debug + Send + Sync {
    /// The name as in Keras: `adam`.
    fn name(&self) -> &str;

    /// The learning rate, and what is done around the rule.
    fn settings(&self) -> &Settings;

    /// The same, to be changed.
    fn settings_mut(&mut self) -> &mut Settings;

    /// The slots that it keeps for a weight.
    fn slots(&self, weight: &Weight) -> Vec<Slot> {
        let _ = weight;
        Vec::new()
    }

    /// Whether the rule's own arguments are in range; `compile` asks, and looks at the settings
    /// itself.
    ///
    /// # Errors
    /// When one is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The weight decay of a weight: that of the settings, none where they exclude its path.
    fn weight_decay(&self, weight: &Weight) -> Option<f64> {
        let settings = self.settings();
        let decay = settings.weight_decay;
        decay.filter(|_| !settings.excludes(weight.path()))
    }

    /// Changes a weight by its gradient. `slots` are in the order of [`slots`](Self::slots).
    ///
    /// # Errors
    /// When candle's operations fail.
    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()>;

    /// The same rule on f32 numbers in the CPU's memory, for one step, used in place of `update`
    /// where weights, slots and gradients are that.
    fn elementwise(&self, step: Step) -> Option<Box<Elementwise<'_>>> {
        let _ = step;
        None
    }

    /// How many of a weight's slots stand before those of the next weight in Keras's files; the rest
    /// follow, a slot of all weights after the other.
    #[doc(hidden)]
    fn slots_side_by_side(&self) -> usize {
        usize::MAX
    }

    /// A number that Keras keeps besides, after so many updates.
    #[doc(hidden)]
    fn kept_number(&self, updates: u64) -> Option<f64> {
        let _ = updates;
        None
    }

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

/// One update: which it is, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The number of the update, from 1 on.
    pub number: u64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// What an optimizer keeps of a weight: a tensor, all of one number at first.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Its name as in Keras: `velocity`.
    pub name: &'static str,
    /// Its shape; `None` for the weight's.
    pub shape: Option<Vec<usize>>,
    /// The number that it starts with.
    pub initial: f64,
}

impl Slot {
    /// Zeros in the weight's shape.
    pub fn zeros(name: &'static str) -> Self {
        Self::full(name, 0.0)
    }

    /// The same number everywhere, in the weight's shape.
    pub fn full(name: &'static str, initial: f64) -> Self {
        Self {
            name,
            shape: None,
            initial,
        }
    }
}

/// A rule that changes every number by its own gradient and slots alone: it is given numbers of a
/// weight, their gradients, and as many of each slot.
///
/// It is given any part of a weight, right after that part's gradient was computed and while it is
/// in the processor's cache, on several threads at once. It must not touch tensors of the model,
/// which are locked meanwhile.
pub type Elementwise<'a> = dyn Fn(&mut [f32], &[f32], &mut [&mut [f32]]) + Sync + 'a;

impl<O: Optimizer + 'static> From<O> for Box<dyn Optimizer> {
    fn from(optimizer: O) -> Self {
        Box::new(optimizer)
    }
}

serde_of_part!(Optimizer, "optimizer", "keras.optimizers", OPTIMIZERS);

#[expect(
    clippy::upper_case_acronyms,
    reason = "the table takes a class's name from its type"
)]
type SGD = Sgd;

/// Every optimizer of the crate.
pub(crate) const OPTIMIZERS: &[Entry<dyn Optimizer>] = table![dyn Optimizer:
    Adadelta = Adadelta::default(), "adadelta";
    Adafactor = Adafactor::default(), "adafactor";
    Adagrad = Adagrad::default(), "adagrad";
    Adam = Adam::default(), "adam";
    AdamW = AdamW::default(), "adamw";
    Adamax = Adamax::default(), "adamax";
    Ftrl = Ftrl::default(), "ftrl";
    Lamb = Lamb::default(), "lamb";
    Lion = Lion::default(), "lion";
    Muon = Muon::default(), "muon";
    Nadam = Nadam::default(), "nadam";
    RMSprop = RMSprop::default(), "rmsprop";
    SGD = Sgd::default(), "sgd";
];

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

/// An error unless `value` is a finite number of at least 0.
fn check_at_least_zero(argument: &str, value: f64, usual: &str) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    let (expected, advice) = ("a finite number of at least 0", format!("{usual} is usual"));
    Err(Error::argument(argument, expected, value, advice))
}

/// An error unless `epsilon` can keep a division away from 0.
fn check_epsilon(epsilon: f64) -> Result<()> {
    check_above_zero("epsilon", epsilon, "Keras's default is 1e-7")
}

/// βᵗ in step t, in f32 as Keras computes it.
fn beta_power(beta: f64, step: Step) -> f32 {
    f64::from(beta as f32).powf(step.number as f64) as f32
}

/// Brings a slot's numbers nearer to `value` by a share of the difference: a moving mean.
fn toward(slot: &Var, value: &Tensor, share: f32) -> Result<()> {
    let old = slot.as_detached_tensor();
    let mean = (&old + ((value - &old)? * f64::from(share))?)?;
    Ok(slot.set(&mean)?)
}

/// Takes `change` off a weight.
fn change_weight(weight: &Weight, change: &Tensor) -> Result<()> {
    Ok(weight.variable().set(&(weight.value() - change)?)?)
}

/// An error for slots that are not those of the rule.
fn other_slots(expected: usize, slots: &[Var]) -> Error {
    let advice = "give the slots that the rule asks for, in order";
    Error::argument("slots", expected.to_string(), slots.len(), advice)
}
