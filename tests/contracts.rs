//! What every layer, loss and optimizer of the crate must do, from one table of each.

mod common;

use candle_core::Var;
use candle_keras::{
    Result, activations::ActivationFunction, layers::Layer, losses::Loss, metrics::Metric,
    optimizers::Optimizer, prelude::*,
};
use common::{assert_close, bits, flat, numbers};

const ACTIVATIONS: [ActivationFunction; 11] = [
    Linear,
    Sigmoid,
    Relu,
    Tanh,
    LeakyRelu {
        negative_slope: 0.2,
    },
    LeakyRelu {
        negative_slope: 0.0,
    },
    LeakyRelu {
        negative_slope: -0.5,
    },
    Elu { alpha: 1.0 },
    Elu { alpha: 0.3 },
    Elu { alpha: -0.7 },
    Softmax,
];

/// A layer, and the shapes of samples that it takes and does not take.
struct Entry {
    what: String,
    make: Box<dyn Fn() -> Box<dyn Layer>>,
    class_name: &'static str,
    takes: Vec<Vec<usize>>,
    gives: fn(&[usize]) -> Vec<usize>,
    refuses: Vec<Vec<usize>>,
}

fn last_axis(shape: &[usize], units: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape.pop();
    shape.push(units);
    shape
}

/// Every layer of the crate but `Input`.
fn layers() -> Vec<Entry> {
    let shapes = || vec![vec![6], vec![1], vec![4, 6], vec![2, 3, 5]];
    let mut entries = Vec::new();
    for function in ACTIVATIONS {
        for use_bias in [true, false] {
            entries.push(Entry {
                what: format!("Dense, {function:?}, bias {use_bias}"),
                make: Box::new(move || {
                    // A bias that is not 0, so that leaving it out is seen.
                    Dense::new(5)
                        .activation(function)
                        .use_bias(use_bias)
                        .bias_initializer(candle_keras::initializers::RandomUniform {
                            minval: -0.5,
                            maxval: 0.5,
                        })
                        .into()
                }),
                class_name: "Dense",
                takes: shapes(),
                gives: |shape| last_axis(shape, 5),
                refuses: vec![vec![]],
            });
        }
        entries.push(Entry {
            what: format!("Activation, {function:?}"),
            make: Box::new(move || Activation::new(function).into()),
            class_name: "Activation",
            takes: shapes(),
            gives: <[usize]>::to_vec,
            refuses: match function {
                Softmax => vec![vec![]],
                _ => vec![],
            },
        });
    }
    entries.push(Entry {
        what: "Flatten".to_string(),
        make: Box::new(|| Flatten::new().into()),
        class_name: "Flatten",
        takes: shapes(),
        gives: |shape| vec![shape.iter().product()],
        refuses: vec![],
    });
    for rate in [0.0, 0.4, 1.0] {
        entries.push(Entry {
            what: format!("Dropout, rate {rate}"),
            make: Box::new(move || Dropout::new(rate).into()),
            class_name: "Dropout",
            takes: shapes(),
            gives: <[usize]>::to_vec,
            refuses: vec![],
        });
    }
    entries
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
    let features = *sample.last().unwrap();
    let first = Dense::new(features).name("first");
    model(sample, vec![first.into(), (entry.make)()], dtype)
}

#[test]
fn the_shape_that_a_layer_promises_is_the_one_it_gives() {
    for entry in layers() {
        for sample in &entry.takes {
            let model = model(sample, vec![(entry.make)()], DType::F32);
            let promised = (entry.gives)(sample);
            assert_eq!(model.output_shape(), promised, "{}", entry.what);
            for batch in [1, 3] {
                let x = numbers(&shape(batch, sample), "x");
                let outputs = model.predict(&x).unwrap();
                let expected = shape(batch, &promised);
                assert_eq!(outputs.dims(), expected, "{} of {sample:?}", entry.what);
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
                .add((entry.make)());
            let error = model.build(&Device::Cpu).unwrap_err().to_string();
            let class_name = entry.class_name;
            let name = class_name.to_lowercase();
            let start = format!("layer `{name}` ({class_name}): expected an input of shape ");
            assert!(error.starts_with(&start), "{}: {error}", entry.what);
            assert!(error.contains("got (None,)"), "{}: {error}", entry.what);
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
            let x = numbers(&shape(3, sample), "x");
            let y = numbers(&shape(3, &(entry.gives)(sample)), "y");
            let what = format!("{} of {sample:?}", entry.what);
            let differ = |path: &str, values: &Tensor| {
                let mut model = make();
                model.set_weight(path, values).unwrap();
                first_loss(model, &x, &y)
            };
            let model = make();
            let gradients = model.gradients(&x, &y).unwrap();
            let paths: Vec<&String> = gradients.iter().map(|(path, _)| path).collect();
            let weights: Vec<&str> = model.weights().map(|weight| weight.path()).collect();
            assert_eq!(paths, weights, "{what}");
            for (path, gradient) in &gradients {
                let value = model.weight(path).unwrap();
                assert_eq!(gradient.dims(), value.dims(), "{what} {path}");
                let differences = differences(&value, |values| differ(path, values));
                let what = format!("{what}, {path}");
                assert_close(&what, &flat(gradient), &differences, 1e-6, 1e-9);
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
    let mut stream = candle_keras::seed::Stream::new(1, "shapes", 0);
    let mut below = |limit: usize| 1 + (stream.uniform() * limit as f32) as usize;
    for entry in layers() {
        for rank in [1, 2, 1, 2] {
            let sample: Vec<usize> = (0..rank).map(|_| below(40)).collect();
            let batch = below(20);
            let what = format!("{} of {sample:?} in batches of {batch}", entry.what);
            let x = numbers(&shape(batch, &sample), "x");
            let y = numbers(&shape(batch, &(entry.gives)(&sample)), "y");
            let gradients = |dtype| {
                let model = behind_dense(&entry, &sample, dtype);
                let outputs = flat(&model.predict(&x).unwrap());
                (outputs, model.gradients(&x, &y).unwrap())
            };
            let (fused, plain) = (gradients(DType::F32), gradients(DType::F64));
            assert_close(&what, &fused.0, &plain.0, 1e-5, 1e-6);
            for ((path, fused), (_, plain)) in fused.1.iter().zip(&plain.1) {
                assert_eq!((fused.dtype(), plain.dtype()), (DType::F32, DType::F64));
                // Sums of up to 800 terms of f32's 6e-8 each; a gradient's size is that of its
                // greatest number.
                let plain = flat(plain);
                let size = plain.iter().fold(0f64, |size, x| size.max(x.abs()));
                let what = format!("{what}, {path}");
                assert_close(&what, &flat(fused), &plain, 1e-5, 1e-5 * size);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_a_layer_the_same_bits_and_another_seed_others() {
    for entry in layers() {
        let sample = &entry.takes[0];
        let x = numbers(&shape(7, sample), "x");
        let y = numbers(&shape(7, &(entry.gives)(sample)), "y");
        let train = |seed: u64| {
            let mut model = Sequential::new()
                .seed(seed)
                .add(Input::new(&sample[..]))
                .add(Dense::new(6))
                .add((entry.make)())
                .build(&Device::Cpu)
                .unwrap();
            model.compile(Adam::new(0.01), SquaredError, ()).unwrap();
            let options = Fit::new().epochs(2).batch_size(3).verbose(0);
            model.fit(&x, &y, options).unwrap();
            bits(&model)
        };
        assert_eq!(train(1), train(1), "{}", entry.what);
        assert_ne!(train(1), train(2), "{}", entry.what);
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
fn a_fused_optimizer_step_in_f32_is_the_plain_one_in_f64() {
    let optimizers: [Box<dyn Optimizer>; 7] = [
        Sgd::new(0.1).into(),
        Sgd::new(0.1).momentum(0.9).into(),
        Sgd::new(0.1).momentum(0.9).nesterov(true).into(),
        Sgd::new(0.1).nesterov(true).into(),
        Adam::new(0.01).into(),
        Adam::new(0.01).beta_1(0.5).beta_2(0.9).into(),
        Adam::new(0.01).beta_1(0.0).epsilon(0.1).into(),
    ];
    for optimizer in &optimizers {
        for dims in [&[1][..], &[7], &[1000], &[17, 33]] {
            let run = |dtype| {
                let start = numbers(dims, "weight").to_dtype(dtype).unwrap();
                let weight = Var::from_tensor(&start).unwrap();
                let slots: Vec<Var> = optimizer
                    .slots()
                    .iter()
                    .map(|_| Var::zeros(dims, dtype, &Device::Cpu).unwrap())
                    .collect();
                for step in 1..=5 {
                    let gradient = numbers(dims, &format!("gradient {step}"));
                    let gradient = gradient.to_dtype(dtype).unwrap();
                    optimizer.update(step, &weight, &gradient, &slots).unwrap();
                }
                let slots = slots.iter().flat_map(|slot| flat(slot));
                [flat(&weight), slots.collect()].concat()
            };
            let what = format!("{optimizer:?} of {dims:?}");
            let (fused, plain) = (run(DType::F32), run(DType::F64));
            // Five steps of f32's 6e-8, on numbers of about 1.
            assert_close(&what, &fused, &plain, 1e-6, 1e-6);
            assert_ne!(fused[..1], flat(&numbers(dims, "weight"))[..1], "{what}");
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
            counter.update(&y, &p).unwrap();
            let accuracy = counter.result().unwrap();
            assert!((accuracy - 2.0 / 3.0).abs() < 1e-7, "{dtype:?}: {accuracy}");
        }
    }
}
