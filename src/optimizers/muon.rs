use super::{
    Optimizer, Settings, Slot, Step, adam_rule::AdamRule, argument_setters, change_weight,
    check_above_zero, check_at_least_zero, check_fraction, other_slots, schedules::LearningRate,
    settings_access, settings_setters,
};
use crate::{Error, Result, weights::Weight};
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Momentum whose matrix is made orthogonal before each step, so that no direction of the inputs is
/// learned much faster than the others. Weights that are no matrices take steps of
/// [`AdamW`](super::AdamW); so should embeddings and the last layer.
///
/// m ← g + μ·m, x = g + μ·m (x = m without `nesterov`). Newton and Schulz's iteration begins with
/// x/(‖x‖ + 1e-7) and takes `ns_steps` times A = x·xᵀ, x ← a·x + (b·A + c·A²)·x. Then
/// w ← w - η·ρ·√max(rows, columns)·x, with ρ the `rms_rate`.
///
/// AdamW is taken for a weight whose rank is not 2, whose path (`embedding/embeddings`) holds
/// "embedding", in capitals or not, while `exclude_embeddings`, or one of `exclude_layers`.
///
/// # Defaults
/// μ, the `momentum`, 0.95 and Nesterov's; `ns_steps` 5 with a 3.4445, b -4.775 and c 2.0315;
/// ρ 0.2; `weight_decay` and `adam_weight_decay` 0.004; Adam's betas 0.9 and 0.999, ε 1e-7 and
/// learning rate that of Muon (`adam_lr_ratio` 1). Keras's learning rate is 0.001.
///
/// ```
/// use candle_keras::optimizers::Muon;
/// Muon::new(0.001).exclude_layers(["output"]);
/// ```
///
/// # Errors
/// `compile` fails for a learning rate below 0, a momentum or beta outside 0..1, an epsilon not
/// above 0, and for decays, rates or ratios below 0.
///
/// `exclude_from_weight_decay` goes by a weight's name here, `kernel`, and not by its path, as in Keras.
///
/// Keras: `Muon` (Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks";
/// Liu et al., 2025, "Muon is scalable for LLM training"). `exclude_layers` are regular expressions
/// there, and texts here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Muon {
    #[serde(flatten)]
    settings: Settings,
    adam_beta_1: f64,
    adam_beta_2: f64,
    adam_weight_decay: Option<f64>,
    epsilon: f64,
    exclude_layers: Vec<String>,
    exclude_embeddings: bool,
    muon_a: f64,
    muon_b: f64,
    muon_c: f64,
    adam_lr_ratio: f64,
    momentum: f64,
    ns_steps: u32,
    nesterov: bool,
    rms_rate: Option<f64>,
}

impl Default for Muon {
    /// Keras's learning rate, 0.001.
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Muon {
    /// Muon with Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            settings: Settings::new(learning_rate).weight_decay(0.004),
            adam_beta_1: 0.9,
            adam_beta_2: 0.999,
            adam_weight_decay: Some(0.004),
            epsilon: 1e-7,
            exclude_layers: Vec::new(),
            exclude_embeddings: true,
            muon_a: 3.4445,
            muon_b: -4.775,
            muon_c: 2.0315,
            adam_lr_ratio: 1.0,
            momentum: 0.95,
            ns_steps: 5,
            nesterov: true,
            rms_rate: Some(0.2),
        }
    }

    argument_setters! {
        /// How slowly Adam's mean of the gradients forgets.
        adam_beta_1: f64;
        /// How slowly Adam's mean of the squared gradients forgets.
        adam_beta_2: f64;
        /// The weight decay of weights that take Adam's steps, in place of `weight_decay`.
        adam_weight_decay: impl Into<Option<f64>>;
        /// What keeps Adam's division away from 0.
        epsilon: f64;
        /// Whether embeddings take Adam's steps.
        exclude_embeddings: bool;
        /// The factor of x in the iteration.
        muon_a: f64;
        /// The factor of x·xᵀ·x in the iteration.
        muon_b: f64;
        /// The factor of (x·xᵀ)²·x in the iteration.
        muon_c: f64;
        /// Adam's learning rate over Muon's.
        adam_lr_ratio: f64;
        /// How much of the last steps is kept in the next one.
        momentum: f64;
        /// How often the iteration is run.
        ns_steps: u32;
        /// Whether the momentum is Nesterov's.
        nesterov: bool;
        /// What makes steps about as large as Adam's; none leaves the matrix as it is.
        rms_rate: impl Into<Option<f64>>;
    }

    /// Weights of which the path holds one of `names` take Adam's steps: `["output"]`.
    pub fn exclude_layers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.exclude_layers = names.into_iter().map(Into::into).collect();
        self
    }

    settings_setters!();

    fn adam(&self) -> AdamRule {
        AdamRule {
            beta_1: self.adam_beta_1,
            beta_2: self.adam_beta_2,
            epsilon: self.epsilon,
            amsgrad: false,
        }
    }

    /// Whether a weight takes Adam's steps.
    fn takes_adam(&self, weight: &Weight) -> bool {
        let path = weight.path();
        let mut excluded = self.exclude_layers.iter();
        weight.value().rank() != 2
            || (self.exclude_embeddings && path.to_lowercase().contains("embedding"))
            || excluded.any(|name| path.contains(name.as_str()))
    }

    /// Muon's own step, of a matrix.
    fn step(&self, step: Step, weight: &Weight, gradient: &Tensor, momentum: &Var) -> Result<()> {
        let sum = (gradient + (momentum.as_detached_tensor() * self.momentum)?)?;
        momentum.set(&sum)?;
        let direction = if self.nesterov {
            (gradient + (sum * self.momentum)?)?
        } else {
            sum
        };
        let direction = self.orthogonalized(&direction)?;
        let (rows, columns) = direction.dims2()?;
        let size = self
            .rms_rate
            .map_or(1.0, |rate| rate * (rows.max(columns) as f64).sqrt());
        change_weight(weight, &(direction * (step.learning_rate * size))?)
    }

    /// A matrix near the orthogonal one that is nearest to x: its singular values come to about 1.
    fn orthogonalized(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, columns) = x.dims2()?;
        // The product with itself is of the shorter side.
        let tall = rows > columns;
        let x = if tall {
            x.t()?.contiguous()?
        } else {
            x.clone()
        };
        let norm = (x.sqr()?.sum_all()?.sqrt()? + 1e-7)?;
        let mut x = x.broadcast_div(&norm)?;
        for _ in 0..self.ns_steps {
            let squared = x.matmul(&x.t()?)?;
            let of_squared = (&squared * self.muon_b)?;
            let polynomial = (of_squared + (squared.matmul(&squared)? * self.muon_c)?)?;
            x = ((&x * self.muon_a)? + polynomial.matmul(&x)?)?;
        }
        if tall {
            x = x.t()?.contiguous()?;
        }
        Ok(x)
    }
}

impl Optimizer for Muon {
    fn name(&self) -> &str {
        "muon"
    }

    settings_access!("Muon");

    fn weight_decay(&self, weight: &Weight) -> Option<f64> {
        let decay = if self.takes_adam(weight) {
            self.adam_weight_decay
        } else {
            self.settings.weight_decay
        };
        decay.filter(|_| !self.settings.excludes(weight.name()))
    }

    fn slots(&self, weight: &Weight) -> Vec<Slot> {
        if self.takes_adam(weight) {
            return self.adam().slots();
        }
        vec![Slot::zeros("momentum")]
    }

    fn check(&self) -> Result<()> {
        check_fraction("adam_beta_1", self.adam_beta_1, "0.9")?;
        check_fraction("adam_beta_2", self.adam_beta_2, "0.999")?;
        check_fraction("momentum", self.momentum, "0.95")?;
        check_above_zero("epsilon", self.epsilon, "Keras's default is 1e-7")?;
        let decay = self.adam_weight_decay.unwrap_or_default();
        check_at_least_zero("adam_weight_decay", decay, "0.004")?;
        check_at_least_zero("adam_lr_ratio", self.adam_lr_ratio, "1")?;
        check_at_least_zero("rms_rate", self.rms_rate.unwrap_or_default(), "0.2")?;
        for (name, factor) in [
            ("muon_a", self.muon_a),
            ("muon_b", self.muon_b),
            ("muon_c", self.muon_c),
        ] {
            if !factor.is_finite() {
                let advice = "leave it out for Keras's";
                return Err(Error::argument(name, "a finite number", factor, advice));
            }
        }
        Ok(())
    }

    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        if !self.takes_adam(weight) {
            let [momentum] = slots else {
                return Err(other_slots(1, slots));
            };
            return self.step(step, weight, gradient, momentum);
        }
        let step = Step {
            learning_rate: step.learning_rate * self.adam_lr_ratio,
            ..step
        };
        self.adam().update(step, weight, gradient, slots)
    }
}
