use super::{
    Optimizer, Settings, Slot, Step, argument_setters, change_weight, check_above_zero,
    check_at_least_zero, other_slots, schedules::LearningRate, settings_access, settings_setters,
};
use crate::{Error, Result, weights::Weight};
use candle_core::{D, Tensor, Var};
use serde::{Deserialize, Serialize};

/// Steps of a size that adapts to the gradients of each row and column, in proportion to the
/// weight's own size.
///
/// In step t, with rms(x) = √mean(x²): α = max(ε₂, rms(w))·min(η, 1/√t), β = 1 - t^γ with γ the
/// `beta_2_decay`, q = g² + ε₁. A weight of rank 2 or more has r ← β·r + (1 - β)·mean of q along the
/// last axis, c ← β·c + (1 - β)·mean of q along the one before, and v = r/mean(r)·c; another has
/// v ← β·v + (1 - β)·q. Then u = g / √v and w ← w - α·u / max(1, rms(u)/d), d the `clip_threshold`.
///
/// # Defaults
/// γ -0.8, ε₁ 1e-30, ε₂ 0.001, d 1, `relative_step`. Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Adafactor;
/// Adafactor::new(0.01).clip_threshold(2.0);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate or an ε₂ below 0, and for a γ, ε₁ or d out of range: γ must be
/// below 0, the others above.
///
/// Keras: `Adafactor` (Shazeer and Stern, 2018, "Adafactor: adaptive learning rates with sublinear
/// memory cost"). As in Keras, v is kept whole, which saves no memory, and `relative_step` changes
/// nothing: the learning rate is at most 1/√t either way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adafactor {
    #[serde(flatten)]
    settings: Settings,
    beta_2_decay: f64,
    epsilon_1: f64,
    epsilon_2: f64,
    clip_threshold: f64,
    relative_step: bool,
}

impl Default for Adafactor {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Adafactor {
    /// Adafactor with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate),
            beta_2_decay: -0.8,
            epsilon_1: 1e-30,
            epsilon_2: 1e-3,
            clip_threshold: 1.0,
            relative_step: true,
        }
    }

    argument_setters! {
        /// How fast the means of the squared gradients come to forget slowly: the power of the
        /// step's number, below 0.
        beta_2_decay: f64;
        /// What keeps the division away from 0.
        epsilon_1: f64;
        /// The least size that a weight is taken to have.
        epsilon_2: f64;
        /// The root of the mean square that a step may have before it is shortened.
        clip_threshold: f64;
        /// Whether the learning rate is at most 1/√t, which it is in any case.
        relative_step: bool;
    }

    settings_setters!();

    /// v, from which the step's size comes, with the means brought on to this step.
    fn velocity(&self, step: Step, gradient: &Tensor, slots: [&Var; 3]) -> Result<Tensor> {
        let [rows, columns, velocity] = slots;
        let beta = 1.0 - (step.number as f32).powf(self.beta_2_decay as f32);
        let (old, new) = (f64::from(beta), f64::from(1.0 - beta));
        let squares = (gradient.sqr()? + self.epsilon_1)?;
        let mixed = |slot: &Var, value: &Tensor| -> candle_core::Result<Tensor> {
            let mixed = ((slot.as_detached_tensor() * old)? + (value * new)?)?;
            slot.set(&mixed)?;
            Ok(mixed)
        };
        if gradient.rank() < 2 {
            return Ok(mixed(velocity, &squares)?);
        }
        let rows = mixed(rows, &squares.mean(D::Minus1)?)?; // (.., rows)
        let columns = mixed(columns, &squares.mean(D::Minus2)?)?; // (.., columns)
        let rows = rows.broadcast_div(&rows.mean_keepdim(D::Minus1)?)?;
        let (rows, columns) = (rows.unsqueeze(D::Minus1)?, columns.unsqueeze(D::Minus2)?);
        let product = rows.broadcast_mul(&columns)?; // (.., rows, columns)
        velocity.set(&product)?;
        Ok(product)
    }
}

impl Optimizer for Adafactor {
    fn name(&self) -> &str {
        "adafactor"
    }

    settings_access!("Adafactor");

    /// The means of the rows and of the columns, a single number where there are none, and v.
    fn slots(&self, weight: &Weight) -> Vec<Slot> {
        let (rows, columns) = match weight.value().dims() {
            [outer @ .., rows, columns] => {
                let of = |length: usize| [outer, &[length]].concat();
                (of(*rows), of(*columns))
            }
            _ => (Vec::new(), Vec::new()),
        };
        let mean = |name, shape| Slot {
            shape: Some(shape),
            ..Slot::zeros(name)
        };
        vec![mean("r", rows), mean("c", columns), Slot::zeros("velocity")]
    }

    fn check(&self) -> Result<()> {
        let decay = self.beta_2_decay;
        if !(decay.is_finite() && decay < 0.0) {
            let expected = "a finite number below 0";
            return Err(Error::argument(
                "beta_2_decay",
                expected,
                decay,
                "-0.8 is usual",
            ));
        }
        check_above_zero("epsilon_1", self.epsilon_1, "Keras's default is 1e-30")?;
        check_at_least_zero("epsilon_2", self.epsilon_2, "0.001")?;
        check_above_zero("clip_threshold", self.clip_threshold, "1 is usual")
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let [rows, columns, velocity] = slots else {
            return Err(other_slots(3, slots));
        };
        let root_mean_square = |tensor: &Tensor| tensor.sqr()?.mean_all()?.sqrt();
        let rate = (step.learning_rate as f32).min(1.0 / (step.number as f32).sqrt());
        let alpha = root_mean_square(weight.value())?.maximum(self.epsilon_2)?;
        let velocity = self.velocity(step, gradient, [rows, columns, velocity])?;
        let change = (gradient / velocity.sqrt()?)?;
        let shortened = (root_mean_square(&change)? / self.clip_threshold)?.maximum(1.0)?;
        let factor = ((alpha * f64::from(rate))? / shortened)?; // a scalar, on the device
        change_weight(weight, &change.broadcast_mul(&factor)?)
    }
}
