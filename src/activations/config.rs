//! Activations as configuration: Keras's names and arguments.

use super::ActivationFunction::{
    self, Celu, Elu, Gelu, HardShrink, HardSilu, LeakyRelu, Linear, Relu, ReluWith, Silu,
    SoftShrink, Squareplus, Threshold,
};
use crate::error::known;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use serde_json::{Map, Value};

/// Names that Keras takes as well, and what it calls them itself.
const ALIASES: [(&str, ActivationFunction); 2] = [("swish", Silu), ("hard_swish", HardSilu)];

/// A parameter as Keras calls it.
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) value: Parameter,
    pub(super) default: Parameter,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Parameter {
    Number(f64),
    Limit(Option<f64>),
    Flag(bool),
}

impl Parameter {
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Limit(limit) => limit,
            Self::Flag(_) => None,
        }
    }
}

impl ActivationFunction {
    /// Its parameters, with Keras's defaults.
    pub(super) fn arguments(&self) -> Vec<Argument> {
        let argument = |name, value, default| Argument {
            name,
            value,
            default,
        };
        let number = |name, value, default| {
            argument(name, Parameter::Number(value), Parameter::Number(default))
        };
        match *self {
            LeakyRelu { negative_slope } => vec![number("negative_slope", negative_slope, 0.2)],
            ReluWith {
                negative_slope,
                max_value,
                threshold,
            } => vec![
                number("negative_slope", negative_slope, 0.0),
                argument(
                    "max_value",
                    Parameter::Limit(max_value),
                    Parameter::Limit(None),
                ),
                number("threshold", threshold, 0.0),
            ],
            Elu { alpha } | Celu { alpha } => vec![number("alpha", alpha, 1.0)],
            Gelu { approximate } => {
                let flag = Parameter::Flag;
                vec![argument("approximate", flag(approximate), flag(false))]
            }
            Squareplus { b } => vec![number("b", b, 4.0)],
            SoftShrink { threshold } | HardShrink { threshold } => {
                vec![number("threshold", threshold, 0.5)]
            }
            Threshold {
                threshold,
                default_value,
            } => vec![
                number("threshold", threshold, 1.0),
                number("default_value", default_value, 0.0),
            ],
            _ => Vec::new(),
        }
    }

    /// The function of that name, with Keras's defaults.
    fn named(name: &str) -> Result<Self, String> {
        let all = Self::ALL
            .iter()
            .map(|function| (function.name(), *function));
        let mut all = all.chain(ALIASES);
        match all.clone().find(|(known, _)| *known == name) {
            Some((_, function)) => Ok(function),
            None => {
                let known = known(all.by_ref().map(|(name, _)| name));
                Err(format!("there is no activation `{name}`: {known}"))
            }
        }
    }

    /// The function of that name with arguments; those left out have Keras's defaults.
    fn with_arguments(name: &str, arguments: &Map<String, Value>) -> Result<Self, String> {
        let mut function = match Self::named(name)? {
            Relu if !arguments.is_empty() => ReluWith {
                negative_slope: 0.0,
                max_value: None,
                threshold: 0.0,
            },
            function => function,
        };
        for (argument, value) in arguments {
            function.set(argument, value)?;
        }
        Ok(match function {
            ReluWith { .. } if function.is_default() => Relu,
            function => function,
        })
    }

    /// Sets the parameter that Keras calls `argument`.
    fn set(&mut self, argument: &str, value: &Value) -> Result<(), String> {
        let function = self.name();
        let number = || {
            value.as_f64().ok_or_else(|| {
                format!("`{argument}` of {function}: expected a number, got {value}")
            })
        };
        match (&mut *self, argument) {
            (LeakyRelu { negative_slope } | ReluWith { negative_slope, .. }, "negative_slope") => {
                *negative_slope = number()?;
            }
            (ReluWith { max_value, .. }, "max_value") => {
                *max_value = if value.is_null() {
                    None
                } else {
                    Some(number()?)
                };
            }
            (
                ReluWith { threshold, .. }
                | SoftShrink { threshold }
                | HardShrink { threshold }
                | Threshold { threshold, .. },
                "threshold",
            ) => *threshold = number()?,
            (Threshold { default_value, .. }, "default_value") => *default_value = number()?,
            (Elu { alpha } | Celu { alpha }, "alpha") => *alpha = number()?,
            (Squareplus { b }, "b") => *b = number()?,
            (Gelu { approximate }, "approximate") => {
                *approximate = value.as_bool().ok_or_else(|| {
                    format!("`approximate` of gelu: expected true or false, got {value}")
                })?;
            }
            _ => {
                let arguments = self.arguments();
                let known = known(arguments.iter().map(|argument| argument.name));
                return Err(format!("{function} has no argument `{argument}`: {known}"));
            }
        }
        Ok(())
    }

    fn is_default(&self) -> bool {
        let arguments = self.arguments();
        arguments
            .iter()
            .all(|argument| argument.value == argument.default)
    }
}

impl Serialize for ActivationFunction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_default() {
            return serializer.serialize_str(self.name());
        }
        struct Arguments(Vec<Argument>);
        impl Serialize for Arguments {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(
                    self.0
                        .iter()
                        .map(|argument| (argument.name, argument.value)),
                )
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("class_name", self.name())?;
        map.serialize_entry("config", &Arguments(self.arguments()))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ActivationFunction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let none = Map::new();
        let value = Value::deserialize(deserializer)?;
        let (name, arguments) = match &value {
            Value::Null => return Ok(Linear),
            Value::String(name) => (name.as_str(), &none),
            Value::Object(object) => match (&object.get("class_name"), object.get("config")) {
                (Some(Value::String(name)), Some(Value::Object(config))) => (name.as_str(), config),
                (Some(Value::String(name)), None | Some(Value::Null)) => (name.as_str(), &none),
                _ => return Err(D::Error::custom(misshaped(&value))),
            },
            _ => return Err(D::Error::custom(misshaped(&value))),
        };
        Self::with_arguments(name, arguments).map_err(D::Error::custom)
    }
}

fn misshaped(value: &Value) -> String {
    format!(
        "expected an activation's name or {{\"class_name\": name, \"config\": {{arguments}}}}, got {value}"
    )
}
