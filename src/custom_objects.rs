//! What is the user's own in a file.

use crate::{
    Error, Result, config::without_package, constraints::Constraint, initializers::Initializer,
    layers::Layer, losses::Loss, metrics::Metric, optimizers::Optimizer,
    optimizers::schedules::Schedule, regularizers::Regularizer,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::HashMap, fmt};

/// Makes a part from the arguments in a file.
pub(crate) type Make<P> = fn(&Map<String, Value>) -> Result<Box<P>>;

/// A kind of parts, such as `dyn Layer`.
pub(crate) trait Part {
    /// What makes those of the user's own, by their classes.
    fn makers(custom: &CustomObjects) -> &HashMap<String, Make<Self>>;
}

thread_local! {
    /// Those of the file that this thread reads. Parts lie inside each other, an initializer in a
    /// layer, and serde hands nothing down to them.
    static CURRENT: RefCell<CustomObjects> = RefCell::default();
}

/// Parts of your own, which a file names by their classes: layers, initializers, regularizers,
/// constraints, losses, metrics, optimizers and schedules.
///
/// A part of your own is written to a file by its `config`; here stands how it is made of it again,
/// wherever it stands in the file.
///
/// ```
/// use candle_keras::{CustomObjects, Config, initializers::Initializer, prelude::*, seed::Stream};
/// use candle_keras::layers::{Layer, Pass};
/// use serde::{Deserialize, Serialize};
///
/// /// Multiplies by a factor.
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Times {
///     factor: f64,
/// }
///
/// impl Layer for Times {
///     fn class_name(&self) -> &str {
///         "Times"
///     }
///     fn output_shape(&self, input_shape: &[usize]) -> candle_keras::Result<Vec<usize>> {
///         Ok(input_shape.to_vec())
///     }
///     fn forward(&self, inputs: &Tensor, _: &mut Pass) -> candle_keras::Result<Tensor> {
///         Ok((inputs * self.factor)?)
///     }
///     fn config(&self) -> Option<Config> {
///         Config::of("Times", self)
///     }
/// }
///
/// /// Numbers from `first` on.
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Counting {
///     first: f32,
/// }
///
/// impl Initializer for Counting {
///     fn values(&self, shape: &[usize], _: &mut Stream) -> candle_keras::Result<Vec<f32>> {
///         let count: usize = shape.iter().product();
///         Ok((0..count).map(|index| self.first + index as f32).collect())
///     }
///     fn config(&self) -> Option<Config> {
///         Config::of("Counting", self)
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("times.keras");
/// let dense = Dense::new(1).kernel_initializer(Counting { first: 1.0 });
/// let network = Sequential::new().add(Input::new(2)).add(dense).add(Times { factor: 3.0 });
/// network.build(&Device::Cpu)?.save(&path)?;
/// let custom = CustomObjects::new().layer::<Times>("Times").initializer::<Counting>("Counting");
/// let model = Sequential::load_with(&path, &Device::Cpu, &custom)?;
/// let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[9.0]]); // 3·(1·1 + 1·2)
/// # Ok(()) }
/// ```
///
/// # Classes of Keras's
/// A class that Python registers by `@keras.saving.register_keras_serializable(package="my")` is
/// `my>Times` in a file. `"Times"` finds it, and so does `"my>Times"`, which goes before. It is
/// written under that name again if its `config` has it: `Config::of("my>Times", self)`.
///
/// Keras: `custom_objects`.
#[derive(Clone, Default)]
pub struct CustomObjects {
    layers: HashMap<String, Make<dyn Layer>>,
    losses: HashMap<String, Make<dyn Loss>>,
    metrics: HashMap<String, Make<dyn Metric>>,
    optimizers: HashMap<String, Make<dyn Optimizer>>,
    schedules: HashMap<String, Make<dyn Schedule>>,
    initializers: HashMap<String, Make<dyn Initializer>>,
    regularizers: HashMap<String, Make<dyn Regularizer>>,
    constraints: HashMap<String, Make<dyn Constraint>>,
}

impl CustomObjects {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What `read` gives, where all that it reads by serde on this thread is made by these.
    pub(crate) fn scope<R>(&self, read: impl FnOnce() -> R) -> R {
        /// Puts those from before back, after a panic as well.
        struct Before(CustomObjects);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(std::mem::take(&mut self.0));
            }
        }
        let _before = Before(CURRENT.replace(self.clone()));
        read()
    }
}

/// What makes a part of this class, in the file that this thread reads: by its whole name, or by the
/// one without the package.
pub(crate) fn maker<P: Part + ?Sized>(class_name: &str) -> Option<Make<P>> {
    CURRENT.with_borrow(|custom| {
        let makers = P::makers(custom);
        let found = makers
            .get(class_name)
            .or(makers.get(without_package(class_name)));
        found.copied()
    })
}

/// A class whose fields are the arguments.
fn of_fields<T: DeserializeOwned>(arguments: &Map<String, Value>) -> Result<T> {
    let made = serde_json::from_value(Value::Object(arguments.clone()));
    // One without fields is null in JSON.
    let made = made.or_else(|error| serde_json::from_value(Value::Null).map_err(|_| error));
    made.map_err(|error| {
        let advice = "its fields are the arguments that the file holds";
        Error::argument("config", "arguments of the class's types", error, advice)
    })
}

/// The methods of each kind.
macro_rules! kinds {
    ($($kind:ident, $kinds:ident: $part:ident;)+) => {
        impl CustomObjects {
            $(
                #[doc = concat!("The ", stringify!($kind), " whose configuration names this class, and whose fields are the arguments.")]
                pub fn $kind<T>(mut self, class_name: impl Into<String>) -> Self
                where
                    T: $part + DeserializeOwned + 'static,
                {
                    let make: Make<dyn $part> = |arguments| Ok(Box::new(of_fields::<T>(arguments)?));
                    self.$kinds.insert(class_name.into(), make);
                    self
                }
            )+

            /// All classes, in order.
            fn class_names(&self) -> Vec<&str> {
                let mut names: Vec<&str> = Vec::new();
                $(names.extend(self.$kinds.keys().map(String::as_str));)+
                names.sort_unstable();
                names
            }
        }

        $(
            impl Part for dyn $part {
                fn makers(custom: &CustomObjects) -> &HashMap<String, Make<Self>> {
                    &custom.$kinds
                }
            }
        )+
    };
}

kinds! {
    layer, layers: Layer;
    loss, losses: Loss;
    metric, metrics: Metric;
    optimizer, optimizers: Optimizer;
    schedule, schedules: Schedule;
    initializer, initializers: Initializer;
    regularizer, regularizers: Regularizer;
    constraint, constraints: Constraint;
}

impl fmt::Debug for CustomObjects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("CustomObjects")
            .field(&self.class_names())
            .finish()
    }
}
