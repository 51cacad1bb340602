//! Activations as configuration: Keras's names and arguments.

use super::ActivationFunction::{
    self, Celu, Elu, Gelu, HardShrink, HardSilu, LeakyRelu, Linear, Relu, ReluWith, Silu,
    SoftShrink, Softmax, Squareplus, Threshold,
};
use crate::{config::own_name, error::known};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

/// Names that Keras takes as well, and what it calls them itself.
const ALIASES: [(&str, ActivationFunction); 2] = [("swish", Silu), ("hard_swish", HardSilu)];

/// `relu` with its arguments, as Keras's layer `ReLU` begins with them.
const RELU: ActivationFunction = ReluWith {
    negative_slope: 0.0,
    max_value: None,
    threshold: 0.0,
};

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
                Err(format!(
                    "there is no activation `{name}`: {known}; one of your own is a layer"
                ))
            }
        }
    }

    /// The function of that name with arguments; those left out have Keras's defaults.
    fn with_arguments(name: &str, arguments: &Map<String, Value>) -> Result<Self, String> {
        let mut function = match Self::named(name)? {
            Relu if !arguments.is_empty() => RELU,
            function => function,
        };
        for (argument, value) in arguments {
            function.set(argument, value)?;
        }
        Ok(function.plain())
    }

    /// The function of a configuration: a name, or an object of a function or of a layer. It is read
    /// as it lies, since layers can lie in each other.
    fn read(value: &Value) -> Result<Self, String> {
        let none = Map::new();
        let misshaped = || misshaped(value);
        let object = match value {
            Value::Null => return Ok(Linear),
            Value::String(name) => return Self::named(name),
            value => value.as_object().ok_or_else(misshaped)?,
        };
        let class_name = object.get("class_name").and_then(Value::as_str);
        let class_name = class_name.ok_or_else(misshaped)?;
        let config = match object.get("config") {
            // A function of Python's.
            Some(Value::String(name)) if class_name == "function" => return Self::named(name),
            Some(Value::Object(config)) => config,
            None | Some(Value::Null) => &none,
            _ => return Err(misshaped()),
        };
        if class_name.starts_with(char::is_uppercase) {
            return Self::of_layer(own_name(object).unwrap_or(class_name), config);
        }
        Self::with_arguments(class_name, config)
    }

    /// The function that a layer of Keras's is.
    fn of_layer(class_name: &str, config: &Map<String, Value>) -> Result<Self, String> {
        let mut function = match class_name {
            "Activation" => Linear,
            "ReLU" => RELU,
            "LeakyReLU" => LeakyRelu {
                negative_slope: 0.3,
            },
            "ELU" => Elu { alpha: 1.0 },
            "Softmax" => Softmax,
            _ => {
                return Err(format!(
                    "`activation`: expected a function, or a layer that is one (Activation, ReLU, \
                     LeakyReLU, ELU, Softmax), got the layer {class_name}: put it behind this one"
                ));
            }
        };
        for (argument, value) in config {
            match (class_name, argument.as_str()) {
                (_, "name" | "trainable" | "dtype") => {}
                ("Activation", "activation") => function = Self::read(value)?,
                ("Activation", _) => {
                    return Err(format!("Activation has no argument `{argument}`"));
                }
                ("Softmax", "axis") if *value == json!(-1) || *value == json!([-1]) => {}
                ("Softmax", "axis") => {
                    return Err(format!(
                        "`axis` of the activation Softmax: expected -1, the last one, got {value}: \
                         put the layer behind this one"
                    ));
                }
                _ => function.set(argument, value)?,
            }
        }
        if matches!(class_name, "ReLU" | "LeakyReLU") && function.layer().is_none() {
            return Err(format!(
                "the activation {class_name}: expected a slope and a threshold of at least 0, got {}",
                Value::from(config.clone())
            ));
        }
        Ok(function.plain())
    }

    /// The layer of Keras's that takes these arguments, which no function of Keras's has in a file.
    fn layer(&self) -> Option<&'static str> {
        match *self {
            // Keras's layers take no slope and no threshold below 0.
            ReluWith {
                negative_slope,
                threshold,
                ..
            } if negative_slope >= 0.0 && threshold >= 0.0 => Some("ReLU"),
            LeakyRelu { negative_slope } if negative_slope >= 0.0 => Some("LeakyReLU"),
            Elu { .. } => Some("ELU"),
            _ => None,
        }
    }

    /// `Relu` for one whose arguments say nothing.
    fn plain(self) -> Self {
        match self {
            ReluWith { .. } if self.is_default() => Relu,
            function => function,
        }
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
        let arguments = self.arguments();
        let values = arguments
            .iter()
            .map(|argument| (argument.name, json!(argument.value)));
        let config: Map<String, Value> = values
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        let object = match self.layer() {
            Some(class_name) => json!({
                "module": "keras.layers",
                "class_name": class_name,
                "config": config,
                "registered_name": null,
            }),
            None => json!({"class_name": self.name(), "config": config}),
        };
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ActivationFunction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn misshaped(value: &Value) -> String {
    format!(
        "expected an activation's name or {{\"class_name\": name, \"config\": {{arguments}}}}, got {value}"
    )
}
