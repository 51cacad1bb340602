//! What every layer, loss and optimizer of the crate must do, from one table of each.

mod common;

use candle_core::Var;
use candle_keras::{
    Result, activations::ActivationFunction, layers::Layer, losses::Loss, metrics::Metric,
    prelude::*,
};
use common::{assert_close, bits, flat, numbers};
use serde::Deserialize;
use serde_json::{Value, json};

/// A layer as Keras configures it, and the shapes of samples that it takes and does not take.
struct Entry {
    object: Value,
    takes: Vec<Vec<usize>>,
    refuses: Vec<Vec<usize>>,
    /// Whether it takes whole numbers, which no layer before it gives.
    ids: bool,
}

impl Entry {
    fn make(&self) -> Box<dyn Layer> {
        let made = Box::<dyn Layer>::deserialize(&self.object);
        made.unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    fn class_name(&self) -> &str {
        self.object["class_name"].as_str().unwrap()
    }

    /// Samples of a shape that it takes.
    fn samples(&self, batch: usize, sample: &[usize]) -> Tensor {
        let x = numbers(&shape(batch, sample), "x");
        if self.ids {
            return x.affine(2.4, 2.5).unwrap().floor().unwrap(); // 0 to 4
        }
        x
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.class_name(), self.object["config"])
    }
}

/// Shapes that a layer takes which works on every number or along the last axis.
const ANY: &[&[usize]] = &[&[6], &[2], &[4, 6], &[2, 3, 8]];

/// Every layer of the crate but `Input`, with arguments that change what it does.
fn layers() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |class_name: &str, config: Value, takes: &[&[usize]], refuses: &[&[usize]]| {
        entries.push(Entry {
            object: json!({"class_name": class_name, "config": config}),
            takes: takes.iter().map(|shape| shape.to_vec()).collect(),
            refuses: refuses.iter().map(|shape| shape.to_vec()).collect(),
            ids: class_name == "Embedding",
        });
    };
    // A bias that is not 0, so that leaving it out is seen.
    let uniform = json!({
        "class_name": "RandomUniform",
        "config": {"minval": -0.5, "maxval": 0.5},
    });
    let penalty = json!({"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.02}});
    let more = [
        json!({"class_name": "leaky_relu", "config": {"negative_slope": 0.0}}),
        json!({"class_name": "leaky_relu", "config": {"negative_slope": -0.5}}),
        json!({"class_name": "elu", "config": {"alpha": 0.3}}),
        json!({"class_name": "elu", "config": {"alpha": -0.7}}),
        json!({"class_name": "gelu", "config": {"approximate": true}}),
        json!({"class_name": "relu", "config": {"negative_slope": 0.1, "max_value": 0.6, "threshold": 0.2}}),
    ];
    let all = ActivationFunction::ALL;
    let all = all
        .iter()
        .map(|function| serde_json::to_value(function).unwrap());
    for function in all.chain(more) {
        for use_bias in [true, false] {
            let config = json!({
                "units": 4, "activation": function, "use_bias": use_bias,
                "bias_initializer": uniform,
            });
            add("Dense", config, ANY, &[&[]]);
        }
        let refuses: &[&[usize]] = match function.as_str() {
            Some("softmax" | "log_softmax" | "sparsemax" | "glu") => &[&[]],
            _ => &[],
        };
        add("Activation", json!({"activation": function}), ANY, refuses);
    }
    let config = json!({
        "units": 3, "kernel_regularizer": penalty, "bias_regularizer": penalty,
        "activity_regularizer": penalty,
    });
    add("Dense", config, ANY, &[]);
    add("ReLU", json!({}), ANY, &[]);
    let config = json!({"max_value": 0.7, "negative_slope": 0.2, "threshold": 0.1});
    add("ReLU", config, ANY, &[]);
    add("LeakyReLU", json!({}), ANY, &[]);
    add("PReLU", json!({"alpha_initializer": uniform}), ANY, &[]);
    let config = json!({"alpha_initializer": uniform, "shared_axes": [1]});
    add("PReLU", config, &[&[4, 6]], &[]);
    add("ELU", json!({"alpha": 0.7}), ANY, &[]);
    add("Softmax", json!({}), ANY, &[&[]]);
    add("Softmax", json!({"axis": 1}), ANY, &[]);
    for rate in [0.0, 0.4, 1.0] {
        add("Dropout", json!({"rate": rate}), ANY, &[]);
    }
    let config = json!({"rate": 0.4, "noise_shape": [null, 1, null]});
    add("Dropout", config, &[&[4, 6]], &[]);
    add("AlphaDropout", json!({"rate": 0.3}), ANY, &[]);
    add("GaussianDropout", json!({"rate": 0.3}), ANY, &[]);
    add("GaussianNoise", json!({"stddev": 0.3}), ANY, &[]);
    add("Flatten", json!({}), ANY, &[]);
    add(
        "Reshape",
        json!({"target_shape": [3, -1]}),
        &[&[6], &[4, 6], &[2, 3, 8]],
        &[&[5]],
    );
    add(
        "Permute",
        json!({"dims": [2, 1]}),
        &[&[4, 6], &[2, 3]],
        &[&[4], &[2, 3, 4]],
    );
    add("RepeatVector", json!({"n": 3}), &[&[6], &[2]], &[&[4, 6]]);
    add("BatchNormalization", json!({"momentum": 0.8}), ANY, &[]);
    let config = json!({"axis": 1, "center": false, "epsilon": 0.1});
    add("BatchNormalization", config, ANY, &[]);
    add("BatchNormalization", json!({"trainable": false}), ANY, &[]);
    add("LayerNormalization", json!({}), ANY, &[]);
    let config = json!({"axis": [1, 2], "scale": false, "epsilon": 0.1});
    add(
        "LayerNormalization",
        config,
        &[&[4, 6], &[2, 3, 8]],
        &[&[4]],
    );
    add("GroupNormalization", json!({"groups": 2}), ANY, &[&[5]]);
    add("RMSNormalization", json!({"epsilon": 0.1}), ANY, &[]);
    add("UnitNormalization", json!({}), ANY, &[]);
    let config = json!({"input_dim": 5, "output_dim": 3, "embeddings_initializer": uniform});
    add("Embedding", config, &[&[4], &[], &[2, 3]], &[]);
    add("Rescaling", json!({"scale": 0.5, "offset": -1.0}), ANY, &[]);
    add(
        "Normalization",
        json!({"mean": 0.1, "variance": 4.0, "axis": null}),
        ANY,
        &[],
    );
    // Before `adapt`: its mean and variance are weights.
    add("Normalization", json!({}), ANY, &[]);
    add("Normalization", json!({"axis": [1]}), ANY, &[]);
    add(
        "ActivityRegularization",
        json!({"l1": 0.01, "l2": 0.02}),
        ANY,
        &[],
    );
    entries
}

#[test]
fn no_layer_is_without_these_contracts() {
    let entries = layers();
    let catalogue = candle_keras::catalogue();
    let (_, classes) = catalogue.iter().find(|(kind, _)| *kind == "layer").unwrap();
    for class_name in classes {
        let covered = entries
            .iter()
            .any(|entry| entry.class_name() == *class_name);
        assert!(covered, "add {class_name} to the table of this file");
    }
}

/// The layers that say `supports_masking` in Keras 3.15.1.
const MASKING: [&str; 18] = [
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
    "UnitNormalization",
];

/// One loss for every step: the mean over the last axis.
#[derive(Debug)]
struct StepError;

impl Loss for StepError {
    fn name(&self) -> &str {
        "step_error"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_pred - y_true)?.sqr()?.mean(candle_core::D::Minus1)?)
    }
}

#[test]
fn a_mask_reaches_the_loss_through_the_layers_that_let_it_through_in_keras() {
    let ids = Tensor::new(&[[1f32, 2.0, 0.0], [3.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let (steps, features) = (3, 4);
    let mut compared = Vec::new();
    for entry in layers().iter().filter(|entry| !entry.ids) {
        let sample = [steps, features];
        let network = |mask_zero| {
            let config = json!({"input_dim": 4, "output_dim": features, "mask_zero": mask_zero});
            let embedding = json!({"class_name": "Embedding", "config": config});
            let embedding = Box::<dyn Layer>::deserialize(&embedding).unwrap();
            let model = Sequential::new().seed(3).add(Input::new(steps));
            model.add(embedding).add(entry.make()).build(&Device::Cpu)
        };
        let (Ok(mut masked), Ok(plain)) = (network(true), network(false)) else {
            continue; // not a layer for samples of this shape
        };
        if masked.output_shape().len() != sample.len() || masked.output_shape()[0] != steps {
            continue; // other steps come out than go in
        }
        masked.compile(Sgd::new(0.1), StepError, ()).unwrap();
        let outputs = plain.predict(&ids).unwrap();
        let y = (&outputs - numbers(outputs.dims(), "error")).unwrap();
        let losses = flat(&StepError.call(&y, &outputs).unwrap());
        // Of a mask, steps 0, 1 and 3 count.
        let masks = MASKING.contains(&entry.class_name());
        let counted = if masks {
            vec![0, 1, 3]
        } else {
            (0..6).collect()
        };
        let sum: f64 = counted.iter().map(|step| losses[*step]).sum();
        let expected = sum / counted.len() as f64;
        let layer = masked.layers().last().unwrap().layer();
        let penalty = match layer.activity_regularizer() {
            Some(regularizer) => flat(&regularizer.penalty(&outputs).unwrap())[0] / 2.0,
            None => 0.0,
        };
        if !entry.object["config"]["kernel_regularizer"].is_null() {
            continue; // the penalties of weights are another test's
        }
        let scores = masked
            .evaluate_with(&ids, &y, Evaluate::new().verbose(0))
            .unwrap();
        let what = format!("{entry:?}");
        assert_close(&what, &[scores["loss"]], &[expected + penalty], 1e-5, 0.0);
        compared.push(entry.class_name().to_string());
    }
    for class_name in MASKING {
        assert!(
            compared.iter().any(|each| each == class_name),
            "{class_name}"
        );
    }
}

#[test]
fn a_layer_made_from_its_own_configuration_is_the_same_layer() {
    for entry in layers() {
        let layer = entry.make();
        let written = serde_json::to_value(&layer).unwrap();
        let again = Box::<dyn Layer>::deserialize(&written).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written, "{entry:?}");
        let sample = &entry.takes[0];
        let x = entry.samples(3, sample);
        let outputs = |layer| flat(&model(sample, vec![layer], DType::F32).predict(&x).unwrap());
        assert_eq!(outputs(layer), outputs(again), "{entry:?}");
    }
}

fn shape(batch: usize, sample: &[usize]) -> Vec<usize> {
    [&[batch], sample].concat()
}

/// The mean of the squared error, without a fused gradient and from any shape.
#[derive(Debug)]
struct SquaredError;

impl Loss for SquaredError {
    fn name(&self) -> &str {
        "squared_error"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_pred - y_true)?.sqr()?.flatten_from(1)?.mean(1)?)
    }
}

/// `layers` after an input of `sample`, seeded and compiled.
fn model(sample: &[usize], layers: Vec<Box<dyn Layer>>, dtype: DType) -> Sequential {
    let model = Sequential::new().seed(9).dtype(dtype);
    let mut model = layers
        .into_iter()
        .fold(model.add(Input::new(sample)), Sequential::add)
        .build(&Device::Cpu)
        .unwrap();
    model.compile(Sgd::new(0.1), SquaredError, ()).unwrap();
    model
}

/// The entry's layer behind a dense one, through which the gradient of its inputs is seen.
fn behind_dense(entry: &Entry, sample: &[usize], dtype: DType) -> Sequential {
    if entry.ids {
        return model(sample, vec![entry.make()], dtype);
    }
    let features = *sample.last().unwrap();
    let first = Dense::new(features).name("first");
    model(sample, vec![first.into(), entry.make()], dtype)
}

/// Targets of the shape of a model's outputs.
fn targets(model: &Sequential, batch: usize) -> Tensor {
    numbers(&shape(batch, model.output_shape()), "y")
}

#[test]
fn the_shape_that_a_layer_promises_is_the_one_it_gives() {
    for entry in layers() {
        for sample in &entry.takes {
            let model = model(sample, vec![entry.make()], DType::F32);
            for batch in [1, 3] {
                let outputs = model.predict(entry.samples(batch, sample)).unwrap();
                let promised = shape(batch, model.output_shape());
                assert_eq!(outputs.dims(), promised, "{entry:?} of {sample:?}");
            }
        }
    }
}

#[test]
fn a_layer_that_cannot_take_a_shape_says_so_with_its_name() {
    for entry in layers() {
        for sample in &entry.refuses {
            let model = Sequential::new()
                .add(Input::new(&sample[..]))
                .add(entry.make());
            let error = model.build(&Device::Cpu).unwrap_err().to_string();
            let class_name = entry.class_name();
            let named =
                error.starts_with("layer `") && error.contains(&format!(" ({class_name}): "));
            assert!(named, "{entry:?}: {error}");
            assert!(error.contains("expected "), "{entry:?}: {error}");
        }
    }
}

/// The loss of the first training step on one batch, dropout included.
fn first_loss(mut model: Sequential, x: &Tensor, y: &Tensor) -> f64 {
    let options = Fit::new().verbose(0).batch_size(1000).shuffle(false);
    model.fit(x, y, options).unwrap()["loss"][0]
}

#[test]
fn the_gradients_of_a_layers_weights_and_inputs_are_those_of_finite_differences() {
    for entry in layers() {
        for sample in &entry.takes {
            let make = || behind_dense(&entry, sample, DType::F64);
            let what = format!("{entry:?} of {sample:?}");
            let (model, x) = (make(), entry.samples(3, sample));
            let y = targets(&model, 3);
            let differ = |path: &str, values: &Tensor| {
                let mut model = make();
                model.set_weight(path, values).unwrap();
                first_loss(model, &x, &y)
            };
            let gradients = model.gradients(&x, &y).unwrap();
            let paths: Vec<&String> = gradients.iter().map(|(path, _)| path).collect();
            let trained = model.weights().filter(|weight| weight.trainable());
            let trained: Vec<&str> = trained.map(|weight| weight.path()).collect();
            assert_eq!(paths, trained, "{what}");
            for (path, gradient) in &gradients {
                let value = model.weight(path).unwrap();
                assert_eq!(gradient.dims(), value.dims(), "{what} {path}");
                let differences = differences(&value, |values| differ(path, values));
                let what = format!("{what}, {path}");
                assert_close(&what, &flat(gradient), &differences, 1e-6, 1e-8);
            }
        }
    }
}

/// The central differences of a function at `value`, one for each number.
fn differences(value: &Tensor, function: impl Fn(&Tensor) -> f64) -> Vec<f64> {
    let numbers = flat(value);
    // The formula errs by h², f64's rounding by 1e-16 / h.
    let h = 1e-5;
    let at = |index: usize, change: f64| {
        let mut moved = numbers.clone();
        moved[index] += change;
        function(&Tensor::from_vec(moved, value.dims(), &Device::Cpu).unwrap())
    };
    let difference = |index| (at(index, h) - at(index, -h)) / (2.0 * h);
    (0..numbers.len()).map(difference).collect()
}

#[test]
fn the_fused_f32_gradients_of_a_layer_are_the_plain_f64_ones() {
    for entry in layers() {
        for (index, sample) in entry.takes.iter().enumerate() {
            for batch in [2 + index, 19] {
                compare_with_f64(&entry, sample, batch);
            }
        }
    }
    let mut stream = candle_keras::seed::Stream::new(1, "shapes", 0);
    let mut below = |limit: usize| 1 + (stream.uniform() * limit as f32) as usize;
    for entry in layers()
        .iter()
        .filter(|entry| entry.takes.len() == ANY.len())
    {
        for rank in [1, 2] {
            let sample: Vec<usize> = (0..rank).map(|_| 2 * below(20)).collect();
            compare_with_f64(entry, &sample, 1 + below(20));
        }
    }
}

fn compare_with_f64(entry: &Entry, sample: &[usize], batch: usize) {
    let what = format!("{entry:?} of {sample:?} in batches of {batch}");
    let x = entry.samples(batch, sample);
    let gradients = |dtype| {
        let model = behind_dense(entry, sample, dtype);
        let y = targets(&model, batch);
        let outputs = flat(&model.predict(&x).unwrap());
        (outputs, model.gradients(&x, &y).unwrap())
    };
    let (fused, plain) = (gradients(DType::F32), gradients(DType::F64));
    assert_close(&what, &fused.0, &plain.0, 1e-5, 1e-5);
    for ((path, fused), (_, plain)) in fused.1.iter().zip(&plain.1) {
        assert_eq!((fused.dtype(), plain.dtype()), (DType::F32, DType::F64));
        // Sums of up to 800 terms of f32's 6e-8 each; a gradient's size is that of its greatest
        // number.
        let plain = flat(plain);
        let size = plain.iter().fold(0f64, |size, x| size.max(x.abs()));
        let what = format!("{what}, {path}");
        assert_close(&what, &flat(fused), &plain, 1e-5, 2e-5 * size + 2e-6);
    }
}

#[test]
fn the_same_seed_gives_a_layer_the_same_bits_and_another_seed_others() {
    for entry in layers() {
        let sample = &entry.takes[0];
        let x = entry.samples(7, sample);
        let mut built: Option<Vec<Tensor>> = None;
        let mut train = |seed: u64| {
            let mut model = Sequential::new().seed(seed).add(Input::new(&sample[..]));
            if !entry.ids {
                model = model.add(Dense::new(*sample.last().unwrap()));
            }
            let mut model = model.add(entry.make()).build(&Device::Cpu).unwrap();
            // The same first weights, so that another seed is seen in what the layer draws, and in
            // the order of samples, which for one batch is none.
            let first = built.get_or_insert(model.get_weights().unwrap());
            model.set_weights(first).unwrap();
            model.compile(Adam::new(0.01), SquaredError, ()).unwrap();
            let y = targets(&model, 7);
            let options = Fit::new().epochs(2).batch_size(7).shuffle(false).verbose(0);
            model.fit(&x, &y, options).unwrap();
            bits(&model)
        };
        let first = train(1);
        assert_eq!(first, train(1), "{entry:?}");
        let rate = entry.object["config"]["rate"].as_f64();
        let draws = match entry.class_name() {
            "Dropout" => rate.is_some_and(|rate| 0.0 < rate && rate < 1.0),
            "AlphaDropout" | "GaussianDropout" | "GaussianNoise" => true,
            _ => false,
        };
        assert_eq!(first != train(2), draws, "{entry:?}");
    }
}

#[test]
fn weights_that_a_layer_saved_are_loaded_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer.safetensors");
    for entry in layers() {
        for dtype in [DType::F32, DType::F64] {
            let sample = &entry.takes[0];
            let mut trained = behind_dense(&entry, sample, dtype);
            let (x, y) = (entry.samples(7, sample), targets(&trained, 7));
            trained.fit(&x, &y, Fit::new().verbose(0)).unwrap();
            trained.save_weights(&file).unwrap();
            let mut loaded = behind_dense(&entry, sample, dtype);
            loaded.load_weights(&file).unwrap();
            assert_eq!(bits(&loaded), bits(&trained), "{entry:?}");
            let outputs = |model: &Sequential| flat(&model.predict(&x).unwrap());
            assert_eq!(outputs(&loaded), outputs(&trained), "{entry:?}");
        }
    }
}

/// A loss, and whether its outputs are probabilities or logits and its targets labels or numbers.
struct LossEntry {
    loss: Box<dyn Loss>,
    outputs: Outputs,
    targets: Targets,
}

#[derive(Clone, Copy, PartialEq)]
enum Outputs {
    Any,
    Probabilities,
    Logits,
}

#[derive(Clone, Copy, PartialEq)]
enum Targets {
    Numbers,
    Labels,
}

/// Every loss of the crate.
fn losses() -> Vec<LossEntry> {
    let entry = |loss: Box<dyn Loss>, outputs, targets| LossEntry {
        loss,
        outputs,
        targets,
    };
    let (p, z) = (Outputs::Probabilities, Outputs::Logits);
    let (numbers, labels) = (Targets::Numbers, Targets::Labels);
    let categorical = CategoricalCrossentropy::new;
    let sparse = SparseCategoricalCrossentropy::new;
    vec![
        entry(MeanSquaredError::new().into(), Outputs::Any, numbers),
        entry(BinaryCrossentropy::new().into(), p, numbers),
        entry(BinaryCrossentropy::new().from_logits().into(), z, numbers),
        entry(categorical().into(), p, numbers),
        entry(categorical().from_logits().into(), z, numbers),
        entry(sparse().into(), p, labels),
        entry(sparse().from_logits().into(), z, labels),
    ]
}

impl LossEntry {
    /// Targets and outputs of these dimensions.
    fn data(&self, dims: &[usize]) -> (Tensor, Tensor) {
        let raw = numbers(dims, "y_pred");
        let y_pred = match self.outputs {
            Outputs::Probabilities => raw.affine(0.45, 0.5).unwrap(),
            _ => raw.affine(3.0, 0.0).unwrap(),
        };
        let (width, outer) = dims.split_last().unwrap();
        let y_true = match self.targets {
            Targets::Numbers => numbers(dims, "y_true").affine(0.5, 0.5).unwrap(),
            Targets::Labels => {
                let count: usize = outer.iter().product();
                let labels = (0..count).map(|index| (index * 7 % width) as f32);
                Tensor::from_iter(labels, &Device::Cpu)
                    .unwrap()
                    .reshape(outer)
                    .unwrap()
            }
        };
        (y_true, y_pred)
    }
}

/// Losses and the gradient of their sum, by candle's autograd.
fn by_autograd(loss: &dyn Loss, y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
    let y_pred = Var::from_tensor(y_pred)?;
    let losses = loss.call(y_true, &y_pred)?;
    let store = losses.sum_all()?.backward()?;
    Ok((losses.detach(), store.get(&y_pred).unwrap().clone()))
}

#[test]
fn the_gradients_of_a_loss_are_those_of_finite_differences_fused_or_not() {
    for entry in losses() {
        for dims in [&[1, 4][..], &[5, 1], &[3, 7], &[2, 3, 4]] {
            let (y_true, y_pred) = entry.data(dims);
            let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
            let (wide_true, wide_pred) = (wide(&y_true), wide(&y_pred));
            let what = format!("{:?} of {dims:?}", entry.loss);
            let sum = |y_pred: &Tensor| flat(&entry.loss.call(&wide_true, y_pred).unwrap());
            let expected = differences(&wide_pred, |y_pred| sum(y_pred).iter().sum());
            let losses = sum(&wide_pred);

            for (y_true, y_pred) in [(&y_true, &y_pred), (&wide_true, &wide_pred)] {
                let (relative, absolute) = match y_pred.dtype() {
                    DType::F64 => (1e-7, 1e-9),
                    _ => (1e-5, 1e-6),
                };
                let check = |way: &str, (got, gradient): (Tensor, Tensor)| {
                    let what = format!("{what}, {way}, {:?}", y_pred.dtype());
                    assert_eq!(got.dims(), &dims[..dims.len() - 1], "{what}");
                    assert_close(&what, &flat(&got), &losses, relative, absolute);
                    let what = format!("{what}, gradient");
                    assert_eq!(gradient.dims(), dims, "{what}");
                    assert_close(&what, &flat(&gradient), &expected, relative, absolute);
                };
                let fused = entry.loss.losses_and_gradient(y_true, y_pred).unwrap();
                let has_fused = entry.outputs != Outputs::Probabilities;
                assert_eq!(fused.is_some(), has_fused, "{what}");
                if let Some(fused) = fused {
                    check("fused", fused);
                }
                let plain = by_autograd(&*entry.loss, y_true, y_pred).unwrap();
                check("autograd", plain);
            }
        }
    }
}

#[test]
fn a_cross_entropy_of_logits_is_finite_and_right_for_logits_of_ten_thousand() {
    let z = 1e4;
    for dtype in [DType::F32, DType::F64] {
        let tensor = |values: [[f64; 2]; 4]| {
            let values = Tensor::new(&values, &Device::Cpu).unwrap();
            values.to_dtype(dtype).unwrap()
        };
        let logits = tensor([[z, -z], [z, -z], [-z, z], [z, z]]);
        let one_hot = tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
        let labels = Tensor::new(&[0f64, 1.0, 0.0, 1.0], &Device::Cpu).unwrap();
        let labels = labels.to_dtype(dtype).unwrap();
        let check = |loss: &dyn Loss, y_true: &Tensor, losses: [f64; 4], gradient: [f64; 8]| {
            let fused = loss.losses_and_gradient(y_true, &logits).unwrap().unwrap();
            let plain = by_autograd(loss, y_true, &logits).unwrap();
            for (way, got) in [("fused", fused), ("autograd", plain)] {
                let what = format!("{loss:?} {dtype:?} {way}");
                assert_close(&what, &flat(&got.0), &losses, 1e-7, 0.0);
                assert_close(&what, &flat(&got.1), &gradient, 1e-7, 0.0);
            }
        };
        let ln_2 = std::f64::consts::LN_2;
        let losses = [0.0, 2.0 * z, 2.0 * z, ln_2];
        let gradient = [0.0, 0.0, 1.0, -1.0, -1.0, 1.0, 0.5, -0.5];
        let categorical = CategoricalCrossentropy::new().from_logits();
        check(&categorical, &one_hot, losses, gradient);
        let sparse = SparseCategoricalCrossentropy::new().from_logits();
        check(&sparse, &labels, losses, gradient);
        let binary = BinaryCrossentropy::new().from_logits();
        let losses = [0.0, z, z, z / 2.0];
        let gradient = [0.0, 0.0, 0.5, -0.5, -0.5, 0.5, 0.5, 0.0];
        check(&binary, &one_hot, losses, gradient);
    }
}

#[test]
fn a_model_that_ends_in_probabilities_learns_from_logits_of_ten_thousand() {
    for (units, activation) in [(2, Softmax), (1, Sigmoid)] {
        for as_layer in [false, true] {
            let last = Dense::new(units).kernel_initializer(candle_keras::initializers::Ones);
            let model = Sequential::new().add(Input::new(1));
            let model = if as_layer {
                model.add(last).add(Activation::new(activation))
            } else {
                model.add(last.activation(activation))
            };
            let mut model = model.build(&Device::Cpu).unwrap();
            if units == 2 {
                let kernel = Tensor::new(&[[1f32, -1.0]], &Device::Cpu).unwrap();
                model.set_weight("dense/kernel", &kernel).unwrap();
            }
            let loss: Box<dyn Loss> = match units {
                2 => SparseCategoricalCrossentropy::new().into(),
                _ => BinaryCrossentropy::new().into(),
            };
            model.compile(Sgd::new(0.1), loss, [Accuracy]).unwrap();
            // The right class has the logit -1e4 and is rounded to a probability of 0.
            let x = Tensor::new(&[[1e4f32]], &Device::Cpu).unwrap();
            let y = Tensor::new(&[if units == 2 { 1f32 } else { 0.0 }], &Device::Cpu).unwrap();
            let scores = model.evaluate_with(&x, &y, Evaluate::new().verbose(0));
            let expected = if units == 2 { 2e4 } else { 1e4 };
            assert_eq!(scores.unwrap()["loss"], expected);
            let (path, bias) = &model.gradients(&x, &y).unwrap()[1];
            assert_eq!(path, "dense/bias");
            let expected: &[f64] = if units == 2 { &[1.0, -1.0] } else { &[1.0] };
            assert_eq!(flat(bias), expected);
            let probabilities = flat(&model.predict(&x).unwrap());
            let expected: &[f64] = if units == 2 { &[1.0, 0.0] } else { &[1.0] };
            assert_eq!(probabilities, expected);
        }
    }
}

#[test]
fn elu_keeps_its_digits_near_0() {
    let x = [-1e-6f32, -1e-4, -1e-2, 1e-6];
    let expected = x.map(|x| match f64::from(x) {
        x if x > 0.0 => x,
        x => x.exp_m1(),
    });
    let y = Elu { alpha: 1.0 }.call(&Tensor::new(&x, &Device::Cpu).unwrap());
    assert_close("elu", &flat(&y.unwrap()), &expected, 1e-6, 0.0);
}

#[test]
fn accuracy_of_targets_with_an_axis_too_many_is_that_of_targets_without() {
    // The greatest of each row: 4 and 4, 0 and 1, 2 and 2.
    let y = [
        [0f32, 0.0, 0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
    ];
    let p = [
        [0.1f32, 0.2, 0.1, 0.2, 0.4],
        [0.2, 0.6, 0.0, 0.1, 0.1],
        [0.0, 0.1, 0.7, 0.1, 0.1],
    ];
    for dtype in [DType::F32, DType::F64] {
        let tensor = |values| {
            Tensor::new(values, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
        };
        let (y, p): (Tensor, Tensor) = (tensor(&y), tensor(&p));
        for y in [y.unsqueeze(2).unwrap(), y] {
            let mut counter = Accuracy.counter();
            counter.update(&y, &p, None).unwrap();
            let accuracy = counter.result().unwrap();
            assert!((accuracy - 2.0 / 3.0).abs() < 1e-7, "{dtype:?}: {accuracy}");
        }
    }
}
