//! What `compile` was given, as Keras's JSON.

use crate::{
    CustomObjects, Error, Result, Sequential,
    losses::Loss,
    metrics::{Metric, Weighted},
    model::Compiled,
    optimizers::Optimizer,
    printing::warn,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::path::Path;

/// Keras's object.
///
/// # Errors
/// When a part of the user's own has no configuration.
pub(super) fn object(compiled: &Compiled) -> Result<Value> {
    let metrics = |weighted| -> Result<Vec<Value>> {
        let metrics = compiled.metrics.iter();
        let metrics = metrics.filter(|metric| metric.weighted() == weighted);
        metrics.map(|metric| written(&**metric)).collect()
    };
    Ok(json!({
        "optimizer": written(&*compiled.optimizer.rule)?,
        "loss": written(&*compiled.loss)?,
        "loss_weights": null,
        "metrics": metrics(false)?,
        "weighted_metrics": metrics(true)?,
        "run_eagerly": false,
        "steps_per_execution": 1,
        "jit_compile": false,
    }))
}

/// Keras's object of a part.
pub(super) fn written(part: &(impl Serialize + ?Sized)) -> Result<Value> {
    serde_json::to_value(part).map_err(|problem| {
        let (expected, advice) = (
            "one of every part",
            "give its `config` to write it to a file",
        );
        Error::argument("config", expected, problem, advice)
    })
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
    let compiled = custom.scope(|| parts(config));
    let compiled = compiled.and_then(|parts| match parts {
        Some(parts) => model.compile(parts.optimizer, parts.loss, parts.metrics),
        None => Ok(()),
    });
    if let Err(error) = compiled {
        warn(&format!("{}: not compiled: {error}", path.display()));
    }
}

/// The parts of Keras's object; none where the model was not compiled.
fn parts(config: &Value) -> Result<Option<Parts>> {
    let Some(loss) = only(&config["loss"]) else {
        return Ok(None);
    };
    if config["optimizer"].is_null() {
        let advice = "layers and weights are loaded: compile the model";
        return Err(Error::argument(
            "optimizer",
            "one",
            "none in the file",
            advice,
        ));
    }
    let refused = |argument: &str, got: &Value| {
        let advice = "compile the model in Keras without it and save it again";
        Err(Error::argument(argument, "none", got, advice))
    };
    let weights = &config["loss_weights"];
    if only(weights).is_some_and(|weight| weight.as_f64() != Some(1.0)) {
        return refused("loss_weights", weights);
    }
    let mut metrics: Vec<Box<dyn Metric>> = Vec::new();
    for metric in listed(&config["metrics"]) {
        metrics.push(made("metric", metric)?);
    }
    for metric in listed(&config["weighted_metrics"]) {
        let metric: Box<dyn Metric> = made("metric", metric)?;
        metrics.push(Box::new(Weighted(metric)));
    }
    Ok(Some(Parts {
        optimizer: made("optimizer", &config["optimizer"])?,
        loss: made("loss", loss)?,
        metrics,
    }))
}

/// A part of Keras's object.
fn made<P: DeserializeOwned>(kind: &str, value: &Value) -> Result<P> {
    serde_json::from_value(untyped(value)).map_err(|error| {
        let advice = "layers and weights are loaded: compile the model";
        Error::argument(kind, "one that is known here", error, advice)
    })
}

/// An object without the type of its numbers, which is the model's.
fn untyped(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(config) = value.get_mut("config").and_then(Value::as_object_mut) {
        config.remove("dtype");
    }
    value
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
