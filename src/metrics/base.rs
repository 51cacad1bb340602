use serde::{Deserialize, Serialize};

/// What every metric of the crate takes besides its own arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) name: String,
}

impl Base {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
        }
    }
}

/// The setter of [`Base`] on a metric with a field `base`.
macro_rules! metric_setters {
    () => {
        /// The name in logs and history, in place of the metric's own.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.base.name = name.into();
            self
        }
    };
}
pub(super) use metric_setters;

/// The methods of [`Metric`](super::Metric) for a field `base`: name, direction and configuration.
macro_rules! metric_access {
    ($class_name:expr, $direction:expr) => {
        fn name(&self) -> &str {
            &self.base.name
        }

        fn direction(&self) -> Option<crate::metrics::Direction> {
            $direction
        }

        fn config(&self) -> Option<crate::Config> {
            crate::Config::of_keras($class_name, self)
        }
    };
}
pub(super) use metric_access;

/// The default of metrics that need no argument: what `new` makes.
macro_rules! default_is_new {
    ($($class:ident)+) => {$(
        impl Default for $class {
            fn default() -> Self {
                Self::new()
            }
        }
    )+};
}
pub(super) use default_is_new;
