//! Models as ONNX files: what is in them, and that their operators give what `predict` gives. The
//! files go through onnxruntime in `tools/exchange/check`.

mod common;
#[path = "onnx/file.rs"]
mod file;
#[path = "common/inference.rs"]
mod inference;
#[path = "onnx/run.rs"]
mod run;

use candle_keras::{
    Result,
    activations::ActivationFunction,
    layers::{Layer, Pass},
    prelude::*,
};
use common::{flat, numbers};
use file::{File, Info};
use std::fs;

fn exported(model: &Sequential) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    model.export_onnx(&path).unwrap();
    File::new(&fs::read(&path).unwrap())
}

fn text<T>(result: Result<T>) -> String {
    result.map(drop).unwrap_err().to_string()
}

fn network() -> Sequential {
    Sequential::new()
        .seed(1)
        .add(Input::new((2, 3)))
        .add(Dense::new(4).activation(Relu))
        .add(Dropout::new(0.5))
        .add(Flatten::new())
        .add(Dense::new(3).name("head").activation(Softmax))
        .build(&Device::Cpu)
        .unwrap()
}

#[test]
fn a_file_says_what_the_documentation_says() {
    let model = network();
    let file = exported(&model);
    assert_eq!((file.ir_version, file.opset), (8, 17));
    assert_eq!(file.producer, "candle-keras");
    let info = |name: &str, axes: &[&str]| {
        let axes = axes.iter().map(|axis| axis.to_string()).collect();
        Info(name.to_string(), 1, axes)
    };
    assert_eq!(file.inputs, [info("input_layer", &["batch", "2", "3"])]);
    assert_eq!(file.outputs, [info("output_0", &["batch", "3"])]);
    let names: Vec<&str> = file.nodes.iter().map(|node| node.name.as_str()).collect();
    let expected = [
        "dense/MatMul",
        "dense/Add",
        "dense/Relu",
        "flatten/Reshape",
        "head/MatMul",
        "head/Add",
        "head/Softmax",
    ];
    assert_eq!(names, expected);
    for weight in model.weights() {
        let constant = &file.constants[weight.path()];
        assert_eq!(constant.dims(), weight.value().dims());
        assert_eq!(flat(constant), flat(weight.value()));
    }
    let others = file
        .constants
        .keys()
        .filter(|name| model.weight(name).is_err());
    assert_eq!(others.collect::<Vec<_>>(), ["flatten/shape"]);
}

#[test]
fn a_model_is_written_to_the_same_bytes_twice_and_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.onnx", "b.onnx"].map(|name| folder.path().join(name));
    let model = network();
    fs::write(&second, "what was there").unwrap();
    model.export_onnx(&first).unwrap();
    model.export_onnx(&second).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn every_value_has_one_name_and_is_there_before_it_is_used() {
    for case in [inference::activations(), inference::layers_alone()]
        .iter()
        .flatten()
    {
        let file = exported(&case.model);
        let mut known: Vec<&String> = file.constants.keys().collect();
        known.push(&file.inputs[0].0);
        for node in &file.nodes {
            assert!(
                node.inputs.iter().all(|name| known.contains(&name)),
                "{node:?}"
            );
            known.extend(&node.outputs);
        }
        assert_eq!(known.last().unwrap().as_str(), "output_0", "{}", case.name);
        let count = known.len();
        known.sort();
        known.dedup();
        assert_eq!(known.len(), count, "{}: two values of one name", case.name);
    }
}

/// The same model in f64, which leaves rounding out of the comparison.
fn in_f64(model: &Sequential) -> Sequential {
    let wide = Sequential::from_json(&model.to_json().unwrap()).unwrap();
    let mut wide = wide.dtype(DType::F64).build(&Device::Cpu).unwrap();
    wide.set_weights(&model.get_weights().unwrap()).unwrap();
    wide
}

/// The greatest difference of a file's outputs from `predict`, both in f64, by their size where that
/// is above 1. Numbers in formulas are f32 in the file.
fn difference(model: &Sequential, x: &Tensor) -> f64 {
    let expected = in_f64(model).predict(x).unwrap();
    let got = run::run(&exported(model), x);
    assert_eq!(got.dims(), expected.dims());
    let pairs = flat(&got).into_iter().zip(flat(&expected));
    let differences = pairs.map(|(got, expected)| (got - expected).abs() / expected.abs().max(1.0));
    differences.fold(
        0.0,
        |worst, each| if each.is_nan() { each } else { each.max(worst) },
    )
}

#[test]
fn every_activation_gives_what_predict_gives() {
    let cases = inference::activations();
    assert!(cases.len() > ActivationFunction::ALL.len());
    for case in cases {
        let found = difference(&case.model, &case.x);
        assert!(found <= 1e-6, "{}: {found:e}", case.name);
    }
}

#[test]
fn every_layer_of_the_catalogue_gives_what_predict_gives() {
    let cases = inference::layers_alone();
    let catalogue = candle_keras::catalogue();
    let (_, classes) = catalogue.iter().find(|(kind, _)| *kind == "layer").unwrap();
    for class_name in classes {
        let covered = cases.iter().any(|case| case.class_name == *class_name);
        assert!(covered, "add {class_name} to tests/common/inference.rs");
    }
    for case in cases {
        let found = difference(&case.model, &case.x);
        assert!(found <= 1e-6, "{}: {found:e}", case.name);
        // A batch of another size.
        let found = difference(&case.model, &case.x.narrow(0, 1, 1).unwrap());
        assert!(found <= 1e-6, "{}: {found:e}", case.name);
    }
}

#[test]
fn a_network_of_layers_that_do_nothing_gives_its_inputs() {
    let layers = Sequential::new().add(Input::new(3)).add(Dropout::new(0.5));
    let model = layers.build(&Device::Cpu).unwrap();
    assert_eq!(difference(&model, &numbers(&[2, 3], "x")), 0.0);
}

#[test]
fn a_network_in_training_is_exported_as_it_predicts() {
    let mut model = Sequential::new()
        .seed(2)
        .add(Input::new(6))
        .add(BatchNormalization::new().momentum(0.5))
        .add(Dense::new(5).activation(Gelu { approximate: false }))
        .add(GaussianNoise::new(0.5))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let x = numbers(&[20, 6], "x");
    let y = to_categorical(&common::labels(20, 3), 3).unwrap();
    // The softmax is left to the loss while training.
    model
        .compile(Adam::new(0.05), CategoricalCrossentropy::new(), ())
        .unwrap();
    model.fit(&x, &y, Fit::new().epochs(3).verbose(0)).unwrap();
    let found = difference(&model, &x);
    assert!(found <= 1e-6, "{found:e}");
}

/// A layer of the user's own by the name of one of the crate.
#[derive(Debug)]
struct Mine;

impl Layer for Mine {
    fn class_name(&self) -> &str {
        "Dropout"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _: &mut Pass) -> Result<Tensor> {
        Ok((inputs * 2.0)?)
    }
}

#[test]
fn what_cannot_be_exported_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let error = text(Sequential::new().add(Input::new(2)).export_onnx(&path));
    assert!(
        error.starts_with("`export_onnx` needs a built model"),
        "{error}"
    );
    assert_eq!(
        text(network().export_onnx("model.keras")),
        "`path`: expected a name that ends in .onnx, got model.keras: `save` writes whole models, as .keras"
    );
    let mine = Sequential::new().add(Input::new(2)).add(Mine);
    assert_eq!(
        text(mine.build(&Device::Cpu).unwrap().export_onnx(&path)),
        "layer `dropout` (Dropout): `layer`: expected one of the crate, as ONNX knows no others, got one of your own: put it together from the crate's layers, such as Dense, Rescaling and Activation"
    );
    let wide = Sequential::new().dtype(DType::F64).add(Input::new(2));
    let wide = wide.add(Dense::new(1)).build(&Device::Cpu).unwrap();
    assert_eq!(
        text(wide.export_onnx(&path)),
        "`dtype`: expected F32, got F64: build the model without .dtype(..) and give it these weights by set_weights: onnxruntime has not all operators for f64"
    );
    assert!(!path.exists(), "no file is left of what failed");
    let nowhere = folder.path().join("none").join("model.onnx");
    assert!(text(network().export_onnx(&nowhere)).contains("does not exist: make it first"));
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "takes 2 GB of memory and 1 GB of disk"]
fn a_gigabyte_of_weights_takes_no_second_one_in_memory() {
    let ones = initializers::Ones;
    let layer = Dense::new(16_384).kernel_initializer(ones).use_bias(false);
    let model = Sequential::new().add(Input::new(16_384)).add(layer);
    let model = model.build(&Device::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.onnx");
    let kilobytes = |name: &str| -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak counts from here
    let before = kilobytes("VmRSS");
    let start = std::time::Instant::now();
    model.export_onnx(&path).unwrap();
    let more = kilobytes("VmHWM") - before;
    let size = path.metadata().unwrap().len();
    println!("{size} bytes in {:?}, {more} KB of memory", start.elapsed());
    assert!(size > 1 << 30 && more < 16 << 10);
}
