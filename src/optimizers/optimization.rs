use super::{Optimizer, Settings, Step};
use crate::{
    Error, Result,
    ops::{self, Change, Gradient},
    weights::Weight,
};
use candle_core::{Tensor, Var};

/// An optimizer at work on weights: its rule, the steps done, and what it keeps of every weight.
///
/// A model has its own; this is for a loop without one.
///
/// ```
/// use candle_keras::optimizers::{Optimization, Sgd};
/// use candle_keras::{prelude::*, weights::Weight};
/// # fn main() -> anyhow::Result<()> {
/// let weights = [Weight::new("w", &Tensor::new(&[3f32, 5.0], &Device::Cpu)?)?];
/// let mut optimization = Optimization::new(Sgd::new(0.5), &weights)?;
/// let gradient = Tensor::new(&[2f32, -2.0], &Device::Cpu)?;
/// optimization.apply(&weights, vec![gradient])?;
/// assert_eq!(weights[0].copy()?.to_vec1::<f32>()?, [2.0, 6.0]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Optimization {
    pub(crate) rule: Box<dyn Optimizer>,
    /// The steps so far, whether they updated or only added to the gradients.
    pub(crate) steps: u64,
    /// For every weight in order, once it has been trained.
    pub(super) kept: Vec<Option<Kept>>,
}

/// What is kept of a weight.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) slots: Vec<Var>,
    /// The moving average of its values.
    pub(super) average: Option<Var>,
    /// The sum of the gradients since the last update.
    pub(super) gradients: Option<Var>,
}

impl Optimization {
    /// `optimizer` at its first step on `weights`.
    ///
    /// # Errors
    /// When an argument is out of range, or candle cannot allocate.
    pub fn new<'a>(
        optimizer: impl Into<Box<dyn Optimizer>>,
        weights: impl IntoIterator<Item = &'a Weight>,
    ) -> Result<Self> {
        let rule = optimizer.into();
        rule.settings().check()?;
        rule.check()?;
        let mut optimization = Self {
            rule,
            steps: 0,
            kept: Vec::new(),
        };
        optimization.prepare(weights)?;
        Ok(optimization)
    }

    /// Makes what is kept of weights that are trained from now on.
    pub(crate) fn prepare<'a>(
        &mut self,
        weights: impl IntoIterator<Item = &'a Weight>,
    ) -> Result<()> {
        for (index, weight) in weights.into_iter().enumerate() {
            if index == self.kept.len() {
                self.kept.push(None);
            }
            if weight.trainable() && self.kept[index].is_none() {
                self.kept[index] = Some(Kept::new(&*self.rule, weight)?);
            }
        }
        Ok(())
    }

    /// One step: every trainable weight by its gradient, both in order.
    ///
    /// # Errors
    /// When there are more or fewer gradients than trainable weights, or candle's operations fail.
    pub fn apply<'a>(
        &mut self,
        weights: impl IntoIterator<Item = &'a Weight>,
        gradients: Vec<Tensor>,
    ) -> Result<()> {
        let weights: Vec<&Weight> = weights.into_iter().collect();
        let count = weights.iter().filter(|weight| weight.trainable()).count();
        if gradients.len() != count {
            let expected = format!("{count}, one for each trainable weight");
            let advice = "give them in the order of the weights";
            return Err(Error::argument(
                "gradients",
                expected,
                gradients.len(),
                advice,
            ));
        }
        self.prepare(weights.iter().copied())?;
        let gradients = gradients.into_iter().map(Gradient::Whole).collect();
        self.update(weights.into_iter(), gradients)
    }

    /// The same with gradients that may be yet to be computed.
    pub(crate) fn update<'a>(
        &mut self,
        weights: impl Iterator<Item = &'a Weight>,
        mut gradients: Vec<Gradient>,
    ) -> Result<()> {
        let kept = weights.zip(&self.kept);
        let kept = kept.filter_map(|(weight, kept)| Some((weight, kept.as_ref()?)));
        let trained: Vec<_> = kept.filter(|(weight, _)| weight.trainable()).collect();
        let settings = self.rule.settings();
        let step = self.steps;
        let ready = if settings.changes_gradients() {
            let whole = gradients
                .iter()
                .map(Gradient::whole)
                .collect::<Result<_>>()?;
            let whole = accumulated(settings, step, &trained, whole)?;
            whole.map(|whole| clipped(settings, whole)).transpose()?
        } else {
            None
        };
        let holds_back = settings.gradient_accumulation_steps.is_some() && ready.is_none();
        if let Some(ready) = ready {
            gradients = ready.into_iter().map(Gradient::Whole).collect();
        }
        if !holds_back {
            self.change(&trained, gradients)?;
        }
        average(settings, step, &trained)?;
        for (weight, _) in &trained {
            if let Some(constraint) = weight.constraint() {
                let constrained = constraint.call(weight.value())?;
                weight.variable().set(&constrained.force_contiguous()?)?;
            }
        }
        self.steps += 1;
        Ok(())
    }

    /// The updates so far.
    pub(super) fn updates(&self) -> u64 {
        let settings = self.rule.settings();
        self.steps / settings.gradient_accumulation_steps.unwrap_or(1)
    }

    /// Weight decay and the rule.
    fn change(&self, trained: &[(&Weight, &Kept)], gradients: Vec<Gradient>) -> Result<()> {
        let settings = self.rule.settings();
        let step = Step {
            number: self.updates() + 1,
            learning_rate: settings.learning_rate(self.steps),
        };
        let changes = trained.iter().zip(gradients);
        let changes = changes.map(|((weight, kept), gradient)| Change {
            weight: weight.variable(),
            slots: &kept.slots,
            gradient,
            decay: self.decay_of(weight, step.learning_rate),
        });
        let mut changes: Vec<_> = changes.collect();
        ops::set_apart(&mut changes)?;
        if changes.iter().all(Change::in_memory)
            && let Some(rule) = self.rule.elementwise(step)
        {
            return ops::update_weights(&changes, &*rule);
        }
        for (change, (weight, _)) in changes.iter().zip(trained) {
            // The gradient first: it may yet be computed from the weight.
            let gradient = change.gradient.whole()?;
            if let Some(decay) = change.decay {
                let decayed = (weight.value() * (1.0 - decay))?;
                change.weight.set(&decayed)?;
            }
            self.rule.update(step, weight, &gradient, change.slots)?;
        }
        Ok(())
    }

    /// The fraction of itself that a weight loses in a step of this learning rate.
    fn decay_of(&self, weight: &Weight, learning_rate: f64) -> Option<f64> {
        let decay = self.rule.weight_decay(weight);
        decay.map(|decay| decay * learning_rate)
    }

    /// Gives the weights their moving averages, where they are kept: the end of a training.
    ///
    /// # Errors
    /// When candle's operations fail.
    pub fn finalize<'a>(&self, weights: impl IntoIterator<Item = &'a Weight>) -> Result<()> {
        let kept = weights.into_iter().zip(&self.kept);
        for (weight, kept) in kept.filter(|(weight, _)| weight.trainable()) {
            if let Some(average) = kept.as_ref().and_then(|kept| kept.average.as_ref()) {
                weight.variable().set(&average.as_detached_tensor())?;
            }
        }
        Ok(())
    }

    /// All tensors that are kept, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Var> {
        self.kept.iter().flatten().flat_map(Kept::variables)
    }

    /// Copies of what is kept of every weight, to go back to.
    pub(crate) fn copies(&self) -> Result<Vec<Option<Vec<Tensor>>>> {
        let copy = |variable: &Var| Ok(variable.as_detached_tensor().force_contiguous()?);
        let kept = self.kept.iter().map(Option::as_ref);
        kept.map(|kept| {
            kept.map(|kept| kept.variables().map(copy).collect())
                .transpose()
        })
        .collect()
    }

    /// Goes back to copies. What has been made since then begins anew, by the values that the
    /// weights have now.
    pub(crate) fn restore<'a>(
        &mut self,
        copies: &[Option<Vec<Tensor>>],
        weights: impl IntoIterator<Item = &'a Weight>,
    ) -> Result<()> {
        for (index, kept) in self.kept.iter_mut().enumerate() {
            match (&*kept, copies.get(index).and_then(Option::as_ref)) {
                (Some(kept), Some(copies)) => {
                    for (variable, copy) in kept.variables().zip(copies) {
                        variable.set(copy)?;
                    }
                }
                _ => *kept = None,
            }
        }
        self.prepare(weights)
    }
}

impl Kept {
    /// All tensors that are kept of the weight, in order.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Var> {
        let others = self.average.iter().chain(&self.gradients);
        self.slots.iter().chain(others)
    }

    pub(super) fn new(rule: &dyn Optimizer, weight: &Weight) -> Result<Self> {
        let value = weight.value();
        let variable = |shape: &[usize], number: f64| -> Result<Var> {
            let zeros = Tensor::zeros(shape, value.dtype(), value.device())?;
            Ok(Var::from_tensor(&(zeros + number)?)?)
        };
        let slots = rule.slots(weight);
        let slots = slots.iter().map(|slot| {
            let shape = slot.shape.as_deref().unwrap_or(value.dims());
            variable(shape, slot.initial)
        });
        let settings = rule.settings();
        // A weight may be trained from a later step on: its average begins with its own value.
        let copy = || -> Result<Var> { Ok(Var::from_tensor(&weight.copy()?)?) };
        let average = settings.use_ema.then(copy);
        let accumulates = settings.gradient_accumulation_steps.is_some();
        let gradients = accumulates.then(|| variable(value.dims(), 0.0));
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            average: average.transpose()?,
            gradients: gradients.transpose()?,
        })
    }
}

/// The mean of the gradients since the last update, if this step makes one; else `None`, and they
/// are added up.
fn accumulated(
    settings: &Settings,
    step: u64,
    trained: &[(&Weight, &Kept)],
    gradients: Vec<Tensor>,
) -> Result<Option<Vec<Tensor>>> {
    let Some(steps) = settings.gradient_accumulation_steps else {
        return Ok(Some(gradients));
    };
    let updates = (step + 1).is_multiple_of(steps);
    let mut means = Vec::with_capacity(gradients.len());
    for ((_, kept), gradient) in trained.iter().zip(gradients) {
        let Some(so_far) = &kept.gradients else {
            continue;
        };
        let sum = (gradient + so_far.as_detached_tensor())?;
        if updates {
            means.push((&sum / steps as f64)?);
            so_far.set(&sum.zeros_like()?)?;
        } else {
            so_far.set(&sum)?;
        }
    }
    Ok(updates.then_some(means))
}

/// Gradients that are no longer, or hold no greater number, than the settings allow.
fn clipped(settings: &Settings, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
    let squares = |gradient: &Tensor| -> candle_core::Result<f64> {
        let sum = gradient.sqr()?.sum_all()?;
        sum.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()
    };
    if let Some(length) = settings.clipnorm {
        let shorten = |gradient: Tensor| {
            let norm = squares(&gradient)?.sqrt();
            // NaN stays NaN, for all numbers of the weight, as in Keras.
            let longest = if norm < length { length } else { norm };
            Ok((gradient * (length / longest))?)
        };
        return gradients.into_iter().map(shorten).collect();
    }
    if let Some(length) = settings.global_clipnorm {
        let mut sum = 0.0;
        for gradient in &gradients {
            sum += squares(gradient)?;
        }
        let norm = f64::sqrt(sum);
        // A norm that is not finite makes every gradient NaN, as in Keras.
        let scale = if norm.is_finite() {
            length * (1.0 / norm).min(1.0 / length)
        } else {
            f64::NAN
        };
        let shorten = |gradient: Tensor| Ok((gradient * scale)?);
        return gradients.into_iter().map(shorten).collect();
    }
    if let Some(value) = settings.clipvalue {
        let clamp = |gradient: Tensor| Ok(gradient.clamp(-value, value)?);
        return gradients.into_iter().map(clamp).collect();
    }
    Ok(gradients)
}

/// Brings the moving averages on, and gives them to the weights where it is time.
fn average(settings: &Settings, step: u64, trained: &[(&Weight, &Kept)]) -> Result<()> {
    let updates = step / settings.gradient_accumulation_steps.unwrap_or(1);
    let momentum = if updates == 0 {
        0.0
    } else {
        settings.ema_momentum
    };
    let overwrites = settings.ema_overwrite_frequency;
    let overwrites = overwrites.is_some_and(|every| (updates + 1).is_multiple_of(every));
    for (weight, kept) in trained {
        let Some(average) = &kept.average else {
            continue;
        };
        let old = (average.as_detached_tensor() * momentum)?;
        average.set(&(old + (weight.value() * (1.0 - momentum))?)?)?;
        if overwrites {
            weight.variable().set(&average.as_detached_tensor())?;
        }
    }
    Ok(())
}
