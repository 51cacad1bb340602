//! Models that go to Keras and come from it: the half of `tools/exchange/check` that is in Rust. The
//! folder is in `CANDLE_KERAS_EXCHANGE`.

mod common;
#[path = "common/inference.rs"]
mod inference;

use candle_keras::{
    Result,
    activations::{ActivationFunction, Elu, LeakyRelu, ReluWith},
    layers::Layer,
    losses::Loss,
    metrics::Metric,
    optimizers::Optimizer,
    prelude::*,
    seed::Stream,
};
use common::numbers;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Networks each way.
const NETWORKS: usize = 200;

/// Samples of each.
const SAMPLES: usize = 24;

/// What is written beside a model: what it says of `x` and `y`, and after another epoch.
#[derive(Serialize, Deserialize)]
struct Numbers {
    /// Loss and metrics by `evaluate`.
    scores: Vec<f64>,
    /// The loss of another epoch in order, in batches of 8; none where layers draw.
    next_loss: Option<f64>,
}

fn folder(name: &str) -> PathBuf {
    let root = std::env::var_os("CANDLE_KERAS_EXCHANGE").expect("tools/exchange/check sets it");
    let folder = PathBuf::from(root).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Draws from lists and ranges.
struct Draw(Stream);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        ((self.0.uniform() * limit as f32) as usize).min(limit - 1)
    }

    fn one<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        let share = f64::from(self.0.uniform());
        // Few digits, so that f32 and text hold them alike.
        ((low + share * (high - low)) * 64.0).round() / 64.0
    }

    /// An activation function whose outputs stay small, and which keep the width: its name, or one in
    /// four times the layer that takes its arguments; of `threshold` Keras wants arguments.
    fn activation(&mut self) -> Value {
        let (slope, max_value) = (self.between(0.0, 0.5), self.between(1.0, 3.0));
        let of_layers = [
            Elu { alpha: 2.0 * slope },
            LeakyRelu {
                negative_slope: slope,
            },
            ReluWith {
                negative_slope: slope,
                max_value: self.one(&[None, Some(max_value)]),
                threshold: self.one(&[0.0, 0.25]),
            },
        ];
        if self.below(4) == 0 {
            return serde_json::to_value(self.one(&of_layers)).unwrap();
        }
        let all = ActivationFunction::ALL;
        loop {
            let name = serde_json::to_value(self.one(&all)).unwrap();
            if !matches!(
                name.as_str(),
                Some("exponential" | "glu" | "sparsemax" | "threshold")
            ) {
                return name;
            }
        }
    }

    /// Keras's object of a regularizer, or null.
    fn penalty(&mut self) -> Value {
        match self.below(4) {
            0 => json!({"class_name": "L2", "config": {"l2": 0.015625}}),
            1 => json!({"class_name": "L1L2", "config": {"l1": 0.015625, "l2": 0.03125}}),
            _ => Value::Null,
        }
    }

    fn constraint(&mut self) -> Value {
        match self.below(5) {
            0 => json!({"class_name": "MaxNorm", "config": {"max_value": 1.5, "axis": 0}}),
            1 => json!({"class_name": "NonNeg", "config": {}}),
            _ => Value::Null,
        }
    }

    /// A layer for samples of a shape, as (class, arguments); it may not fit.
    fn layer(&mut self, shape: &[usize]) -> (&'static str, Value) {
        let axes = shape.len() as i64;
        let axis = self.one(&[-1, 1, axes]);
        let rate = self.between(0.1, 0.5);
        match self.below(24) {
            0..=3 => {
                let config = json!({
                    "units": 2 + self.below(6),
                    "activation": self.activation(),
                    "use_bias": self.below(4) > 0,
                    "kernel_regularizer": self.penalty(),
                    "kernel_constraint": self.constraint(),
                });
                ("Dense", config)
            }
            4 => ("Activation", json!({"activation": self.activation()})),
            5 => ("ReLU", json!({"max_value": 2.0, "negative_slope": 0.125})),
            6 => ("LeakyReLU", json!({"negative_slope": rate})),
            7 => ("PReLU", json!({})),
            8 => ("ELU", json!({"alpha": rate})),
            9 => ("Softmax", json!({"axis": axis})),
            10 => ("Dropout", json!({"rate": rate})),
            11 => ("GaussianDropout", json!({"rate": rate})),
            12 => ("GaussianNoise", json!({"stddev": rate})),
            13 => ("AlphaDropout", json!({"rate": rate})),
            14 => {
                let renorm = self.below(3) == 0;
                let config = json!({"axis": axis, "momentum": 0.75, "renorm": renorm});
                ("BatchNormalization", config)
            }
            15 => (
                "LayerNormalization",
                json!({"axis": axis, "epsilon": 0.0078125}),
            ),
            16 => ("GroupNormalization", json!({"groups": 1 + self.below(2)})),
            17 => ("RMSNormalization", json!({})),
            18 => ("UnitNormalization", json!({})),
            19 => ("Rescaling", json!({"scale": 0.5, "offset": 0.25})),
            20 => ("ActivityRegularization", json!({"l2": 0.015625})),
            21 => ("Reshape", json!({"target_shape": [-1, 2]})),
            22 if shape.len() == 2 => ("Permute", json!({"dims": [2, 1]})),
            22 => ("RepeatVector", json!({"n": 2})),
            _ => (
                "Normalization",
                json!({"mean": 0.125, "variance": 2.0, "axis": null}),
            ),
        }
    }

    fn optimizer(&mut self) -> Value {
        let rate = json!({
            "class_name": "ExponentialDecay",
            "config": {"initial_learning_rate": 0.03125, "decay_steps": 10, "decay_rate": 0.5},
        });
        let mut config = match self.below(4) {
            0 => json!({"learning_rate": rate}),
            _ => json!({"learning_rate": 0.015625}),
        };
        let all = [
            "SGD",
            "RMSprop",
            "Adam",
            "AdamW",
            "Adamax",
            "Nadam",
            "Adagrad",
            "Adadelta",
            "Ftrl",
            "Lion",
            "Lamb",
            "Adafactor",
            "Muon",
        ];
        let class_name = self.one(&all);
        match class_name {
            "SGD" => config["momentum"] = json!(self.one(&[0.0, 0.5])),
            "RMSprop" => {
                config["centered"] = json!(self.below(2) == 0);
                config["momentum"] = json!(self.one(&[0.0, 0.5]));
            }
            "Adam" | "AdamW" => config["amsgrad"] = json!(self.below(2) == 0),
            _ => {}
        }
        match self.below(8) {
            0 => config["use_ema"] = json!(true),
            1 => config["gradient_accumulation_steps"] = json!(2),
            2 => config["clipnorm"] = json!(1.0),
            _ => {}
        }
        json!({"class_name": class_name, "config": config})
    }
}

fn made<P: DeserializeOwned>(object: Value) -> P {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"))
}

/// Layers that fit, one after the other, and numbers to train it with.
fn network(draw: &mut Draw) -> Result<(Sequential, Tensor, Tensor)> {
    let words = draw.below(6) == 0;
    let mut masked = false;
    let shape: Vec<usize> = match words {
        true => vec![5],
        false => draw.one(&[vec![6], vec![4, 6], vec![2, 3, 4]]),
    };
    let mut model = Sequential::new()
        .seed(draw.below(1000) as u64)
        .add(Input::new(&shape[..]));
    let count = [&[SAMPLES][..], &shape].concat();
    let mut x = numbers(&count, &format!("x{}", draw.below(100)));
    let mut current = shape.clone();
    if words {
        x = x.affine(3.5, 3.5)?.floor()?;
        masked = draw.below(2) == 0;
        let config = json!({
            "input_dim": 8, "output_dim": 4, "mask_zero": masked,
            "embeddings_regularizer": {"class_name": "L2", "config": {"l2": 0.015625}},
        });
        let layer: Box<dyn Layer> = made(json!({"class_name": "Embedding", "config": config}));
        model = model.add(layer);
        current.push(4);
    }
    let layers = 1 + draw.below(5);
    for _ in 0..layers {
        let (class_name, config) = draw.layer(&current);
        if masked && class_name == "Softmax" {
            continue; // Keras takes a mask of steps for one of features, and fails
        }
        let object = json!({"class_name": class_name, "config": config});
        let mut layer: Box<dyn Layer> = made(object.clone());
        // Alone first: a layer that does not fit this shape is left out.
        let alone = Sequential::new().add(Input::new(&current[..])).add(layer);
        let Ok(alone) = alone.build(&Device::Cpu) else {
            continue;
        };
        current = alone.output_shape().to_vec();
        layer = made(object);
        model = model.add(layer);
    }
    if current.len() > 1 {
        model = model.add(Flatten::new());
    }
    let (loss, activation, classes): (_, ActivationFunction, _) = draw.one(&[
        ("MeanSquaredError", Linear, 3),
        ("Huber", Tanh, 2),
        ("BinaryCrossentropy", Sigmoid, 1),
        ("CategoricalCrossentropy", Softmax, 4),
        ("SparseCategoricalCrossentropy", Softmax, 4),
    ]);
    let dense = Dense::new(classes).activation(activation).name("outputs");
    let mut model = model.add(dense).build(&Device::Cpu)?;
    let labels: Vec<f32> = (0..SAMPLES).map(|i| (i * 7 % 4) as f32).collect();
    let labels = Tensor::new(labels, &Device::Cpu)?;
    let y = match loss {
        "BinaryCrossentropy" => labels.gt(1.0)?.to_dtype(DType::F32)?.unsqueeze(1)?,
        "CategoricalCrossentropy" => to_categorical(&labels, 4)?,
        "SparseCategoricalCrossentropy" => labels,
        _ => numbers(&[SAMPLES, classes], "y"),
    };
    let metrics: Vec<Box<dyn Metric>> = match loss {
        "MeanSquaredError" | "Huber" => vec![made(json!("MeanAbsoluteError"))],
        _ => vec![made(json!("accuracy"))],
    };
    let optimizer: Box<dyn Optimizer> = made(draw.optimizer());
    let loss: Box<dyn Loss> = made(json!(loss));
    model.compile(optimizer, loss, metrics)?;
    Ok((model, x, y))
}

/// Whether a layer draws numbers while it trains.
fn draws(model: &Sequential) -> bool {
    let mut layers = model.layers();
    layers
        .any(|layer| layer.class_name().contains("Dropout") || layer.class_name().contains("Noise"))
}

/// The greatest difference, each by the number's own size where that is above 1.
fn worst(got: &[f64], expected: &[f64]) -> f64 {
    let each = got.iter().zip(expected);
    let each = each.map(|(got, expected)| (got - expected).abs() / expected.abs().max(1.0));
    each.fold(0.0, |worst, x| if x.is_nan() { x } else { worst.max(x) })
}

/// The predictions of the same model in f64, where rounding has no part in them.
fn in_float64(model: &Sequential, x: &Tensor) -> Result<Tensor> {
    let wide = Sequential::from_json(&model.to_json()?)?.dtype(DType::F64);
    let mut wide = wide.build(&Device::Cpu)?;
    wide.set_weights(&model.get_weights()?)?;
    wide.predict(x)
}

fn in_order() -> Fit<'static> {
    Fit::new().batch_size(8).shuffle(false).verbose(0)
}

fn scores(model: &mut Sequential, x: &Tensor, y: &Tensor) -> Vec<f64> {
    let options = Evaluate::new().batch_size(8).verbose(0);
    let logs = model.evaluate_with(x, y, options).unwrap();
    let mut scores = vec![logs["loss"]];
    scores.extend(
        logs.iter()
            .filter(|(name, _)| *name != "loss")
            .map(|(_, value)| value),
    );
    scores
}

fn next_loss(model: &mut Sequential, x: &Tensor, y: &Tensor) -> Option<f64> {
    if draws(model) {
        return None;
    }
    Some(model.fit(x, y, in_order()).unwrap()["loss"][0])
}

#[test]
#[ignore = "writes for tools/exchange/check"]
fn write_models_for_keras() {
    let folder = folder("ours");
    let mut written = 0;
    for seed in 0.. {
        if written == NETWORKS {
            break;
        }
        let mut draw = Draw(Stream::new(seed, "exchange", 0));
        let (mut model, x, y) = network(&mut draw).unwrap();
        // A network that explodes in its first epoch has no numbers to compare.
        if model.fit(&x, &y, in_order()).is_err() {
            continue;
        }
        // What the optimizer kept of a layer that is frozen now goes beside what Keras reads.
        if written % 5 == 0 {
            let first = model.layer_names()[0].to_string();
            model.set_trainable(&first, false).unwrap();
        }
        let file = |ending: &str| folder.join(format!("{written}.{ending}"));
        model.save(file("keras")).unwrap();
        model.export_onnx(file("onnx")).unwrap();
        x.write_npy(file("x.npy")).unwrap();
        y.write_npy(file("y.npy")).unwrap();
        model.predict(&x).unwrap().write_npy(file("p.npy")).unwrap();
        let exact = in_float64(&model, &x).unwrap();
        exact.write_npy(file("exact.npy")).unwrap();
        let numbers = Numbers {
            scores: scores(&mut model, &x, &y),
            next_loss: next_loss(&mut model, &x, &y),
        };
        std::fs::write(file("json"), serde_json::to_string(&numbers).unwrap()).unwrap();
        written += 1;
    }
    println!("wrote {written} models");
}

#[test]
#[ignore = "writes for tools/exchange/check"]
fn write_layers_and_activations_for_onnxruntime() {
    let folder = folder("onnx");
    let cases = [inference::activations(), inference::layers_alone()];
    for case in cases.iter().flatten() {
        let file = |ending: &str| folder.join(format!("{}.{ending}", case.name));
        case.model.export_onnx(file("onnx")).unwrap();
        case.x.write_npy(file("x.npy")).unwrap();
        let outputs = case.model.predict(&case.x).unwrap();
        outputs.write_npy(file("p.npy")).unwrap();
    }
}

#[test]
#[ignore = "reads what tools/exchange/check lets Keras write"]
fn read_models_of_keras() {
    let folder = folder("keras");
    let mut problems = Vec::new();
    let mut greatest = [0f64; 3];
    for number in 0..NETWORKS {
        match compare(&folder, number) {
            Ok(differences) => {
                for (greatest, difference) in greatest.iter_mut().zip(differences) {
                    *greatest = greatest.max(difference);
                }
            }
            Err(problem) => problems.push(format!("{number}: {problem}")),
        }
    }
    let [predictions, scores, losses] = greatest;
    println!(
        "Keras's models here: {} of {NETWORKS} agree; greatest differences: predictions {predictions:.1e}, \
         evaluate {scores:.1e}, loss of another epoch {losses:.1e}",
        NETWORKS - problems.len()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Differences of predictions, scores and the next loss, each by its own size where that is above 1.
fn compare(folder: &Path, number: usize) -> std::result::Result<[f64; 3], String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let file = |ending: &str| folder.join(format!("{number}.{ending}"));
    let read = |ending: &str| Tensor::read_npy(file(ending)).unwrap();
    let tensor = |ending: &str| read(ending).to_dtype(DType::F32).unwrap();
    let mut model = Sequential::load(file("keras"), &Device::Cpu).map_err(|e| text(&e))?;
    let (x, y, p) = (tensor("x.npy"), tensor("y.npy"), tensor("p.npy"));
    let written = std::fs::read_to_string(file("json")).unwrap();
    let expected: Numbers = serde_json::from_str(&written).unwrap();
    let got = common::flat(&model.predict(&x).map_err(|e| text(&e))?);
    let (p, exact) = (common::flat(&p), common::flat(&read("exact.npy")));
    let mut predictions = worst(&got, &p);
    if predictions > 1e-6 {
        // A division by a small deviation makes the rounding before it larger, on both sides.
        let (ours, keras_own) = (worst(&got, &exact), worst(&p, &exact));
        println!(
            "    predictions apart by rounding: from those in float64, ours {ours:.1e}, Keras's {keras_own:.1e}"
        );
        let rounded = ours <= f64::max(2.0 * keras_own, 1e-6) && ours <= 1e-5;
        predictions = if rounded { 0.0 } else { predictions };
    }
    let scores = worst(&scores(&mut model, &x, &y), &expected.scores);
    let losses = match (expected.next_loss, next_loss(&mut model, &x, &y)) {
        (Some(expected), Some(got)) => worst(&[got], &[expected]),
        _ => 0.0,
    };
    let bounds = [1e-6, 1e-5, 1e-4];
    let names = ["predictions", "evaluate", "loss of another epoch"];
    let differences = [predictions, scores, losses];
    for ((difference, bound), name) in differences.iter().zip(bounds).zip(names) {
        if difference.is_nan() || *difference > bound {
            return Err(format!("{name} differ by {difference:e}"));
        }
    }
    Ok(differences)
}
