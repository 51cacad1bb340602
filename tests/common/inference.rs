//! A model for every layer, every activation and what their arguments change, with numbers that
//! tell right outputs from wrong ones.
#![allow(
    dead_code,
    reason = "each test file compiles this module for itself and needs a part of it"
)]

use crate::common::numbers;
use candle_keras::{activations::ActivationFunction, layers::Layer, prelude::*};
use serde::Deserialize;
use serde_json::{Value, json};

/// A model and samples for it.
pub struct Case {
    /// Of letters that a file's name can have.
    pub name: String,
    pub class_name: String,
    pub model: Sequential,
    pub x: Tensor,
}

/// Activations with other arguments than Keras's defaults, as Keras names them.
const MORE: [ActivationFunction; 20] = [
    LeakyRelu {
        negative_slope: 0.0,
    },
    LeakyRelu {
        negative_slope: -0.5,
    },
    Elu { alpha: 0.3 },
    Elu { alpha: -0.7 },
    Celu { alpha: 0.4 },
    Celu { alpha: -2.0 },
    Gelu { approximate: true },
    Squareplus { b: 0.0 },
    Squareplus { b: 0.5 },
    SoftShrink { threshold: 1.5 },
    SoftShrink { threshold: -0.5 },
    HardShrink { threshold: 2.0 },
    HardShrink { threshold: -1.0 },
    Threshold {
        threshold: -0.5,
        default_value: 3.0,
    },
    ReluWith {
        negative_slope: 0.1,
        max_value: Some(0.6),
        threshold: 0.2,
    },
    ReluWith {
        negative_slope: 0.0,
        max_value: Some(6.0),
        threshold: 0.0,
    },
    ReluWith {
        negative_slope: 0.25,
        max_value: None,
        threshold: 0.0,
    },
    ReluWith {
        negative_slope: 0.0,
        max_value: None,
        threshold: -1.0,
    },
    ReluWith {
        negative_slope: 0.5,
        max_value: None,
        threshold: 1.0,
    },
    ReluWith {
        negative_slope: -0.5,
        max_value: Some(2.0),
        threshold: -0.5,
    },
];

/// The greatest inputs that are compared: those of exponentials give numbers that f32 has.
fn greatest_input(function: &ActivationFunction) -> f64 {
    match function {
        Exponential => 40.0,
        Celu { alpha } if *alpha < 0.0 => 40.0,
        _ => 1e4,
    }
}

/// Rows from near 0 to as far as ±1e4.
fn far_inputs(function: &ActivationFunction) -> Tensor {
    let near = numbers(&[60, 6], "near");
    let greatest = greatest_input(function);
    let scales = [
        0.01,
        0.5,
        1.0,
        3.0,
        6.0,
        20.0,
        100.0f64.min(greatest),
        greatest,
    ];
    let mut all: Vec<Tensor> = scales
        .iter()
        .map(|scale| (&near * *scale).unwrap())
        .collect();
    let ends = [
        0f32, -0.0, 1.0, -1.0, 0.5, -0.5, 6.0, -6.0, 3.0, -3.0, 2.0, -2.0,
    ];
    all.push(Tensor::from_slice(&ends, (2, 6), &Device::Cpu).unwrap());
    Tensor::cat(&all, 0).unwrap()
}

/// Layers as Keras configures them, and shapes of samples.
fn layers() -> Vec<(&'static str, Value, &'static [&'static [usize]])> {
    const ANY: &[&[usize]] = &[&[6], &[4, 6], &[2, 3, 8]];
    const PLANES: &[&[usize]] = &[&[4, 6], &[2, 3, 8]];
    vec![
        ("Dense", json!({"units": 5}), ANY),
        (
            "Dense",
            json!({"units": 4, "use_bias": false, "activation": "glu"}),
            ANY,
        ),
        ("Activation", json!({"activation": "softmax"}), ANY),
        ("Activation", json!({"activation": "tanh"}), &[&[], &[2, 3]]),
        ("ReLU", json!({}), ANY),
        (
            "ReLU",
            json!({"max_value": 0.7, "negative_slope": 0.2, "threshold": 0.1}),
            ANY,
        ),
        ("LeakyReLU", json!({}), ANY),
        ("PReLU", json!({}), ANY),
        ("PReLU", json!({"shared_axes": [1]}), PLANES),
        ("ELU", json!({"alpha": 0.7}), ANY),
        ("Softmax", json!({}), ANY),
        ("Softmax", json!({"axis": 1}), ANY),
        ("Softmax", json!({"axis": [1, 2]}), PLANES),
        ("Softmax", json!({"axis": [1, 3]}), &[&[2, 3, 8]]),
        ("Dropout", json!({"rate": 0.4}), ANY),
        ("AlphaDropout", json!({"rate": 0.3}), ANY),
        ("GaussianDropout", json!({"rate": 0.3}), ANY),
        ("GaussianNoise", json!({"stddev": 0.3}), ANY),
        ("ActivityRegularization", json!({"l1": 0.01}), ANY),
        ("Flatten", json!({}), &[&[], &[6], &[2, 3, 4]]),
        (
            "Flatten",
            json!({"data_format": "channels_first"}),
            &[&[6], &[2, 3], &[2, 3, 4]],
        ),
        ("Reshape", json!({"target_shape": [3, -1]}), ANY),
        ("Reshape", json!({"target_shape": []}), &[&[1]]),
        ("Permute", json!({"dims": [2, 1]}), &[&[4, 6]]),
        ("Permute", json!({"dims": [3, 1, 2]}), &[&[2, 3, 8]]),
        ("RepeatVector", json!({"n": 3}), &[&[6]]),
        ("BatchNormalization", json!({}), ANY),
        (
            "BatchNormalization",
            json!({"axis": 1, "center": false, "epsilon": 0.1}),
            ANY,
        ),
        (
            "BatchNormalization",
            json!({"axis": 2, "scale": false, "renorm": true}),
            PLANES,
        ),
        ("LayerNormalization", json!({}), ANY),
        ("LayerNormalization", json!({"axis": 1}), PLANES),
        (
            "LayerNormalization",
            json!({"axis": [1, 2], "scale": false, "epsilon": 0.1}),
            PLANES,
        ),
        (
            "LayerNormalization",
            json!({"axis": [1, -1], "center": false}),
            PLANES,
        ),
        ("GroupNormalization", json!({"groups": 2}), ANY),
        ("GroupNormalization", json!({"groups": -1}), PLANES),
        (
            "GroupNormalization",
            json!({"groups": 2, "axis": 1, "scale": false}),
            PLANES,
        ),
        ("RMSNormalization", json!({}), ANY),
        (
            "RMSNormalization",
            json!({"axis": [1, 2], "epsilon": 0.1}),
            &[&[4, 6]],
        ),
        ("RMSNormalization", json!({"axis": 1}), &[&[4, 4]]),
        ("UnitNormalization", json!({}), ANY),
        ("UnitNormalization", json!({"axis": [1, 2]}), PLANES),
        (
            "Embedding",
            json!({"input_dim": 5, "output_dim": 3, "mask_zero": true}),
            &[&[], &[4], &[2, 3]],
        ),
        ("Rescaling", json!({"scale": 0.5, "offset": -1.0}), ANY),
        (
            "Rescaling",
            json!({"scale": [0.5, 2.0, -1.0], "offset": 0.25}),
            &[&[3], &[4, 3]],
        ),
        (
            "Normalization",
            json!({"mean": 0.1, "variance": 4.0, "axis": null}),
            ANY,
        ),
        (
            "Normalization",
            json!({"mean": [0.1, 0.2], "variance": [4.0, 0.0], "axis": 1}),
            &[&[2], &[2, 3]],
        ),
        ("Normalization", json!({"invert": true}), ANY),
        ("Normalization", json!({"axis": [1]}), PLANES),
        ("Normalization", json!({"axis": null}), PLANES),
    ]
}

/// The layer behind an input of `sample`, with random weights and samples.
fn case(name: String, layer: Box<dyn Layer>, sample: &[usize]) -> Case {
    let class_name = layer.class_name().to_string();
    let model = Sequential::new().seed(3).add(Input::new(sample)).add(layer);
    let mut model = model.build(&Device::Cpu).unwrap();
    let paths: Vec<String> = model
        .weights()
        .map(|weight| weight.path().to_string())
        .collect();
    for path in paths {
        let values = model.weight(&path).unwrap();
        let random = numbers(values.dims(), &path);
        let random = match path.rsplit('/').next() {
            Some("variance" | "moving_variance") => (random.abs().unwrap() + 0.1).unwrap(),
            Some("kernel") => (random / (values.dims()[0] as f64).sqrt()).unwrap(),
            _ => random,
        };
        model.set_weight(&path, &random).unwrap();
    }
    let x = numbers(&[&[7], sample].concat(), "x");
    let x = match class_name.as_str() {
        "Embedding" => x.affine(2.4, 2.5).unwrap().floor().unwrap(), // 0 to 4
        _ => x.affine(3.0, 0.5).unwrap(),
    };
    Case {
        name,
        class_name,
        model,
        x,
    }
}

/// One model for each activation, in a layer of its own.
pub fn activations() -> Vec<Case> {
    let functions = ActivationFunction::ALL.into_iter().chain(MORE);
    let cases = functions.enumerate().map(|(index, function)| {
        let name = format!("activation_{index}_{}", function.name());
        let x = far_inputs(&function);
        let layer = Activation::new(function);
        Case {
            x,
            ..case(name, layer.into(), &[6])
        }
    });
    cases.collect()
}

/// One model for each layer, each of its arguments that matters, and each rank of samples.
pub fn layers_alone() -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, (class_name, config, shapes)) in layers().into_iter().enumerate() {
        for shape in shapes {
            let object = json!({"class_name": class_name, "config": config});
            let layer = Box::<dyn Layer>::deserialize(&object).unwrap();
            let name = format!("layer_{index}_{class_name}_{}", shape.len());
            cases.push(case(name, layer, shape));
        }
    }
    let seen = numbers(&[50, 3], "seen").affine(2.0, 5.0).unwrap();
    for invert in [false, true] {
        let layer = Normalization::new().invert(invert).adapt(&seen).unwrap();
        let model = Sequential::new().add(Input::new(3)).add(layer);
        cases.push(Case {
            name: format!("layer_adapted_{invert}"),
            class_name: "Normalization".to_string(),
            model: model.build(&Device::Cpu).unwrap(),
            x: seen.clone(),
        });
    }
    // Rows as long as those of real networks, near 0 and far from it.
    type Make = fn() -> Box<dyn Layer>;
    let wide: [(&str, f64, Make); 8] = [
        ("layer", 3.0, || LayerNormalization::new().into()),
        ("layer", 100.0, || LayerNormalization::new().into()),
        ("group", 3.0, || GroupNormalization::new().groups(4).into()),
        ("group", 100.0, || {
            GroupNormalization::new().groups(4).into()
        }),
        ("root_mean_square", 3.0, || RMSNormalization::new().into()),
        ("unit", 3.0, || UnitNormalization::new().into()),
        ("dense", 0.0, || {
            Dense::new(32)
                .activation(Gelu { approximate: false })
                .into()
        }),
        ("softmax", 3.0, || layers::Softmax::new().into()),
    ];
    for (name, offset, make) in wide {
        let x = (numbers(&[7, 768], "wide") + offset).unwrap();
        let place = if offset > 10.0 { "far" } else { "wide" };
        let name = format!("layer_{place}_{name}");
        cases.push(Case {
            x,
            ..case(name, make(), &[768])
        });
    }
    cases
}
