//! Whole models as `.h5` files, Keras's format before `.keras`. They are read, not written.

use super::{
    compiled,
    hdf5::read::{Attribute, File as Hdf5, FilePart},
    limits, not_hdf5, of_file, saved,
    weights_h5::{Layout, Saved},
};
use crate::{CustomObjects, Error, Result, Sequential};
use candle_core::Device;
use serde_json::Value;
use std::{fs::File, path::Path};

/// A configuration with what Keras 3 calls otherwise than Keras 2, as it reads that itself.
fn in_todays_words(mut config: Value) -> Value {
    let layers = config.pointer_mut("/config/layers");
    for layer in layers.and_then(Value::as_array_mut).into_iter().flatten() {
        let class_name = layer["class_name"].as_str().unwrap_or_default().to_string();
        let Some(arguments) = layer.get_mut("config").and_then(Value::as_object_mut) else {
            continue;
        };
        if class_name == "LeakyReLU"
            && let Some(alpha) = arguments.remove("alpha")
        {
            arguments.insert("negative_slope".to_string(), alpha);
        }
        if class_name == "BatchNormalization"
            && let Some(axis) = arguments.get_mut("axis")
            && let Some([one]) = axis.as_array().map(Vec::as_slice)
        {
            *axis = one.clone();
        }
    }
    config
}

/// Loads a model, built on `device`. What `compile` was given may be that of an older Keras, which the
/// crate does not know.
pub(super) fn load(path: &Path, device: &Device, custom: &CustomObjects) -> Result<Sequential> {
    let whole = File::open(path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok((FilePart::whole(file)?, size))
    });
    let (part, size) = whole.map_err(|error| of_file(path, error))?;
    let file = Hdf5::open(part).map_err(|error| not_hdf5(path, error))?;
    let json = |name| -> Result<Option<Value>> {
        let text = file
            .attribute("", name)
            .map_err(|error| not_hdf5(path, error))?;
        let Some(text) = text.as_ref().and_then(Attribute::string) else {
            return Ok(None);
        };
        let parsed = limits::json(text).map(Some);
        parsed.map_err(|error| saved(path, format!("{name}: {error}"), "save the model again"))
    };
    let config = json("model_config")?.ok_or_else(|| {
        let advice = "a file of weights alone is one for `load_weights`: name it .weights.h5";
        saved(path, "it holds no `model_config`", advice)
    })?;
    let config = in_todays_words(config);
    let training = json("training_config")?;
    let in_file = |error| Error::of_part("file", &path.display().to_string(), error);
    let model = Sequential::from_object(&config, custom).map_err(in_file)?;
    let mut model = model
        .build_empty(device, limits::most_bytes(size))
        .map_err(in_file)?;
    let layout = Layout::Names;
    let saved = Saved { file, path, layout };
    saved.load_fresh(&model)?;
    let Some(Value::Object(mut training)) = training else {
        return Ok(model);
    };
    if let Some(optimizer) = training.remove("optimizer_config") {
        training.insert("optimizer".to_string(), optimizer);
    }
    compiled::compile(&mut model, &Value::Object(training), custom, path);
    saved.load_optimizer(&mut model)?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_of_keras_2_are_those_of_keras_3() {
        let layer =
            |class_name: &str, config: Value| json!({"class_name": class_name, "config": config});
        let of =
            |layers: [Value; 3]| json!({"class_name": "Sequential", "config": {"layers": layers}});
        let old = of([
            layer("LeakyReLU", json!({"alpha": 0.25})),
            layer("BatchNormalization", json!({"axis": [1]})),
            layer("ELU", json!({"alpha": 0.5})),
        ]);
        let new = of([
            layer("LeakyReLU", json!({"negative_slope": 0.25})),
            layer("BatchNormalization", json!({"axis": 1})),
            layer("ELU", json!({"alpha": 0.5})),
        ]);
        assert_eq!(in_todays_words(old), new);
        assert_eq!(in_todays_words(json!([{}])), json!([{}]));
    }
}
