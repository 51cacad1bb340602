//! What is the user's own in a file.

use crate::{Result, layers::Layer, losses::Loss, metrics::Metric};
use serde_json::{Map, Value};
use std::{collections::HashMap, fmt};

type Make<P> = Box<dyn Fn(&Map<String, Value>) -> Result<Box<P>>>;

/// Layers, losses and metrics of your own, which a file names by their classes.
///
/// A part of your own is written to a file by its `config`; here stands how it is made of it again.
///
/// ```
/// use candle_keras::{CustomObjects, Config, layers::{Layer, Pass}, prelude::*};
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
/// # fn main() -> anyhow::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("times.keras");
/// let network = Sequential::new().add(Input::new(2)).add(Times { factor: 3.0 });
/// network.build(&Device::Cpu)?.save(&path)?;
/// let custom = CustomObjects::new().layer::<Times>("Times");
/// let model = Sequential::load_with(&path, &Device::Cpu, &custom)?;
/// let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[3.0, 3.0]]);
/// # Ok(()) }
/// ```
///
/// Keras: `custom_objects`.
#[derive(Default)]
pub struct CustomObjects {
    layers: HashMap<String, Make<dyn Layer>>,
    losses: HashMap<String, Make<dyn Loss>>,
    metrics: HashMap<String, Make<dyn Metric>>,
}

impl CustomObjects {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The methods of one kind.
macro_rules! kind {
    ($kind:ident, $kinds:ident, $of:ident, $part:ident, $what:literal) => {
        impl CustomObjects {
            #[doc = concat!("A ", $what, " whose configuration names this class, and whose fields are the arguments.")]
            pub fn $kind<T>(mut self, class_name: impl Into<String>) -> Self
            where
                T: $part + serde::de::DeserializeOwned + 'static,
            {
                let make: Make<dyn $part> = Box::new(|arguments| {
                    let fields = Value::Object(arguments.clone());
                    let made = serde_json::from_value::<T>(fields);
                    // One without fields is null in JSON.
                    let made = made.or_else(|error| {
                        serde_json::from_value::<T>(Value::Null).map_err(|_| error)
                    });
                    let made = made.map_err(|error| {
                        let advice = "its fields are the arguments that the file holds";
                        let expected = "arguments of the class's types";
                        crate::Error::argument("config", expected, error, advice)
                    })?;
                    Ok(Box::new(made))
                });
                self.$kinds.insert(class_name.into(), make);
                self
            }

            /// The part of this class, where it is one of the user's own.
            pub(super) fn $of(
                &self,
                class_name: &str,
                config: &Map<String, Value>,
            ) -> Option<Result<Box<dyn $part>>> {
                let make = self.$kinds.get(class_name)?;
                Some(make(config).map_err(|error| crate::Error::of_part($what, class_name, error)))
            }
        }
    };
}

kind!(layer, layers, layer_of, Layer, "layer");
kind!(loss, losses, loss_of, Loss, "loss");
kind!(metric, metrics, metric_of, Metric, "metric");

impl fmt::Debug for CustomObjects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.layers.keys().collect();
        names.extend(self.losses.keys().chain(self.metrics.keys()));
        names.sort();
        out.debug_tuple("CustomObjects").field(&names).finish()
    }
}
