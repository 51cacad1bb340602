//! Configurations as Keras writes them: an object's class and its arguments, as JSON.
//!
//! Every kind of part (layers, losses, ..) has a table of its classes. From it a part is made by the
//! name of its class, and the tests run over it, so that a class is not added without them.

use crate::{
    Error, Result,
    custom_objects::{Part, maker},
    error::known,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// A part's class and the arguments that it was made with, by Keras's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The class as in Keras: `Dense`.
    pub class_name: String,
    /// The arguments: `{"units": 128, ..}`.
    pub arguments: Map<String, Value>,
    /// Why it cannot be written: what in it has no configuration.
    pub(crate) problem: Option<String>,
    /// Whether the class is the user's, who may call it as one of Keras's is called.
    pub(crate) is_own: bool,
}

impl Config {
    /// The configuration of a part whose fields are the arguments, to be written as a class of this
    /// name: `Scale`, or with the package in which Python registers it, `my>Scale`.
    ///
    /// ```
    /// use candle_keras::Config;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Scale {
    ///     factor: f64,
    /// }
    /// let config = Config::of("Scale", &Scale { factor: 2.0 }).unwrap();
    /// assert_eq!(config.arguments["factor"], 2.0);
    /// ```
    ///
    /// Where a part inside it has none, such as an initializer of the user's own, or its fields have no
    /// names, as in `struct Scale(f64)`, writing it is an error that says so.
    pub fn of(class_name: &str, fields: &impl Serialize) -> Option<Self> {
        let (arguments, problem) = match serde_json::to_value(fields) {
            Ok(Value::Object(arguments)) => (arguments, None),
            Ok(Value::Null) => (Map::new(), None), // a class without fields
            Ok(_) => {
                let problem = format!(
                    "fields without names of `{class_name}`, where `struct {class_name} {{ factor: f64 }}` has them"
                );
                (Map::new(), Some(problem))
            }
            Err(error) => (Map::new(), Some(error.to_string())),
        };
        Some(Self {
            class_name: class_name.to_string(),
            arguments,
            problem,
            is_own: true,
        })
    }

    /// That of a part of the crate, whose class is Keras's.
    pub(crate) fn of_keras(class_name: &str, fields: &impl Serialize) -> Option<Self> {
        let config = Self::of(class_name, fields)?;
        Some(Self {
            is_own: false,
            ..config
        })
    }

    /// The object that Keras writes for it: in `module`, or as a class of the user's own if it is none
    /// of Keras's. A name in lower case is no class, and Keras writes it alone.
    pub(crate) fn object(&self, module: &str, is_keras: bool) -> Value {
        if is_keras && self.class_name.starts_with(char::is_lowercase) {
            return Value::String(self.class_name.clone());
        }
        let class_name = without_package(&self.class_name);
        json!({
            "module": is_keras.then_some(module),
            "class_name": class_name,
            "config": self.arguments,
            "registered_name": (!is_keras).then_some(&self.class_name),
        })
    }
}

/// A class's name without the package in which Python registers it: `Scale` of `my>Scale`.
pub(crate) fn without_package(class_name: &str) -> &str {
    class_name.rsplit('>').next().unwrap_or(class_name)
}

/// What an object of Keras's says of a part. A bare name stands for the class with its defaults.
struct Written<'a> {
    /// The class, with its package if it is registered in one.
    class_name: &'a str,
    arguments: Map<String, Value>,
    /// Whether the class is somebody's own, whatever it is called.
    is_own: bool,
    /// Whether it is in a module of Keras's.
    is_of_keras: bool,
}

/// Whether an object says that its class is in a module of Keras's.
fn is_of_keras(object: &Map<String, Value>) -> bool {
    let module = object.get("module").and_then(Value::as_str);
    module.is_some_and(|module| module == "keras" || module.starts_with("keras."))
}

/// The name of somebody's own class in Keras's object: no module of Keras's has it.
pub(crate) fn own_name(object: &Map<String, Value>) -> Option<&str> {
    let text = |key| object.get(key).and_then(Value::as_str);
    text("registered_name").filter(|_| !is_of_keras(object))
}

impl<'a> Written<'a> {
    fn parse(value: &'a Value) -> Option<Self> {
        let plain = |name| Self {
            class_name: name,
            arguments: Map::new(),
            is_own: false,
            is_of_keras: false,
        };
        let object = match value {
            Value::String(name) => return Some(plain(name)),
            value => value.as_object()?,
        };
        let class_name = object.get("class_name")?.as_str()?;
        let arguments = match object.get("config") {
            // A function of Python's.
            Some(Value::String(name)) if class_name == "function" => return Some(plain(name)),
            config => config.and_then(Value::as_object).cloned(),
        };
        let own = own_name(object);
        Some(Self {
            class_name: own.unwrap_or(class_name),
            arguments: arguments.unwrap_or_default(),
            is_own: own.is_some(),
            is_of_keras: is_of_keras(object),
        })
    }
}

/// A class in the table of its kind.
pub struct Entry<P: ?Sized> {
    /// The class as in Keras: `Dense`.
    pub class_name: &'static str,
    /// Other names that Keras knows it by: `dense`, `mse`.
    pub aliases: &'static [&'static str],
    /// Makes one from its arguments; those that are left out get their defaults.
    pub make: fn(&Map<String, Value>) -> Result<Box<P>>,
}

/// The names of every class of the crate, by kind: `("loss", ["MeanSquaredError", ..])`.
pub fn catalogue() -> Vec<(&'static str, Vec<&'static str>)> {
    fn names<P: ?Sized>(table: &[Entry<P>]) -> Vec<&'static str> {
        table.iter().map(|entry| entry.class_name).collect()
    }
    vec![
        ("layer", names(crate::layers::LAYERS)),
        ("loss", names(crate::losses::LOSSES)),
        ("metric", names(crate::metrics::METRICS)),
        ("optimizer", names(crate::optimizers::OPTIMIZERS)),
        ("schedule", names(crate::optimizers::schedules::SCHEDULES)),
        ("initializer", names(crate::initializers::INITIALIZERS)),
        ("regularizer", names(crate::regularizers::REGULARIZERS)),
        ("constraint", names(crate::constraints::CONSTRAINTS)),
    ]
}

/// A part as its configuration describes it: Keras's object, or a class's name alone.
pub(crate) fn make<P: Part + ?Sized>(
    kind: &'static str,
    table: &[Entry<P>],
    value: &Value,
) -> Result<Box<P>> {
    let Some(Written {
        class_name,
        arguments,
        is_own,
        is_of_keras,
    }) = Written::parse(value)
    else {
        return Err(Error::argument(
            kind,
            "a class's name, or an object with class_name and config",
            value,
            "write it as Keras does",
        ));
    };
    let called =
        |entry: &&Entry<P>| entry.class_name == class_name || entry.aliases.contains(&class_name);
    let entry = table.iter().find(called);
    // One of the user's own of the same name does not take the place of Keras's.
    let own = maker::<P>(class_name).filter(|_| !is_of_keras || entry.is_none());
    if let Some(make) = own {
        return make(&arguments).map_err(|error| Error::of_part(kind, class_name, error));
    }
    if is_own || class_name.contains('>') {
        let expected = "a class of Keras's or of CustomObjects";
        let advice = format!("give it to CustomObjects by `{kind}`");
        return Err(Error::argument(kind, expected, class_name, advice));
    }
    let Some(entry) = entry else {
        let known = known(table.iter().map(|entry| entry.class_name));
        return Err(Error::Unknown {
            kind,
            name: class_name.to_string(),
            known: format!("what is given to CustomObjects by `{kind}`, or one of {known}"),
        });
    };
    (entry.make)(&arguments).map_err(|error| Error::of_part(kind, entry.class_name, error))
}

/// An error unless an argument that is unknown here says nothing: Keras writes them all the same.
fn check_without_effect(name: &str, value: &Value, known_here: &Map<String, Value>) -> Result<()> {
    let refused =
        |expected: &str, advice: &str| Err(Error::argument(name, expected, value, advice));
    match name {
        // A name or a seed of a part that has none here: the model's seed draws all. A loss is not
        // scaled, as f32 needs none.
        "name" | "seed" | "loss_scale_factor" => Ok(()),
        // Metrics of labels are whole numbers in Keras.
        "dtype" if value.is_null() => Ok(()),
        "dtype" if matches!(type_name(value), Some("float32" | "int32" | "int64")) => Ok(()),
        "dtype" => refused(
            "float32",
            "Sequential::dtype sets the type of a model's numbers",
        ),
        // Which axes of a weight count as its inputs and outputs is told by their order.
        "input_axes" | "output_axes" | "quantization_config" => {
            if value.is_null() {
                return Ok(());
            }
            refused("null", "leave it out: it is not supported")
        }
        _ => Err(Error::Unknown {
            kind: "argument",
            name: name.to_string(),
            known: known(known_here.keys().map(String::as_str)),
        }),
    }
}

/// The name of a type of numbers: alone, or in Keras's object of a policy.
pub(crate) fn type_name(dtype: &Value) -> Option<&str> {
    let policy = dtype.get("config").and_then(|config| config.get("name"));
    policy.unwrap_or(dtype).as_str()
}

/// A part of `given` arguments, where those of `defaults` stand in for what was left out; what is
/// `required` cannot be.
pub(crate) fn filled<T: Serialize + DeserializeOwned>(
    defaults: &T,
    required: &[&str],
    given: &Map<String, Value>,
) -> Result<T> {
    let defaults = Config::of("", defaults);
    let mut arguments = defaults.map_or_else(Map::new, |config| config.arguments);
    for (name, value) in given {
        if arguments.contains_key(name) {
            arguments.insert(name.clone(), value.clone());
        } else {
            check_without_effect(name, value, &arguments)?;
        }
    }
    if let Some(missing) = required.iter().find(|name| !given.contains_key(**name)) {
        let advice = "it has no default";
        return Err(Error::argument(*missing, "a value", "none", advice));
    }
    let fields = if arguments.is_empty() {
        Value::Null
    } else {
        Value::Object(arguments)
    };
    serde_json::from_value(fields).map_err(|error| {
        let advice = "write the arguments as Keras does";
        Error::argument("config", "arguments of the class's types", error, advice)
    })
}

/// The lines of a table: `table![dyn Loss: MeanSquaredError = MeanSquaredError::new(), "mse"; ..]`
/// gives each class with its defaults, the arguments that it must be given in brackets, and its
/// other names.
macro_rules! table {
    ($part:ty: $($class:ident = $default:expr $(, [$($required:literal),*])? $(, $alias:literal)*;)+) => {
        &[$(crate::config::Entry {
            class_name: stringify!($class),
            aliases: &[$($alias),*],
            make: |given| {
                let required: &[&str] = &[$($($required),*)?];
                let made: $class = crate::config::filled(&$default, required, given)?;
                Ok(Box::new(made) as Box<$part>)
            },
        }),+]
    };
}
pub(crate) use table;

/// `Serialize` and `Deserialize` for a boxed part inside another one, by the table of its kind.
macro_rules! serde_of_part {
    ($part:ident, $kind:literal, $module:literal, $table:expr) => {
        impl serde::Serialize for dyn $part {
            fn serialize<S: serde::Serializer>(
                &self,
                to: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                let Some(config) = self.config() else {
                    let problem = format!("none of the {} {self:?}", $kind);
                    return Err(serde::ser::Error::custom(problem));
                };
                if let Some(problem) = config.problem {
                    return Err(serde::ser::Error::custom(problem));
                }
                let mut classes = $table.iter().map(|entry| entry.class_name);
                let is_keras = !config.is_own && classes.any(|name| name == config.class_name);
                config.object($module, is_keras).serialize(to)
            }
        }

        impl<'de> serde::Deserialize<'de> for Box<dyn $part> {
            fn deserialize<D: serde::Deserializer<'de>>(
                from: D,
            ) -> std::result::Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(from)?;
                crate::config::make($kind, $table, &value).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_of_part;

/// `Serialize` and `Deserialize` for a part that several own.
pub(crate) mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub(crate) fn serialize<P: ?Sized + Serialize, S: Serializer>(
        part: &Option<Arc<P>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        part.as_deref().serialize(to)
    }

    pub(crate) fn deserialize<'de, P: ?Sized, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<P>>, D::Error>
    where
        Box<P>: Deserialize<'de>,
    {
        Ok(Option::<Box<P>>::deserialize(from)?.map(Arc::from))
    }
}
