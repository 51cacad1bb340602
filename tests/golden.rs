//! Keras's own numbers, step by step: `tests/golden/generate.py` made them.

use candle_core::Var;
use candle_keras::{
    activations::ActivationFunction, callbacks::Callback, layers::Layer as _, losses::Loss,
    metrics::Metric, optimizers::Optimizer, prelude::*,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;

type Numbers = BTreeMap<String, f64>;
type Arguments = BTreeMap<String, serde_json::Value>;

#[derive(Deserialize)]
struct Values {
    data: Vec<f32>,
    shape: Vec<usize>,
}

impl Values {
    fn tensor(&self) -> Tensor {
        Tensor::from_vec(self.data.clone(), &self.shape[..], &Device::Cpu).unwrap()
    }
}

fn load<T: DeserializeOwned>(file: &str) -> T {
    let path = format!("{}/tests/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn number(arguments: &Arguments, name: &str) -> f64 {
    arguments[name].as_f64().unwrap()
}

fn flag(arguments: &Arguments, name: &str) -> bool {
    arguments[name].as_bool().unwrap()
}

/// Every number within `relative` of its size, or within `absolute`.
fn assert_close(what: &str, got: &[f32], expected: &[f32], relative: f32, absolute: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        assert!(
            (got - expected).abs() <= allowed,
            "{what}[{index}]: got {got:e}, Keras has {expected:e}, {allowed:e} allowed"
        );
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn activation(name: &str, arguments: &Numbers) -> ActivationFunction {
    match name {
        "linear" => Linear,
        "sigmoid" => Sigmoid,
        "relu" => Relu,
        "tanh" => Tanh,
        "leaky_relu" => LeakyRelu {
            negative_slope: arguments["negative_slope"],
        },
        "elu" => Elu {
            alpha: arguments["alpha"],
        },
        "softmax" => Softmax,
        _ => panic!("no activation {name}"),
    }
}

#[test]
fn activations_and_their_gradients_are_those_of_keras() {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        function: String,
        arguments: Numbers,
        x: Values,
        y: Values,
        c: Values,
        gradient: Values,
    }
    for case in load::<File>("activations").cases {
        let function = activation(&case.function, &case.arguments);
        // One operation in f32: 1e-6 of the value. Where the value itself is a difference of
        // numbers near 1 (1 - y², y - Σ), as many digits are lost as it is smaller than 1.
        let (relative, absolute) = (1e-6, 2e-7);

        // The fused way: a layer of the model, and its own gradient.
        let x = case.x.tensor();
        let model = Sequential::new()
            .add(Input::new(*case.x.shape.last().unwrap()))
            .add(Activation::new(function))
            .build(&Device::Cpu)
            .unwrap();
        let y = model.predict(&x).unwrap();
        assert_close(&case.name, &flat(&y), &case.y.data, relative, absolute);
        let layer = Activation::new(function);
        let step = candle_keras::layers::Forward::new(&x, &y);
        let gradients = layer
            .backward()
            .unwrap()
            .gradients(&step, &case.c.tensor())
            .unwrap();
        let what = format!("{} gradient", case.name);
        let got = flat(&gradients.inputs.unwrap());
        assert_close(&what, &got, &case.gradient.data, relative, absolute);

        // The plain way: candle's operations, and its autograd.
        let x = Var::from_tensor(&x).unwrap();
        let y = function.call(&x).unwrap();
        let what = format!("{} plain", case.name);
        assert_close(&what, &flat(&y), &case.y.data, relative, absolute);
        let sum = (y * case.c.tensor()).unwrap().sum_all().unwrap();
        let store = sum.backward().unwrap();
        let what = format!("{} plain gradient", case.name);
        let got = flat(store.get(&x).unwrap());
        assert_close(&what, &got, &case.gradient.data, relative, absolute);
    }
}

fn loss(class: &str, arguments: &Arguments) -> Box<dyn Loss> {
    let from_logits = class != "MeanSquaredError" && flag(arguments, "from_logits");
    match (class, from_logits) {
        ("MeanSquaredError", _) => Box::new(MeanSquaredError::new()),
        ("BinaryCrossentropy", false) => Box::new(BinaryCrossentropy::new()),
        ("BinaryCrossentropy", true) => Box::new(BinaryCrossentropy::new().from_logits()),
        ("CategoricalCrossentropy", false) => Box::new(CategoricalCrossentropy::new()),
        ("CategoricalCrossentropy", true) => Box::new(CategoricalCrossentropy::new().from_logits()),
        ("SparseCategoricalCrossentropy", false) => Box::new(SparseCategoricalCrossentropy::new()),
        ("SparseCategoricalCrossentropy", true) => {
            Box::new(SparseCategoricalCrossentropy::new().from_logits())
        }
        _ => panic!("no loss {class}"),
    }
}

#[test]
fn losses_and_their_gradients_are_those_of_keras() {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
        fused: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        class: String,
        arguments: Arguments,
        activation: Option<String>,
        y_true: Values,
        y_pred: Option<Values>,
        z: Option<Values>,
        per_sample: Values,
        mean: f64,
        gradient: Values,
    }
    let file: File = load("losses");
    for case in file.cases.into_iter().chain(file.fused) {
        let mut loss = loss(&case.class, &case.arguments);
        if let Some(name) = &case.activation {
            loss = loss.fused_with(activation(name, &Numbers::new())).unwrap();
        }
        let y_true = case.y_true.tensor();
        let y_pred = case.y_pred.or(case.z).unwrap().tensor();
        let count = case.per_sample.data.len() as f64;
        let check = |way: &str, losses: &Tensor, gradient: &Tensor| {
            let what = format!("{} {way}", case.name);
            assert_close(&what, &flat(losses), &case.per_sample.data, 1e-6, 1e-7);
            let mean = losses.mean_all().unwrap().to_scalar::<f32>().unwrap();
            assert_close(&what, &[mean], &[case.mean as f32], 1e-6, 1e-7);
            let gradient = flat(&(gradient / count).unwrap());
            assert_close(&what, &gradient, &case.gradient.data, 1e-6, 1e-7);
        };
        if let Some((losses, gradient)) = loss.losses_and_gradient(&y_true, &y_pred).unwrap() {
            check("fused", &losses, &gradient);
        }
        let y_pred = Var::from_tensor(&y_pred).unwrap();
        let losses = loss.call(&y_true, &y_pred).unwrap();
        let store = losses.sum_all().unwrap().backward().unwrap();
        check("plain", &losses, store.get(&y_pred).unwrap());
    }
}

fn optimizer(class: &str, arguments: &Arguments) -> Box<dyn Optimizer> {
    let rate = number(arguments, "learning_rate");
    match class {
        "SGD" => Box::new(
            Sgd::new(rate)
                .momentum(number(arguments, "momentum"))
                .nesterov(flag(arguments, "nesterov")),
        ),
        "Adam" => Box::new(
            Adam::new(rate)
                .beta_1(number(arguments, "beta_1"))
                .beta_2(number(arguments, "beta_2"))
                .epsilon(number(arguments, "epsilon")),
        ),
        _ => panic!("no optimizer {class}"),
    }
}

#[test]
fn every_step_of_every_optimizer_is_that_of_keras() {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        class: String,
        arguments: Arguments,
        initial: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        weights: Vec<Vec<f32>>,
    }
    for case in load::<File>("optimizers").cases {
        // In f32, and in the plain formulation, which f64 takes.
        for dtype in [DType::F32, DType::F64] {
            let optimizer = optimizer(&case.class, &case.arguments);
            let vector = |values: &[f32]| {
                Tensor::new(values, &Device::Cpu)
                    .unwrap()
                    .to_dtype(dtype)
                    .unwrap()
            };
            let weight = Var::from_tensor(&vector(&case.initial)).unwrap();
            let zeros = weight.zeros_like().unwrap();
            let slots: Vec<Var> = optimizer
                .slots()
                .iter()
                .map(|_| Var::from_tensor(&zeros).unwrap())
                .collect();
            for (index, gradient) in case.gradients.iter().enumerate() {
                let step = index as u64 + 1;
                optimizer
                    .update(step, &weight, &vector(gradient), &slots)
                    .unwrap();
                let got = flat(&weight.to_dtype(DType::F32).unwrap());
                let what = format!("{} {dtype:?} step {step}", case.name);
                assert_close(&what, &got, &case.weights[index], 1e-6, 1e-7);
            }
        }
    }
}

#[test]
fn accuracy_counts_as_keras_does_for_every_kind_of_target() {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        batches: Vec<Batch>,
    }
    #[derive(Deserialize)]
    struct Batch {
        y_true: Values,
        y_pred: Values,
        result: f64,
    }
    for case in load::<File>("metrics").cases {
        // In f32, and in the plain formulation, which f64 takes.
        for dtype in [DType::F32, DType::F64] {
            let mut counter = Accuracy.counter();
            for batch in &case.batches {
                let y_true = batch.y_true.tensor().to_dtype(dtype).unwrap();
                let y_pred = batch.y_pred.tensor().to_dtype(dtype).unwrap();
                counter.update(&y_true, &y_pred).unwrap();
                let got = counter.result().unwrap();
                assert!(
                    (got - batch.result).abs() < 1e-6,
                    "{} {dtype:?}: {got}",
                    case.name
                );
            }
        }
    }
}

#[derive(Deserialize)]
struct Program {
    name: String,
    input_shape: Vec<usize>,
    layers: Vec<DenseLayer>,
    compile: Compile,
    fit: FitOptions,
    x: Values,
    y: Values,
    validation_data: Option<Pair>,
    initial_weights: Vec<WeightValues>,
    final_weights: Vec<WeightValues>,
    batches: Vec<Batch>,
    epochs: Vec<Numbers>,
    evaluate: Numbers,
    predict: Values,
}

#[derive(Deserialize)]
struct DenseLayer {
    class: String,
    units: usize,
    activation: String,
    activation_arguments: Numbers,
    use_bias: bool,
}

#[derive(Deserialize)]
struct Compile {
    loss: Part,
    optimizer: Part,
    metrics: Vec<String>,
}

#[derive(Deserialize)]
struct Part {
    class: String,
    arguments: Arguments,
}

#[derive(Deserialize)]
struct FitOptions {
    batch_size: usize,
    epochs: usize,
    shuffle: bool,
    validation_split: f64,
}

#[derive(Deserialize)]
struct Pair {
    x: Values,
    y: Values,
}

#[derive(Deserialize)]
struct WeightValues {
    layer: usize,
    name: String,
    data: Vec<f32>,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Batch {
    running: Numbers,
}

/// Notes the running means after every batch.
struct Running(Vec<Logs>);

impl Callback for Running {
    fn on_train_batch_end(
        &mut self,
        _batch: usize,
        model: &mut Sequential,
    ) -> candle_keras::Result<()> {
        self.0.push(model.running_logs()?);
        Ok(())
    }
}

impl Program {
    fn model(&self) -> Sequential {
        let mut model = Sequential::new().add(Input::new(&self.input_shape[..]));
        for layer in &self.layers {
            assert_eq!(layer.class, "Dense");
            model = model.add(
                Dense::new(layer.units)
                    .activation(activation(&layer.activation, &layer.activation_arguments))
                    .use_bias(layer.use_bias),
            );
        }
        let mut model = model.build(&Device::Cpu).unwrap();
        let names: Vec<String> = model
            .layer_names()
            .iter()
            .map(|name| name.to_string())
            .collect();
        for weight in &self.initial_weights {
            let path = format!("{}/{}", names[weight.layer], weight.name);
            let values = Tensor::from_vec(weight.data.clone(), &weight.shape[..], &Device::Cpu);
            model.set_weight(&path, &values.unwrap()).unwrap();
        }
        let Compile {
            loss: of_loss,
            optimizer: of_optimizer,
            metrics,
        } = &self.compile;
        let metrics: Vec<Box<dyn Metric>> = metrics
            .iter()
            .map(|name| {
                assert_eq!(name, "accuracy");
                Box::new(Accuracy) as Box<dyn Metric>
            })
            .collect();
        let loss = loss(&of_loss.class, &of_loss.arguments);
        let optimizer = optimizer(&of_optimizer.class, &of_optimizer.arguments);
        model.compile(optimizer, loss, metrics).unwrap();
        model
    }
}

fn assert_logs(what: &str, got: &Logs, expected: &Numbers) {
    assert_eq!(got.iter().count(), expected.len(), "{what}");
    for (name, value) in expected {
        let got = got
            .get(name)
            .unwrap_or_else(|| panic!("{what} has no {name}"));
        // 1e-5 of a trained network's loss. Accuracies are exact but for Keras's f32.
        assert!(
            (got - value).abs() <= 1e-5 * value.abs(),
            "{what} {name}: got {got}, Keras has {value}"
        );
    }
}

#[test]
fn whole_programs_train_step_by_step_as_in_keras() {
    #[derive(Deserialize)]
    struct File {
        programs: Vec<Program>,
    }
    for program in load::<File>("programs").programs {
        let mut model = program.model();
        let mut running = Running(Vec::new());
        let FitOptions {
            batch_size,
            epochs,
            shuffle,
            validation_split,
        } = program.fit;
        let mut options = Fit::new()
            .batch_size(batch_size)
            .epochs(epochs)
            .shuffle(shuffle)
            .verbose(0)
            .callback(&mut running);
        if validation_split > 0.0 {
            options = options.validation_split(validation_split);
        }
        if let Some(Pair { x, y }) = &program.validation_data {
            options = options.validation_data(x.tensor(), y.tensor());
        }
        let (x, y) = (program.x.tensor(), program.y.tensor());
        let history = model.fit(&x, &y, options).unwrap();

        assert_eq!(running.0.len(), program.batches.len());
        for (index, (got, batch)) in running.0.iter().zip(&program.batches).enumerate() {
            assert_logs(
                &format!("{} step {index}", program.name),
                got,
                &batch.running,
            );
        }
        for (epoch, expected) in program.epochs.iter().enumerate() {
            let mut got = Logs::default();
            for name in history.names() {
                got.insert(name, history[name][epoch]);
            }
            assert_logs(&format!("{} epoch {epoch}", program.name), &got, expected);
        }
        for (weight, expected) in model.weights().zip(&program.final_weights) {
            let what = format!("{} {}", program.name, weight.path());
            assert_close(
                &what,
                &flat(&weight.copy().unwrap()),
                &expected.data,
                1e-4,
                1e-6,
            );
        }
        let scores = model.evaluate_with(&x, &y, Evaluate::new().batch_size(8).verbose(0));
        assert_logs(
            &format!("{} evaluate", program.name),
            &scores.unwrap(),
            &program.evaluate,
        );
        let outputs = model.predict(x.narrow(0, 0, 5).unwrap()).unwrap();
        assert_close(
            &program.name,
            &flat(&outputs),
            &program.predict.data,
            1e-5,
            1e-6,
        );
    }
}
