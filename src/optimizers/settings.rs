use super::{
    check_at_least_zero,
    schedules::{LearningRate, Schedule},
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The settings that are one value each, for a macro that makes a setter of each.
macro_rules! shared_settings {
    ($setters:path) => {
        $setters! {
            /// Takes `weight_decay`·learning rate of every weight off it before each update.
            weight_decay: f64;
            /// Shortens the gradient of each weight to this length, if it is longer.
            clipnorm: f64;
            /// Shortens all gradients together to this length, if it is longer.
            global_clipnorm: f64;
            /// Brings every number of a gradient within ± this value.
            clipvalue: f64;
            /// Whether a moving average of each weight is kept, which the weights become at the end
            /// of `fit`.
            use_ema: bool;
            /// How slowly the moving average forgets; 0.99 by default.
            ema_momentum: f64;
            /// Gives the weights their moving average every so many steps.
            ema_overwrite_frequency: u64;
            /// Updates once in so many steps, by the mean of their gradients.
            gradient_accumulation_steps: u64;
        }
    };
}
pub(super) use shared_settings;

/// A setter for each argument of an optimizer's rule that is a field.
macro_rules! argument_setters {
    ($($(#[$doc:meta])* $name:ident: $value:ty;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $value) -> Self {
                self.$name = $name.into();
                self
            }
        )+
    };
}
pub(super) use argument_setters;

/// A setter for each of the settings that an optimizer holds in its field `settings`.
macro_rules! setters_of_settings {
    ($($(#[$doc:meta])* $name:ident: $value:ty;)+) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: $value) -> Self {
                self.settings = self.settings.$name($name);
                self
            }
        )+
    };
}
pub(super) use setters_of_settings;

/// The setters of [`Settings`] on an optimizer with a field `settings`.
macro_rules! settings_setters {
    () => {
        crate::optimizers::settings::shared_settings!(
            crate::optimizers::settings::setters_of_settings
        );

        /// Leaves weights out of the weight decay of which the path, such as `dense/bias`, holds
        /// one of `names`: `["bias"]`.
        pub fn exclude_from_weight_decay<N: Into<String>>(
            mut self,
            names: impl IntoIterator<Item = N>,
        ) -> Self {
            self.settings = self.settings.exclude_from_weight_decay(names);
            self
        }
    };
}
pub(super) use settings_setters;

/// What every optimizer takes besides the arguments of its rule.
///
/// # Defaults
/// No weight decay, no clipping, no averaging, an update in every step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    learning_rate: LearningRate,
    pub(super) weight_decay: Option<f64>,
    pub(super) clipnorm: Option<f64>,
    pub(super) global_clipnorm: Option<f64>,
    pub(super) clipvalue: Option<f64>,
    pub(super) use_ema: bool,
    pub(super) ema_momentum: f64,
    pub(super) ema_overwrite_frequency: Option<u64>,
    pub(super) gradient_accumulation_steps: Option<u64>,
    /// The names of `exclude_from_weight_decay`, which is no argument of Keras's classes.
    #[serde(skip)]
    pub(crate) excluded: Vec<String>,
}

impl Settings {
    /// A learning rate, fixed or by a schedule, and Keras's defaults.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            learning_rate: learning_rate.into(),
            weight_decay: None,
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
            use_ema: false,
            ema_momentum: 0.99,
            ema_overwrite_frequency: None,
            gradient_accumulation_steps: None,
            excluded: Vec::new(),
        }
    }

    /// The learning rate in step `step`, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.learning_rate.at(step)
    }

    /// The schedule of the learning rate, if it has one.
    pub fn schedule(&self) -> Option<&dyn Schedule> {
        self.learning_rate.schedule()
    }

    /// Changes a learning rate that no schedule decides.
    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        if self.schedule().is_some() {
            let advice = "compile with a number as the learning rate to change it";
            let expected = "an optimizer whose learning rate is a number";
            return Err(Error::argument(
                "learning_rate",
                expected,
                "a schedule",
                advice,
            ));
        }
        self.learning_rate = learning_rate.into();
        Ok(())
    }

    /// Leaves weights out of the weight decay of which the path, such as `dense/bias`, holds one of
    /// `names`: `["bias"]`.
    pub fn exclude_from_weight_decay<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.excluded = names.into_iter().map(Into::into).collect();
        self
    }

    shared_settings!(argument_setters);

    /// Whether a weight of this path is left out of the weight decay.
    pub fn excludes(&self, path: &str) -> bool {
        self.excluded
            .iter()
            .any(|part| path.contains(part.as_str()))
    }

    /// Whether gradients are changed before the rule gets them.
    pub(super) fn changes_gradients(&self) -> bool {
        let clips = [self.clipnorm, self.global_clipnorm, self.clipvalue];
        clips.iter().any(Option::is_some) || self.gradient_accumulation_steps.is_some()
    }

    /// An error when an argument is out of range.
    pub(super) fn check(&self) -> Result<()> {
        self.learning_rate.check()?;
        let clips = [
            ("clipnorm", self.clipnorm),
            ("global_clipnorm", self.global_clipnorm),
            ("clipvalue", self.clipvalue),
        ];
        let mut given = clips
            .iter()
            .filter_map(|(name, clip)| Some((*name, (*clip)?)));
        if let Some((name, clip)) = given.next() {
            check_above_zero(name, clip, "1.0 is usual")?;
            if let Some((other, _)) = given.next() {
                let advice = "choose one of clipnorm, global_clipnorm and clipvalue";
                let got = format!("{name} and {other}");
                return Err(Error::argument("clipping", "one kind", got, advice));
            }
        }
        if let Some(decay) = self.weight_decay {
            check_at_least_zero("weight_decay", decay, "0.004")?;
        }
        if !(0.0..=1.0).contains(&self.ema_momentum) {
            let (expected, advice) = ("a number from 0 to 1", "0.99 is Keras's default");
            return Err(Error::argument(
                "ema_momentum",
                expected,
                self.ema_momentum,
                advice,
            ));
        }
        for (name, steps, least) in [
            ("ema_overwrite_frequency", self.ema_overwrite_frequency, 1),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
                2,
            ),
        ] {
            if let Some(steps) = steps.filter(|steps| *steps < least) {
                let expected = format!("at least {least}");
                return Err(Error::argument(
                    name,
                    expected,
                    steps,
                    "leave it out for none",
                ));
            }
        }
        Ok(())
    }
}

/// An error unless `value` is a finite number above 0.
pub(super) fn check_above_zero(argument: &str, value: f64, advice: &str) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        "a finite number above 0",
        value,
        advice,
    ))
}

/// The two methods of [`Optimizer`](super::Optimizer) for a field `settings`, and its configuration.
macro_rules! settings_access {
    ($class_name:literal) => {
        fn settings(&self) -> &crate::optimizers::Settings {
            &self.settings
        }

        fn settings_mut(&mut self) -> &mut crate::optimizers::Settings {
            &mut self.settings
        }

        fn config(&self) -> Option<crate::Config> {
            crate::Config::of_keras($class_name, self)
        }
    };
}
pub(super) use settings_access;
