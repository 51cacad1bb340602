use serde::{Deserialize, Serialize};

/// What every layer of the crate takes besides its own arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) name: Option<String>,
    pub(super) trainable: bool,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            name: None,
            trainable: true,
        }
    }
}

/// The setters of [`Base`] on a layer with a field `base`.
macro_rules! layer_setters {
    () => {
        /// The layer's name, in place of that of its class in snake case, numbered: `dense`,
        /// `dense_1`.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.base.name = Some(name.into());
            self
        }

        /// Whether training changes the layer's weights; it does by default.
        pub fn trainable(mut self, trainable: bool) -> Self {
            self.base.trainable = trainable;
            self
        }
    };
}
pub(super) use layer_setters;

/// The methods of [`Layer`](super::Layer) for a field `base`, and its class and configuration.
macro_rules! layer_access {
    ($class_name:literal) => {
        fn class_name(&self) -> &str {
            $class_name
        }

        fn given_name(&self) -> Option<&str> {
            self.base.name.as_deref()
        }

        fn is_trainable(&self) -> bool {
            self.base.trainable
        }

        fn config(&self) -> Option<crate::Config> {
            crate::Config::of_keras($class_name, self)
        }
    };
}
pub(super) use layer_access;
