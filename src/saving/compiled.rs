//! What `compile` was given, as Keras's JSON.

use super::CustomObjects;
use crate::{
    Error, Result, Sequential,
    losses::Loss,
    metrics::{Metric, Weighted},
    model::Compiled,
    optimizers::Optimizer,
    printing::warn,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Keras's object; null where a part of the user's own has no configuration.
pub(super) fn object(compiled: &Compiled) -> Value {
    let written = || -> serde_json::Result<Value> {
        let metrics = |weighted| -> serde_json::Result<Vec<Value>> {
            let metrics = compiled.metrics.iter();
            let metrics = metrics.filter(|metric| metric.weighted() == weighted);
            metrics
                .map(|metric| serde_json::to_value(&**metric))
                .collect()
        };
        Ok(json!({
            "optimizer": serde_json::to_value(&*compiled.optimizer.rule)?,
            "loss": serde_json::to_value(&*compiled.loss)?,
            "loss_weights": null,
            "metrics": metrics(false)?,
            "weighted_metrics": metrics(true)?,
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        }))
    };
    written().unwrap_or(Value::Null)
}

/// What `compile` takes.
struct Parts {
    optimizer: Box<dyn Optimizer>,
    loss: Box<dyn Loss>,
    metrics: Vec<Box<dyn Metric>>,
}

/// Compiles a model as Keras's object says. What is not known here, or out of range, leaves the model not
/// compiled, after a line on standard error: layers and weights are what nobody can make again.
pub(super) fn compile(model: &mut Sequential, config: &Value, custom: &CustomObjects, path: &Path) {
    let compiled = parts(config, custom).and_then(|parts| match parts {
        Some(parts) => model.compile(parts.optimizer, parts.loss, parts.metrics),
        None => Ok(()),
    });
    if let Err(error) = compiled {
        warn(&format!("{}: not compiled: {error}", path.display()));
    }
}

/// The parts of Keras's object; none where the model was not compiled.
fn parts(config: &Value, custom: &CustomObjects) -> Result<Option<Parts>> {
    if config.is_null() || config["optimizer"].is_null() {
        return Ok(None);
    }
    let Some(loss) = only(&config["loss"]) else {
        return Ok(None);
    };
    let refused = |argument: &str, got: &Value| {
        let advice = "compile the model in Keras without it and save it again";
        Err(Error::argument(argument, "none", got, advice))
    };
    let weights = &config["loss_weights"];
    if only(weights).is_some_and(|weight| weight.as_f64() != Some(1.0)) {
        return refused("loss_weights", weights);
    }
    let mut metrics = Vec::new();
    for metric in listed(&config["metrics"]) {
        metrics.push(make_metric(metric, custom)?);
    }
    for metric in listed(&config["weighted_metrics"]) {
        metrics.push(Box::new(Weighted(make_metric(metric, custom)?)) as Box<dyn Metric>);
    }
    let optimizer = serde_json::from_value(config["optimizer"].clone());
    Ok(Some(Parts {
        optimizer: optimizer.map_err(|error| unknown("optimizer", error))?,
        loss: make_loss(loss, custom)?,
        metrics,
    }))
}

fn make_loss(value: &Value, custom: &CustomObjects) -> Result<Box<dyn Loss>> {
    let (class_name, config) = class_of(value);
    match custom.loss_of(&class_name, &config) {
        Some(made) => made,
        None => serde_json::from_value(untyped(value)).map_err(|error| unknown("loss", error)),
    }
}

fn make_metric(value: &Value, custom: &CustomObjects) -> Result<Box<dyn Metric>> {
    let (class_name, config) = class_of(value);
    match custom.metric_of(&class_name, &config) {
        Some(made) => made,
        None => serde_json::from_value(untyped(value)).map_err(|error| unknown("metric", error)),
    }
}

/// An object without the type of its numbers, which is the model's.
fn untyped(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(config) = value.get_mut("config").and_then(Value::as_object_mut) {
        config.remove("dtype");
    }
    value
}

/// A class and its arguments; of a bare name there are none.
fn class_of(value: &Value) -> (String, Map<String, Value>) {
    let name = value["class_name"].as_str().or_else(|| value.as_str());
    let config = value["config"].as_object().cloned().unwrap_or_default();
    (name.unwrap_or_default().to_string(), config)
}

fn unknown(kind: &str, error: serde_json::Error) -> Error {
    let advice = match kind {
        "optimizer" => "load the weights alone, by `load_weights`, into a model compiled with it",
        _ => "one of your own is loaded by `CustomObjects`",
    };
    Error::argument(kind, "one of the crate", error, advice)
}

/// The one value of what may be a list or a map of outputs; none of null.
fn only(value: &Value) -> Option<&Value> {
    match value {
        Value::Null => None,
        Value::Array(values) => values.first().and_then(only),
        Value::Object(object) if !object.contains_key("class_name") => {
            object.values().next().and_then(only)
        }
        value => Some(value),
    }
}

/// All values of lists in lists, or of maps of outputs.
fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().flat_map(listed).collect(),
        Value::Object(object) if !object.contains_key("class_name") => {
            object.values().flat_map(listed).collect()
        }
        value => vec![value],
    }
}
