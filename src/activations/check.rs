//! Whether an activation's parameters make sense.

use super::{
    ActivationFunction::{self, Celu, ReluWith, Squareplus},
    config::Argument,
};
use crate::{Error, Result};

impl ActivationFunction {
    /// An error when a parameter is not finite, or the function is none with it.
    pub(crate) fn check(&self) -> Result<()> {
        for Argument {
            name,
            value,
            default,
        } in self.arguments()
        {
            let Some(value) = value.number() else {
                continue;
            };
            let advice = match default.number() {
                Some(default) => format!("Keras's default is {default}"),
                None => "Keras has no limit by default".to_string(),
            };
            if !value.is_finite() {
                return Err(Error::argument(name, "a finite number", value, advice));
            }
            if let Some(expected) = self.refuses(name, value) {
                return Err(Error::argument(name, expected, value, advice));
            }
        }
        Ok(())
    }

    /// What is expected in place of a finite `value`, if that does not do.
    fn refuses(&self, name: &str, value: f64) -> Option<&'static str> {
        match self {
            Celu { .. } if value == 0.0 => Some("a number other than 0, by which x is divided"),
            Squareplus { .. } if value < 0.0 => Some("at least 0, as √(x² + b) is taken"),
            ReluWith { .. } if name == "max_value" && value < 0.0 => Some("at least 0"),
            // As in Keras, every other finite number does.
            _ => None,
        }
    }
}
