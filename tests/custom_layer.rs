//! Parts that a user writes: layers with and without a gradient, a loss, a metric, an optimizer and
//! a callback.

mod common;

use candle_core::Var;
use candle_keras::{
    Result,
    callbacks::Callback,
    initializers::{Constant, Initializer, RandomUniform},
    layers::{Backward, Forward, Gradients, Layer, Pass},
    losses::Loss,
    metrics::{Counter, Metric, RunningMean},
    optimizers::{Optimizer, Settings, Slot, Step},
    prelude::*,
    weights::{Weight, WeightBuilder},
};
use common::{assert_close, bits, flat, numbers};
use std::sync::{Arc, Mutex};

const UNIFORM: RandomUniform = RandomUniform {
    minval: 0.5,
    maxval: 1.5,
};

/// y = tanh(x·scale) + shift, differentiated by candle. `seen` counts training batches and is not
/// trained.
#[derive(Debug)]
struct TanhScale;

impl Layer for TanhScale {
    fn class_name(&self) -> &str {
        "TanhScale"
    }

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        weights.add("scale", input_shape, &UNIFORM)?;
        weights.add_non_trainable("seen", &[1], &Constant(0.0))?;
        weights.add("shift", input_shape, &UNIFORM)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        // In every pass: outside fit it does nothing.
        pass.update("seen", &(pass.weight("seen")? + 1.0)?)?;
        let scaled = inputs.broadcast_mul(pass.weight("scale")?)?;
        Ok(scaled.tanh()?.broadcast_add(pass.weight("shift")?)?)
    }
}

/// The same without the count, with a gradient of its own.
#[derive(Debug)]
struct FastTanhScale;

impl Layer for FastTanhScale {
    fn class_name(&self) -> &str {
        "FastTanhScale"
    }

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        weights.add("scale", input_shape, &UNIFORM)?;
        weights.add("shift", input_shape, &UNIFORM)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let tanh = inputs.broadcast_mul(pass.weight("scale")?)?.tanh()?;
        pass.keep(tanh.clone());
        Ok(tanh.broadcast_add(pass.weight("shift")?)?)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for FastTanhScale {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        // d tanh(x·s) / d(x·s) = 1 - tanh²
        let inner = (gradient * (1.0 - step.kept[0].sqr()?)?)?;
        Ok(Gradients {
            inputs: Some(inner.broadcast_mul(step.weight("scale")?)?),
            weights: vec![(inner * step.inputs)?.sum(0)?, gradient.sum(0)?],
        })
    }
}

/// `layer` between two dense ones.
fn between(layer: impl Into<Box<dyn Layer>>, dtype: DType) -> Sequential {
    let mut model = Sequential::new()
        .seed(4)
        .dtype(dtype)
        .add(Input::new(3))
        .add(Dense::new(5).activation(Relu))
        .add(layer)
        .add(Dense::new(2))
        .build(&Device::Cpu)
        .unwrap();
    let loss = MeanSquaredError::new();
    model.compile(Adam::new(0.01), loss, ()).unwrap();
    model
}

fn data() -> (Tensor, Tensor) {
    (numbers(&[24, 3], "x"), numbers(&[24, 2], "y"))
}

fn quiet() -> Fit<'static> {
    Fit::new().verbose(0)
}

#[test]
fn a_layer_without_a_gradient_of_its_own_has_that_of_finite_differences_and_so_have_those_before_it()
 {
    check_gradients(
        || between(TanhScale, DType::F64),
        &[
            "dense/kernel",
            "dense/bias",
            "tanh_scale/scale",
            "tanh_scale/shift",
            "dense_1/kernel",
            "dense_1/bias",
        ],
    );
}

#[test]
fn a_layer_with_a_gradient_of_its_own_has_that_of_finite_differences_and_so_have_those_before_it() {
    check_gradients(
        || between(FastTanhScale, DType::F64),
        &[
            "dense/kernel",
            "dense/bias",
            "fast_tanh_scale/scale",
            "fast_tanh_scale/shift",
            "dense_1/kernel",
            "dense_1/bias",
        ],
    );
}

/// Compares the gradient of every weight with central differences.
fn check_gradients(make: impl Fn() -> Sequential, names: &[&str]) {
    let (x, y) = data();
    let mut model = make();
    let gradients = model.gradients(&x, &y).unwrap();
    let got: Vec<&String> = gradients.iter().map(|(path, _)| path).collect();
    assert_eq!(got, names);
    for (path, gradient) in &gradients {
        let value = model.weight(path).unwrap();
        let numbers = flat(&value);
        let mut loss_at = |index: usize, change: f64| {
            let mut moved = numbers.clone();
            moved[index] += change;
            let moved = Tensor::from_vec(moved, value.dims(), &Device::Cpu).unwrap();
            model.set_weight(path, &moved).unwrap();
            let options = Evaluate::new().verbose(0);
            model.evaluate_with(&x, &y, options).unwrap()["loss"]
        };
        // The formula errs by h², f64's rounding by 1e-16 / h.
        let h = 1e-5;
        let differences: Vec<f64> = (0..numbers.len())
            .map(|index| (loss_at(index, h) - loss_at(index, -h)) / (2.0 * h))
            .collect();
        model.set_weight(path, &value).unwrap();
        assert_close(path, &flat(gradient), &differences, 1e-6, 1e-9);
    }
}

#[test]
fn a_layer_of_the_users_own_trains_with_those_around_it() {
    let (x, y) = data();
    for layer in [Box::<dyn Layer>::from(TanhScale), FastTanhScale.into()] {
        let mut model = between(layer, DType::F32);
        let before: Vec<Vec<f64>> = model.weights().map(|w| flat(&w.copy().unwrap())).collect();
        let history = model.fit(&x, &y, quiet().epochs(100)).unwrap();
        assert!(history["loss"][99] < 0.5 * history["loss"][0]);
        for (weight, before) in model.weights().zip(&before) {
            assert_ne!(flat(&weight.copy().unwrap()), *before, "{}", weight.path());
        }
    }
}

#[test]
fn a_layers_own_update_counts_the_batches_of_fit_alone() {
    let (x, y) = data();
    let mut model = between(TanhScale, DType::F32);
    let seen = |model: &Sequential| flat(&model.weight("tanh_scale/seen").unwrap());
    assert_eq!(seen(&model), [0.0]);
    // 24 samples are three batches, the last one smaller; the validation is not counted.
    let options = || quiet().batch_size(10);
    let with_validation = options().epochs(2).validation_data(&x, &y);
    model.fit(&x, &y, with_validation).unwrap();
    assert_eq!(seen(&model), [6.0]);
    model.predict(&x).unwrap();
    model.layer_outputs(&x).unwrap();
    model.gradients(&x, &y).unwrap();
    model
        .evaluate_with(&x, &y, Evaluate::new().verbose(0))
        .unwrap();
    assert_eq!(seen(&model), [6.0]);
    model.fit(&x, &y, options()).unwrap();
    assert_eq!(seen(&model), [9.0]);
    // A fit that an explosion ends is not counted.
    let bad = (&y * f64::NAN).unwrap();
    assert!(model.fit(&x, &bad, options()).is_err());
    assert_eq!(seen(&model), [9.0]);
    let summary = model.summary().to_string();
    assert!(
        summary.contains("\n Non-trainable params: 1 (4.00 B)\n"),
        "{summary}"
    );
}

#[test]
fn a_layers_own_update_of_a_weight_that_training_changes_or_of_another_shape_is_an_error() {
    #[derive(Debug)]
    struct Updates(&'static str);
    impl Layer for Updates {
        fn class_name(&self) -> &str {
            "Updates"
        }
        fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
            weights.add("scale", input_shape, &UNIFORM)?;
            weights.add_non_trainable("mean", input_shape, &Constant(0.0))
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
            pass.update(self.0, &inputs.mean_keepdim(0)?)?;
            Ok(inputs.broadcast_mul(pass.weight("scale")?)?)
        }
    }
    let (x, y) = data();
    let error = |name| {
        let mut model = between(Updates(name), DType::F32);
        model.fit(&x, &y, quiet()).unwrap_err().to_string()
    };
    assert_eq!(
        error("scale"),
        "layer `updates` (Updates): `scale`: expected a weight that add_non_trainable added, got a trainable weight: the optimizer changes the others"
    );
    assert_eq!(
        error("mean"),
        "layer `updates` (Updates): `updates/mean`: expected (5,), got (1, 5): give as many numbers as the weight has, in its shape"
    );
    assert_eq!(
        error("variance"),
        "layer `updates` (Updates): no weight of the layer is named `variance`: expected one of `scale`, `mean`"
    );
}

/// The loss is the outputs' sum.
#[derive(Debug)]
struct Sum;

impl Loss for Sum {
    fn name(&self) -> &str {
        "sum"
    }
    fn call(&self, _y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok(y_pred.sum(1)?)
    }
}

/// Outputs ½v² or v·w, whatever comes in. The gradients for `Sum` are then weights themselves, which
/// `backward` gives without a copy.
#[derive(Debug)]
enum Potential {
    Square,
    Product,
}

impl Layer for Potential {
    fn class_name(&self) -> &str {
        "Potential"
    }
    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        weights.add("v", input_shape, &Constant(2.0))?;
        match self {
            Self::Square => Ok(()),
            Self::Product => weights.add("w", input_shape, &Constant(0.5)),
        }
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let v = pass.weight("v")?;
        let outputs = match self {
            Self::Square => (v.sqr()? * 0.5)?,
            Self::Product => (v * pass.weight("w")?)?,
        };
        Ok(inputs.zeros_like()?.broadcast_add(&outputs)?)
    }
    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Potential {
    fn gradients(&self, step: &Forward<'_>, _gradient: &Tensor) -> Result<Gradients> {
        let v = step.weight("v")?.clone();
        Ok(Gradients {
            inputs: None,
            weights: match self {
                Self::Square => vec![v],
                Self::Product => vec![step.weight("w")?.clone(), v],
            },
        })
    }
}

/// The weights of a potential after `epochs` steps; `None` where training does not come to its end.
fn fall(
    make: fn() -> Potential,
    optimizer: fn() -> Box<dyn Optimizer>,
    dtype: DType,
    epochs: usize,
) -> Option<Vec<f64>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // A thread that hangs is left behind.
    std::thread::spawn(move || {
        let mut model = Sequential::new()
            .dtype(dtype)
            .add(Input::new(1))
            .add(make())
            .build(&Device::Cpu)
            .unwrap();
        model.compile(optimizer(), Sum, ()).unwrap();
        let x = numbers(&[4, 1], "x");
        model.fit(&x, &x, quiet().epochs(epochs)).unwrap();
        let weights = model.weights().flat_map(|w| flat(&w.copy().unwrap()));
        sender.send(weights.collect()).unwrap();
    });
    let limit = std::time::Duration::from_secs(60);
    receiver.recv_timeout(limit).ok()
}

#[test]
fn a_gradient_that_is_the_weight_itself_trains_without_a_hang() {
    let square = || Potential::Square;
    let momentum = || -> Box<dyn Optimizer> { Sgd::new(0.25).momentum(0.5).into() };
    let adam = || -> Box<dyn Optimizer> { Adam::new(0.125).into() };
    for dtype in [DType::F32, DType::F64] {
        // v ← v - v/4, three times from 2.
        let plain = fall(square, || Sgd::new(0.25).into(), dtype, 3);
        assert_eq!(plain, Some(vec![2.0 * 0.75f64.powi(3)]));
        // m = -0.5, then m = -0.25 - 1.5/4.
        assert_eq!(fall(square, momentum, dtype, 2), Some(vec![0.875]));
        // Adam's first step is the learning rate.
        let moved = fall(square, adam, dtype, 1).expect("training came to its end");
        assert_close("adam", &moved, &[1.875], 1e-6, 0.0);
    }
}

#[test]
fn a_gradient_that_is_another_weight_is_that_weight_before_the_step() {
    for dtype in [DType::F32, DType::F64] {
        // v ← 2 - 0.5/4 and w ← 0.5 - 2/4.
        let product = || Potential::Product;
        let moved = fall(product, || Sgd::new(0.25).into(), dtype, 1);
        assert_eq!(moved, Some(vec![1.875, 0.0]));
    }
}

#[test]
fn gradients_that_are_asked_for_stay_as_they_were() {
    let mut model = Sequential::new()
        .add(Input::new(1))
        .add(Potential::Square)
        .build(&Device::Cpu)
        .unwrap();
    model.compile(Sgd::new(0.25), Sum, ()).unwrap();
    let x = numbers(&[4, 1], "x");
    // The layer gives the weight itself as its gradient.
    let gradients = model.gradients(&x, &x).unwrap();
    model.fit(&x, &x, quiet()).unwrap();
    assert_eq!(flat(&gradients[0].1), [2.0]);
}

/// A Dense that is given the gradient of one sample less than it had.
#[derive(Debug)]
struct OneLess(Dense);

impl Layer for OneLess {
    fn class_name(&self) -> &str {
        "OneLess"
    }
    fn build(&mut self, shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        self.0.build(shape, weights)
    }
    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        self.0.output_shape(shape)
    }
    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        self.0.forward(inputs, pass)
    }
    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for OneLess {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let less = gradient.narrow(0, 1, gradient.dim(0)? - 1)?;
        let dense: &dyn Backward = self.0.backward().unwrap();
        dense.gradients(step, &less)
    }
}

#[test]
fn a_gradient_of_too_few_samples_that_reaches_a_dense_is_an_error() {
    let mut model = Sequential::new()
        .add(Input::new(3))
        .add(OneLess(Dense::new(2)))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
        .unwrap();
    let (x, y) = (numbers(&[4, 3], "x"), numbers(&[4, 2], "y"));
    let error = model.fit(&x, &y, quiet()).unwrap_err().to_string();
    assert!(error.contains("`gradient`"), "{error}");
    assert!(error.contains("(4, 2), got (3, 2)"), "{error}");
}

#[test]
fn both_ways_to_a_gradient_train_alike() {
    // The same layer with candle's gradient and with its own, from the same weights.
    let (x, y) = data();
    let mut by_candle = between(TanhScale, DType::F64);
    let mut by_itself = between(FastTanhScale, DType::F64);
    for name in ["scale", "shift"] {
        let value = by_candle.weight(&format!("tanh_scale/{name}")).unwrap();
        let path = format!("fast_tanh_scale/{name}");
        by_itself.set_weight(&path, &value).unwrap();
    }
    let options = || quiet().epochs(5).batch_size(7);
    let one = by_candle.fit(&x, &y, options()).unwrap();
    let other = by_itself.fit(&x, &y, options()).unwrap();
    assert_close("loss", &one["loss"], &other["loss"], 1e-12, 0.0);
}

#[test]
fn two_layers_in_a_row_that_candle_differentiates_each_get_their_own_gradient() {
    let make = || {
        let mut model = Sequential::new()
            .seed(4)
            .dtype(DType::F64)
            .add(Input::new(3))
            .add(TanhScale)
            .add(TanhScale)
            .add(Activation::new(Sigmoid))
            .add(TanhScale)
            .add(Dense::new(2))
            .build(&Device::Cpu)
            .unwrap();
        let loss = MeanSquaredError::new();
        model.compile(Adam::new(0.01), loss, ()).unwrap();
        model
    };
    check_gradients(
        make,
        &[
            "tanh_scale/scale",
            "tanh_scale/shift",
            "tanh_scale_1/scale",
            "tanh_scale_1/shift",
            "tanh_scale_2/scale",
            "tanh_scale_2/shift",
            "dense/kernel",
            "dense/bias",
        ],
    );
}

#[test]
fn layers_of_the_users_own_stand_in_the_summary_with_names_as_keras_gives_them() {
    let model = Sequential::new()
        .add(Input::new(3))
        .add(TanhScale)
        .add(FastTanhScale)
        .add(TanhScale)
        .build(&Device::Cpu)
        .unwrap();
    assert_eq!(
        model.summary().to_string(),
        "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ tanh_scale (TanhScale)          │ (None, 3)              │             7 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ fast_tanh_scale (FastTanhScale) │ (None, 3)              │             6 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ tanh_scale_1 (TanhScale)        │ (None, 3)              │             7 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 20 (80.00 B)
 Trainable params: 18 (72.00 B)
 Non-trainable params: 2 (8.00 B)"
    );
    let paths: Vec<&str> = model.weights().map(|weight| weight.path()).collect();
    assert_eq!(
        paths,
        [
            "tanh_scale/scale",
            "tanh_scale/seen",
            "tanh_scale/shift",
            "fast_tanh_scale/scale",
            "fast_tanh_scale/shift",
            "tanh_scale_1/scale",
            "tanh_scale_1/seen",
            "tanh_scale_1/shift",
        ]
    );
}

#[test]
fn a_layers_weights_of_one_name_are_refused_and_a_missing_one_is_named() {
    #[derive(Debug)]
    struct Faulty(&'static str);
    impl Layer for Faulty {
        fn class_name(&self) -> &str {
            "Faulty"
        }
        fn build(&mut self, _input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
            weights.add("scale", &[1], &UNIFORM)?;
            weights.add(self.0, &[1], &UNIFORM)
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
            Ok(inputs.broadcast_mul(pass.weight("sacle")?)?)
        }
    }
    let build = |name| {
        let model = Sequential::new().add(Input::new(3)).add(Faulty(name));
        model.build(&Device::Cpu)
    };
    assert_eq!(
        build("scale").unwrap_err().to_string(),
        "layer `faulty` (Faulty): `weight name`: expected a name that the layer has once, got scale: name every weight differently"
    );
    let outputs = build("shift").unwrap().predict(numbers(&[2, 3], "x"));
    assert_eq!(
        outputs.unwrap_err().to_string(),
        "layer `faulty` (Faulty): no weight of the layer is named `sacle`: expected one of `scale`, `shift`"
    );
}

/// The mean of the absolute error, differentiated by candle.
#[derive(Debug)]
struct AbsoluteError;

impl Loss for AbsoluteError {
    fn name(&self) -> &str {
        "absolute_error"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_pred - y_true)?.abs()?.mean(1)?)
    }
}

/// The greatest error of the epoch.
#[derive(Debug)]
struct GreatestError;

impl Metric for GreatestError {
    fn name(&self) -> &str {
        "greatest_error"
    }
    fn counter(&self) -> Box<dyn Counter> {
        Box::new(GreatestErrorCounter(0.0))
    }
}

#[derive(Debug)]
struct GreatestErrorCounter(f64);

impl Counter for GreatestErrorCounter {
    fn update(
        &mut self,
        y_true: &Tensor,
        y_pred: &Tensor,
        _sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        let errors = flat(&(y_pred - y_true)?.abs()?);
        self.0 = errors.into_iter().fold(self.0, f64::max);
        Ok(())
    }
    fn result(&mut self) -> Result<f64> {
        Ok(self.0)
    }
}

/// The mean of the outputs.
#[derive(Debug)]
struct MeanOutput;

#[derive(Debug, Default)]
struct MeanOutputCounter(RunningMean);

impl Metric for MeanOutput {
    fn name(&self) -> &str {
        "mean_output"
    }
    fn counter(&self) -> Box<dyn Counter> {
        Box::new(MeanOutputCounter::default())
    }
}

impl Counter for MeanOutputCounter {
    fn update(
        &mut self,
        _y_true: &Tensor,
        y_pred: &Tensor,
        _sample_weight: Option<&Tensor>,
    ) -> Result<()> {
        self.0.add(y_pred)
    }
    fn result(&mut self) -> Result<f64> {
        self.0.result()
    }
}

/// w = x·kernel from [1, 2] features, at first all ones.
fn sum_of_two(optimizer: impl Into<Box<dyn Optimizer>>) -> Sequential {
    let layer = Dense::new(1)
        .use_bias(false)
        .kernel_initializer(Constant(1.0));
    let mut model = Sequential::new()
        .add(Input::new(2))
        .add(layer)
        .build(&Device::Cpu)
        .unwrap();
    let metrics = (GreatestError, MeanOutput);
    model.compile(optimizer, AbsoluteError, metrics).unwrap();
    model
}

#[test]
fn a_loss_and_metrics_of_the_users_own_are_counted_over_all_batches() {
    let x = Tensor::new(&[[1f32, 2.0], [0.0, 1.0], [2.0, 2.0]], &Device::Cpu).unwrap();
    let y = Tensor::new(&[[0f32], [0.0], [0.0]], &Device::Cpu).unwrap();
    let mut model = sum_of_two(Sgd::new(0.0));
    let options = quiet().epochs(2).batch_size(2).validation_data(&x, &y);
    let history = model.fit(&x, &y, options).unwrap();
    let names: Vec<&str> = history.names().collect();
    assert_eq!(
        names,
        [
            "greatest_error",
            "loss",
            "mean_output",
            "val_greatest_error",
            "val_loss",
            "val_mean_output"
        ]
    );
    for prefix in ["", "val_"] {
        assert_eq!(history[&*format!("{prefix}greatest_error")], [4.0; 2]);
        assert_eq!(history[&*format!("{prefix}mean_output")], [8.0 / 3.0; 2]);
        assert_eq!(history[&*format!("{prefix}loss")], [8.0 / 3.0; 2]);
    }
    // d mean |x·w| / dw = mean x
    let gradients = model.gradients(&x, &y).unwrap();
    assert_close(
        "gradient",
        &flat(&gradients[0].1),
        &[1.0, 5.0 / 3.0],
        1e-6,
        0.0,
    );
}

/// Moves every number by the learning rate against its gradient's sign, and counts its steps in a
/// slot.
#[derive(Debug)]
struct SignDescent(Settings);

impl Optimizer for SignDescent {
    fn name(&self) -> &str {
        "sign_descent"
    }
    fn settings(&self) -> &Settings {
        &self.0
    }
    fn settings_mut(&mut self) -> &mut Settings {
        &mut self.0
    }
    fn slots(&self, _weight: &Weight) -> Vec<Slot> {
        vec![Slot::zeros("steps")]
    }
    fn update(&self, step: Step, weight: &Weight, gradient: &Tensor, slots: &[Var]) -> Result<()> {
        let steps = (slots[0].as_detached_tensor() + 1.0)?;
        slots[0].set(&steps)?;
        let number = step.number as f64;
        assert!(flat(&steps).iter().all(|steps| *steps == number));
        assert_eq!(slots[0].dims(), weight.value().dims());
        let change = (gradient.sign()? * step.learning_rate)?;
        Ok(weight.variable().set(&(weight.value() - change)?)?)
    }
}

#[test]
fn an_optimizer_of_the_users_own_moves_the_weights_and_keeps_its_slots() {
    let x = numbers(&[6, 2], "x").abs().unwrap();
    let y = Tensor::zeros((6, 1), DType::F32, &Device::Cpu).unwrap();
    let mut model = sum_of_two(SignDescent(Settings::new(0.125)));
    model.fit(&x, &y, quiet().epochs(2).batch_size(3)).unwrap();
    // Four steps down, as all gradients are above 0.
    assert_eq!(flat(&model.weight("dense/kernel").unwrap()), [0.5, 0.5]);
    let summary = model.summary().to_string();
    // Two steps' counts, and Keras's own count and learning rate.
    assert!(
        summary.ends_with("\n Optimizer params: 4 (16.00 B)"),
        "{summary}"
    );
    model.set_learning_rate(0.0625).unwrap();
    assert_eq!(model.learning_rate().unwrap(), 0.0625);
    model.fit(&x, &y, quiet()).unwrap();
    assert_eq!(flat(&model.weight("dense/kernel").unwrap()), [0.4375; 2]);
}

/// Keeps the weights of the epoch with the least loss.
#[derive(Default)]
struct KeepBest {
    least: Option<f64>,
    weights: Vec<(String, Tensor)>,
}

impl Callback for KeepBest {
    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> Result<()> {
        if self.least.is_none_or(|least| logs["val_loss"] < least) {
            self.least = Some(logs["val_loss"]);
            let paths: Vec<String> = model.weights().map(|w| w.path().to_string()).collect();
            self.weights = paths
                .into_iter()
                .map(|path| Ok((path.clone(), model.weight(&path)?)))
                .collect::<Result<_>>()?;
        }
        Ok(())
    }

    fn on_train_end(&mut self, model: &mut Sequential) -> Result<()> {
        self.weights
            .iter()
            .try_for_each(|(path, values)| model.set_weight(path, values))
    }
}

#[test]
fn a_callback_of_the_users_own_can_keep_and_put_back_weights() {
    let (x, y) = data();
    let mut model = between(TanhScale, DType::F32);
    // A learning rate at which the loss goes up and down.
    model.set_learning_rate(0.5).unwrap();
    let mut best = KeepBest::default();
    let options = quiet().epochs(10).validation_data(&x, &y);
    let history = model.fit(&x, &y, options.callback(&mut best)).unwrap();
    let least = history["val_loss"].iter().copied().fold(f64::MAX, f64::min);
    assert!(least < history["val_loss"][9]);
    let scores = model.evaluate_with(&x, &y, Evaluate::new().verbose(0));
    assert_eq!(scores.unwrap()["loss"], least);
}

#[test]
fn an_initializer_of_the_users_own_fills_a_weight_in_row_major_order() {
    #[derive(Debug)]
    struct Counting;
    impl Initializer for Counting {
        fn values(
            &self,
            shape: &[usize],
            _: &mut candle_keras::seed::Stream,
        ) -> candle_keras::Result<Vec<f32>> {
            let indices = 0..shape.iter().product();
            Ok(indices.map(|index: usize| index as f32).collect())
        }
    }
    let model = Sequential::new()
        .add(Input::new(2))
        .add(Dense::new(3).kernel_initializer(Counting))
        .build(&Device::Cpu)
        .unwrap();
    let kernel = model.weight("dense/kernel").unwrap();
    assert_eq!(
        kernel.to_vec2::<f32>().unwrap(),
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    );
}

#[test]
fn a_layers_own_stream_gives_other_numbers_every_step_and_the_same_again() {
    /// Adds noise in training.
    #[derive(Debug)]
    struct Noise;
    impl Layer for Noise {
        fn class_name(&self) -> &str {
            "Noise"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
            if !pass.training() {
                return Ok(inputs.clone());
            }
            let mut stream = pass.stream();
            let noise: Vec<f32> = (0..inputs.elem_count())
                .map(|_| stream.normal() as f32)
                .collect();
            Ok((inputs + Tensor::from_vec(noise, inputs.shape(), inputs.device())?)?)
        }
    }
    let (x, y) = data();
    let train = || {
        let mut model = between(Noise, DType::F32);
        let history = model.fit(&x, &y, quiet().epochs(2)).unwrap();
        (history["loss"].to_vec(), bits(&model))
    };
    let first = train();
    assert_eq!(first, train());
    let plain = between(Dropout::new(0.0), DType::F32).fit(&x, &y, quiet());
    assert_ne!(first.0[0], plain.unwrap()["loss"][0]);
}

#[test]
fn every_stream_of_a_step_and_of_the_steps_gives_other_numbers_and_a_seed_the_same_again() {
    /// Notes the first number of two streams in every training step.
    #[derive(Debug, Clone, Default)]
    struct Draws(Arc<Mutex<Vec<f64>>>);
    impl Layer for Draws {
        fn class_name(&self) -> &str {
            "Draws"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
            if pass.training() {
                let draws = [pass.stream().normal(), pass.stream().normal()];
                self.0.lock().unwrap().extend(draws);
            }
            Ok(inputs.clone())
        }
    }
    let (x, y) = data();
    let train = |seed: u64| {
        let (one, other) = (Draws::default(), Draws::default());
        let mut model = Sequential::new()
            .seed(seed)
            .add(Input::new(3))
            .add(one.clone())
            .add(Dense::new(2))
            .add(other.clone())
            .build(&Device::Cpu)
            .unwrap();
        let loss = MeanSquaredError::new();
        model.compile(Sgd::new(0.1), loss, ()).unwrap();
        model.fit(&x, &y, quiet().batch_size(12)).unwrap();
        let draws = [one, other].map(|draws| draws.0.lock().unwrap().clone());
        draws.concat()
    };
    let first = train(4);
    assert_eq!(first, train(4));
    // Two streams in each of two steps of two layers, with either seed.
    let mut all = [first, train(5)].concat();
    all.sort_by(f64::total_cmp);
    all.dedup();
    assert_eq!(all.len(), 16);
}
