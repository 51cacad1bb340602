//! The architecture as Keras's JSON: layers, their arguments, and what `compile` was given.

use super::{compiled, limits};
use crate::{
    CustomObjects, Error, Result, Sequential, config,
    layers::{Input, LAYERS, Layer},
    model::names,
};
use candle_core::DType;
use serde_json::{Map, Value, json};

impl Sequential {
    /// The architecture as JSON in Keras's schema: every layer with its arguments, and what `compile`
    /// was given; no weights. Keras reads it with `keras.models.model_from_json`.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// let network = Sequential::new().add(Input::new(4)).add(Dense::new(3).activation(Softmax));
    /// let text = network.to_json()?;
    /// let model = Sequential::from_json(&text)?.build(&Device::Cpu)?;
    /// assert_eq!(model.output_shape(), [3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a layer of your own, or an initializer, a regularizer or a constraint in one, gives no
    /// [`config`](Layer::config).
    ///
    /// Keras: `to_json`.
    pub fn to_json(&self) -> Result<String> {
        Ok(self.object()?.to_string())
    }

    /// A model that is not built yet from its architecture as JSON, as [`to_json`](Self::to_json) or
    /// Keras writes it. What `compile` was given is passed over: it needs a built model.
    ///
    /// # Errors
    /// When the text is no JSON or longer than 16 MB, the model is no `Sequential`, or a layer or an
    /// argument is unknown.
    ///
    /// Keras: `keras.models.model_from_json`.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::from_json_with(text, &CustomObjects::new())
    }

    /// The same with layers of your own, and initializers, regularizers and constraints in them.
    ///
    /// # Errors
    /// As for [`from_json`](Self::from_json).
    pub fn from_json_with(text: &str, custom: &CustomObjects) -> Result<Self> {
        let object = limits::json(text).map_err(|error| {
            let advice = "give what to_json wrote, here or in Keras";
            Error::argument("text", "JSON", error, advice)
        })?;
        Self::from_object(&object, custom)
    }

    /// Keras's object of the model.
    pub(super) fn object(&self) -> Result<Value> {
        let built = self.chain.as_ref().map(|chain| chain.dtype);
        let dtype = policy(built.or(self.dtype).unwrap_or(DType::F32));
        let shape_of_input = self.shape_of_input()?;
        let mut layers = vec![input_object(&shape_of_input, &dtype)];
        match &self.chain {
            Some(chain) => {
                let mut input_shape = &chain.input_shape;
                for node in &chain.nodes {
                    let mut object =
                        layer_object(&*node.layer, &node.name, node.trainable, &dtype)?;
                    if !node.weights.is_empty() {
                        object["build_config"] = json!({"input_shape": batched(input_shape)});
                    }
                    layers.push(object);
                    input_shape = &node.output_shape;
                }
            }
            None => {
                let others = self.layers.get(1..).unwrap_or_default();
                for (unbuilt, name) in others.iter().zip(names::of(others.iter())) {
                    let trainable = unbuilt.is_trainable();
                    layers.push(layer_object(&*unbuilt.layer, &name, trainable, &dtype)?);
                }
            }
        }
        let input_shape = batched(&shape_of_input);
        let mut object = json!({
            "module": "keras",
            "class_name": "Sequential",
            "config": {
                "name": "sequential",
                "trainable": true,
                "dtype": dtype,
                "layers": layers,
                "build_input_shape": input_shape,
            },
            "registered_name": null,
            "build_config": {"input_shape": input_shape},
        });
        if let Some(compiled) = &self.compiled {
            object["compile_config"] = compiled::object(compiled).unwrap_or_default();
        }
        Ok(object)
    }

    /// The model of Keras's object, not built yet.
    pub(super) fn from_object(object: &Value, custom: &CustomObjects) -> Result<Self> {
        let class_name = object["class_name"].as_str().unwrap_or("none");
        if class_name != "Sequential" {
            let advice = "only a Sequential can be loaded: make one of its layers in Keras";
            return Err(Error::argument("model", "a Sequential", class_name, advice));
        }
        let config = &object["config"];
        let listed = config["layers"].as_array().or_else(|| config.as_array());
        let Some(listed) = listed else {
            let advice = "give what to_json wrote, here or in Keras";
            return Err(Error::argument(
                "config",
                "a list of layers",
                "none",
                advice,
            ));
        };
        let mut model = Self::new();
        let dtype = type_of_model(config, listed)?;
        if let Some(dtype) = dtype {
            model = model.dtype(dtype);
        }
        check_types(listed, dtype.unwrap_or(DType::F32))?;
        let has_input = listed
            .iter()
            .any(|layer| layer["class_name"] == "InputLayer");
        if !has_input {
            model = model.add(Input::new(&input_shape_of(object)?[..]));
        }
        for (position, layer) in listed.iter().enumerate() {
            let name = layer["config"]["name"].as_str();
            let made = custom.scope(|| make_layer(layer)).map_err(|error| {
                let name = name.map_or(format!("layer {position}"), str::to_string);
                Error::of_part("layer", &name, error)
            })?;
            let trainable = layer["config"]["trainable"].as_bool();
            model = model.add_of_file(made, name, trainable);
        }
        Ok(model)
    }

    /// The shape of a sample, of a model that is built or not.
    fn shape_of_input(&self) -> Result<Vec<usize>> {
        if let Some(chain) = &self.chain {
            return Ok(chain.input_shape.clone());
        }
        let first = self.layers.first().ok_or(Error::NoLayers)?;
        match first.layer.as_input() {
            Some(input) => Ok(input.shape().to_vec()),
            None => Err(first.no_input()),
        }
    }
}

/// Keras's object of a layer of this name.
fn layer_object(
    layer: &(dyn Layer + 'static),
    name: &str,
    trainable: bool,
    dtype: &Value,
) -> Result<Value> {
    let written = compiled::written(layer);
    let mut object = written.map_err(|error| Error::of_part("layer", name, error))?;
    if let Some(config) = object.get_mut("config").and_then(Value::as_object_mut) {
        check_own_fields(layer, config)?;
        config.insert("name".to_string(), json!(name));
        config.insert("trainable".to_string(), json!(trainable));
        config.insert("dtype".to_string(), dtype.clone());
        // One that is a layer would else be of Keras's own type.
        if let Some(activation) = config.get_mut("activation")
            && activation
                .get("module")
                .is_some_and(|module| module == "keras.layers")
            && let Some(activation) = activation.get_mut("config").and_then(Value::as_object_mut)
        {
            activation.insert("dtype".to_string(), dtype.clone());
        }
        // Keras's layers take none where there is none.
        if config
            .get("activity_regularizer")
            .is_some_and(Value::is_null)
        {
            config.remove("activity_regularizer");
        }
    }
    Ok(object)
}

/// An error for fields of a class of the user's own that the model writes itself.
fn check_own_fields(layer: &(dyn Layer + 'static), config: &Map<String, Value>) -> Result<()> {
    let is_own = layer.config().is_some_and(|config| config.is_own);
    let other = match config.get("trainable") {
        Some(trainable) if !trainable.is_boolean() => Some("trainable"),
        _ => config.contains_key("dtype").then_some("dtype"),
    };
    match other.filter(|_| is_own) {
        Some(field) => {
            let expected = "fields of other names: a file has the model's there";
            let advice = "rename the field, or skip it by serde";
            Err(Error::argument(
                "config",
                expected,
                format!("`{field}`"),
                advice,
            ))
        }
        None => Ok(()),
    }
}

fn input_object(shape: &[usize], dtype: &Value) -> Value {
    json!({
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": batched(shape),
            "dtype": dtype["config"]["name"],
            "sparse": false,
            "ragged": false,
            "name": "input_layer",
            "optional": false,
        },
        "registered_name": null,
    })
}

/// A layer of Keras's object.
fn make_layer(object: &Value) -> Result<Box<dyn Layer>> {
    if object["class_name"] == "InputLayer" {
        return Ok(Box::new(Input::new(&input_shape(object)?[..])));
    }
    let config = object["config"].as_object().cloned().unwrap_or_default();
    let object = json!({
        "module": object["module"],
        "class_name": object["class_name"],
        "config": without_dtype(config)?,
        "registered_name": object["registered_name"],
    });
    config::make("layer", LAYERS, &object)
}

/// The type of the model's numbers: that of its layers, where they have one. A model that Keras reads
/// and writes again has Keras's own besides.
fn type_of_model(config: &Value, layers: &[Value]) -> Result<Option<DType>> {
    let others = layers
        .iter()
        .filter(|layer| layer["class_name"] != "InputLayer");
    let types = others.map(|layer| dtype_of(&layer["config"]["dtype"]));
    let mut types = types.collect::<Result<Vec<_>>>()?;
    types.dedup();
    match types[..] {
        [Some(dtype)] => Ok(Some(dtype)),
        _ => dtype_of(&config["dtype"]),
    }
}

/// An error for a layer of another type of numbers than the model's.
fn check_types(layers: &[Value], of_model: DType) -> Result<()> {
    for layer in layers {
        let config = &layer["config"];
        if layer["class_name"] == "InputLayer" {
            dtype_of(&config["dtype"])?; // samples are converted
            continue;
        }
        for written in [&config["dtype"], &config["activation"]["config"]["dtype"]] {
            if dtype_of(written)?.is_none_or(|own| own == of_model) {
                continue;
            }
            let name = config["name"].as_str().unwrap_or("without a name");
            let expected = format!("the model's type, {of_model:?}");
            let advice = "make all layers of one type: keras.config.set_dtype_policy";
            let error = Error::argument("dtype", expected, written, advice);
            return Err(Error::of_part("layer", name, error));
        }
    }
    Ok(())
}

/// A layer's arguments without the type of its numbers, which is the model's.
fn without_dtype(mut config: Map<String, Value>) -> Result<Map<String, Value>> {
    if let Some(dtype) = config.remove("dtype") {
        dtype_of(&dtype)?;
    }
    Ok(config)
}

/// The shape of a sample from an `InputLayer`.
fn input_shape(object: &Value) -> Result<Vec<usize>> {
    let config = &object["config"];
    let shape = [&config["batch_shape"], &config["batch_input_shape"]];
    let shape = shape.into_iter().find_map(Value::as_array);
    sample_shape(shape.map(Vec::as_slice))
}

/// The shape of a sample of a model whose layers hold no `InputLayer`.
fn input_shape_of(object: &Value) -> Result<Vec<usize>> {
    let shapes = [
        &object["build_config"]["input_shape"],
        &object["config"]["build_input_shape"],
    ];
    let shape = shapes.into_iter().find_map(Value::as_array);
    sample_shape(shape.map(Vec::as_slice))
}

/// A shape with the batch's axis, without it.
fn sample_shape(shape: Option<&[Value]>) -> Result<Vec<usize>> {
    let advice = "give the Sequential an Input with a length for every axis but the batch's";
    let expected = "a shape such as [null, 784]";
    let Some([_, sample @ ..]) = shape else {
        return Err(Error::argument("input shape", expected, "none", advice));
    };
    let lengths = sample.iter().map(|length| {
        let length = length
            .as_u64()
            .and_then(|length| usize::try_from(length).ok());
        length.ok_or_else(|| {
            let got = Value::from(sample.to_vec());
            Error::argument("input shape", expected, got, advice)
        })
    });
    lengths.collect()
}

/// Keras's object of a type of numbers.
fn policy(dtype: DType) -> Value {
    let name = match dtype {
        DType::F64 => "float64",
        _ => "float32",
    };
    json!({
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": name},
        "registered_name": null,
    })
}

/// The type of numbers of Keras's object or name of one.
fn dtype_of(value: &Value) -> Result<Option<DType>> {
    match config::type_name(value) {
        Some("float32") => Ok(Some(DType::F32)),
        Some("float64") => Ok(Some(DType::F64)),
        None if value.is_null() => Ok(None),
        _ => {
            let advice = "load it in Keras and save it with dtype float32";
            Err(Error::argument(
                "dtype",
                "float32 or float64",
                value,
                advice,
            ))
        }
    }
}

/// A shape with the batch's axis.
fn batched(shape: &[usize]) -> Value {
    let lengths = shape.iter().map(|length| json!(length));
    Value::Array([Value::Null].into_iter().chain(lengths).collect())
}
