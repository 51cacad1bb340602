//! The same program on a GPU and on the CPU, where there is a GPU.

mod common;

use candle_keras::{Result, callbacks::Callback, prelude::*, seed};
use common::{assert_close, flat, labels, numbers, skip};

/// The first GPU; elsewhere `None`, after a line that says that the test skips.
fn gpu() -> Option<Device> {
    match Device::new_cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            skip(format!("no CUDA device ({error})"));
            None
        }
    }
}

/// What a program gave: everything that can be compared.
struct Outcome {
    history: History,
    running: Vec<f64>,
    scores: Logs,
    outputs: Tensor,
    weights: Vec<Tensor>,
}

/// Notes the running loss after every batch of the first epoch.
struct Running(Vec<f64>);

impl Callback for Running {
    fn on_train_batch_end(&mut self, _batch: usize, model: &mut Sequential) -> Result<()> {
        self.0.push(model.running_logs()?["loss"]);
        Ok(())
    }
}

/// A small image classifier with every layer of the crate.
fn classifier(device: &Device) -> Sequential {
    let mut model = Sequential::new()
        .seed(8)
        .add(Input::new((6, 5)))
        .add(Flatten::new())
        .add(Dense::new(24).activation(Relu))
        .add(Dropout::new(0.2))
        .add(Dense::new(16).activation(Elu { alpha: 1.0 }))
        .add(Dense::new(16))
        .add(Activation::new(LeakyRelu {
            negative_slope: -0.2,
        }))
        .add(Dense::new(12).activation(Tanh))
        .add(Dense::new(4).activation(Softmax))
        .build(device)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(Adam::new(0.003), loss, [Accuracy]).unwrap();
    model
}

/// Trains, evaluates and predicts.
fn run(mut model: Sequential, x: &Data, y: &Tensor) -> Outcome {
    let mut running = Running(Vec::new());
    let options = Fit::new()
        .epochs(3)
        .batch_size(16)
        .validation_split(0.2)
        .verbose(0)
        .callback(&mut running);
    let history = model.fit(x, y, options).unwrap();
    let options = Evaluate::new().batch_size(33).verbose(0);
    Outcome {
        history,
        running: running.0,
        scores: model.evaluate_with(x, y, options).unwrap(),
        outputs: model.predict(x).unwrap(),
        weights: model
            .weights()
            .map(|weight| weight.copy().unwrap())
            .collect(),
    }
}

/// Losses within 1e-5 of their size; weights and outputs, which are small differences of larger
/// numbers, within 1e-4.
fn assert_alike(what: &str, gpu: &Outcome, cpu: &Outcome) {
    let names: Vec<&str> = gpu.history.names().collect();
    assert_eq!(names, cpu.history.names().collect::<Vec<_>>());
    for name in names {
        let what = format!("{what}, {name}");
        assert_close(&what, &gpu.history[name], &cpu.history[name], 1e-5, 0.0);
    }
    assert_close(what, &gpu.running, &cpu.running, 1e-5, 0.0);
    for (name, value) in gpu.scores.iter() {
        assert_close(what, &[value], &[cpu.scores[name]], 1e-5, 0.0);
    }
    let pairs = gpu.weights.iter().zip(&cpu.weights);
    for (gpu, cpu) in pairs.chain([(&gpu.outputs, &cpu.outputs)]) {
        assert_close(what, &flat(gpu), &flat(cpu), 1e-4, 1e-5);
    }
}

fn bytes(device: &Device) -> Data {
    let values: Vec<u8> = (0..100 * 30).map(|i| (i * 37 % 251) as u8).collect();
    let values = Tensor::from_vec(values, (100, 6, 5), device).unwrap();
    Data::from(values).scale(1.0 / 255.0).unwrap()
}

#[test]
fn a_gpu_trains_evaluates_and_predicts_as_the_cpu_does_wherever_the_data_lie() {
    let Some(gpu) = gpu() else { return };
    let y = labels(100, 4);
    let expected = run(classifier(&Device::Cpu), &bytes(&Device::Cpu), &y);
    assert!(expected.history["loss"][2] < expected.history["loss"][0]);
    for data_on in [&Device::Cpu, &gpu] {
        for dtype in [DType::U8, DType::U32] {
            let x = bytes(data_on);
            let y = y.to_dtype(dtype).unwrap().to_device(data_on).unwrap();
            let got = run(classifier(&gpu), &x, &y);
            assert!(got.outputs.device().is_cuda());
            let what = format!("bytes on {data_on:?}, labels as {dtype:?}");
            assert_alike(&what, &got, &expected);
        }
    }
    // Data on the GPU for a model on the CPU.
    let got = run(classifier(&Device::Cpu), &bytes(&gpu), &y);
    assert_alike("a model on the CPU", &got, &expected);
}

#[test]
fn on_a_gpu_too_the_same_seed_gives_the_same_first_weights() {
    let Some(gpu) = gpu() else { return };
    let (here, there) = (classifier(&Device::Cpu), classifier(&gpu));
    for (here, there) in here.weights().zip(there.weights()) {
        assert_eq!(
            flat(&here.copy().unwrap()),
            flat(&there.copy().unwrap()),
            "{}",
            here.path()
        );
    }
}

#[test]
fn every_loss_and_optimizer_trains_on_a_gpu_as_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let x = numbers(&[40, 5], "x");
    let one_hot = to_categorical(&labels(40, 3), 3).unwrap();
    let probabilities = numbers(&[40, 3], "y").affine(0.5, 0.5).unwrap();
    for (loss, y) in [
        (0, &labels(40, 3)),
        (1, &one_hot),
        (2, &probabilities),
        (3, &probabilities),
    ] {
        for optimizer in 0..4 {
            let train = |device: &Device| {
                let activation = [Softmax, Softmax, Sigmoid, Linear][loss];
                let mut model = Sequential::new()
                    .seed(8)
                    .add(Input::new(5))
                    .add(Dense::new(8).activation(Sigmoid))
                    .add(Dense::new(3).activation(activation))
                    .build(device)
                    .unwrap();
                let optimizer: Box<dyn candle_keras::optimizers::Optimizer> = match optimizer {
                    0 => Sgd::new(0.1).into(),
                    1 => Sgd::new(0.1).momentum(0.9).into(),
                    2 => Sgd::new(0.1).momentum(0.9).nesterov(true).into(),
                    _ => Adam::new(0.01).into(),
                };
                let loss: Box<dyn candle_keras::losses::Loss> = match loss {
                    0 => SparseCategoricalCrossentropy::new().into(),
                    1 => CategoricalCrossentropy::new().into(),
                    2 => BinaryCrossentropy::new().into(),
                    _ => MeanSquaredError::new().into(),
                };
                model.compile(optimizer, loss, [Accuracy]).unwrap();
                run(model, &Data::from(&x), y)
            };
            let what = format!("loss {loss}, optimizer {optimizer}");
            assert_alike(&what, &train(&gpu), &train(&Device::Cpu));
        }
    }
}

#[test]
fn on_a_gpu_a_number_that_is_not_finite_is_told_with_its_own_step_and_leaves_no_trace() {
    let Some(gpu) = gpu() else { return };
    let x = numbers(&[40, 5], "x");
    let mut values: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
    values[23 * 5 + 2] = f32::NAN;
    let bad = Tensor::from_vec(values, (40, 5), &Device::Cpu).unwrap();
    let y = numbers(&[40, 1], "y");
    let build = || {
        let mut model = Sequential::new()
            .seed(8)
            .add(Input::new(5))
            .add(Dense::new(8).activation(Tanh))
            .add(Dropout::new(0.3))
            .add(Dense::new(1))
            .build(&gpu)
            .unwrap();
        let loss = MeanSquaredError::new();
        model.compile(Adam::new(0.01), loss, ()).unwrap();
        model
    };
    let options = || Fit::new().batch_size(4).verbose(0);
    let weights = |model: &Sequential| -> Vec<f64> {
        model
            .weights()
            .flat_map(|w| flat(&w.copy().unwrap()))
            .collect()
    };
    let mut untouched = build();
    untouched.fit(&x, &y, options()).unwrap();
    let mut broken = build();
    broken.fit(&x, &y, options()).unwrap();
    // Where the second epoch of the model's life puts sample 23.
    let order = seed::Stream::new(8, "shuffle", 1).permutation(40);
    let step = order.iter().position(|index| *index == 23).unwrap() / 4 + 1;
    let error = broken.fit(&bad, &y, options()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "epoch 1, step {step}: x holds a number that is not finite; training stopped there, and the model keeps the weights from before this fit: mend or remove the samples"
        )
    );
    assert_eq!(weights(&broken), weights(&untouched));
    broken.fit(&x, &y, options()).unwrap();
    untouched.fit(&x, &y, options()).unwrap();
    // A GPU may add up in another order from run to run.
    assert_close("after", &weights(&broken), &weights(&untouched), 1e-5, 1e-6);
}

#[test]
fn on_a_gpu_a_single_batch_whose_loss_is_not_finite_changes_no_weight() {
    let Some(gpu) = gpu() else { return };
    let model = Sequential::new().seed(8).add(Input::new(2));
    let mut model = model.add(Dense::new(1)).build(&gpu).unwrap();
    let loss = MeanSquaredError::new();
    model.compile(Adam::new(0.01), loss, ()).unwrap();
    let kernel = |model: &Sequential| flat(&model.weight("dense/kernel").unwrap());
    let before = kernel(&model);
    let bad = Tensor::new(&[[1f32, f32::NAN]], &Device::Cpu).unwrap();
    let y = numbers(&[1, 1], "y");
    assert!(model.train_on_batch(&bad, &y).is_err());
    assert_eq!(kernel(&model), before);
    model.train_on_batch(numbers(&[1, 2], "x"), &y).unwrap();
    assert_ne!(kernel(&model), before);
}

#[test]
fn a_layer_that_candle_differentiates_trains_on_a_gpu_as_on_the_cpu() {
    use candle_keras::layers::{Layer, Pass};

    /// y = x³ / 3
    #[derive(Debug)]
    struct Cube;
    impl Layer for Cube {
        fn class_name(&self) -> &str {
            "Cube"
        }
        fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
            Ok(input_shape.to_vec())
        }
        fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
            Ok(((inputs.sqr()? * inputs)? / 3.0)?)
        }
    }
    let Some(gpu) = gpu() else { return };
    let (x, y) = (numbers(&[40, 5], "x"), labels(40, 3));
    let train = |device: &Device| {
        let mut model = Sequential::new()
            .seed(8)
            .add(Input::new(5))
            .add(Dense::new(8))
            .add(Cube)
            .add(Activation::new(Sigmoid))
            .add(Cube)
            .add(Dense::new(3).activation(Softmax))
            .build(device)
            .unwrap();
        let loss = SparseCategoricalCrossentropy::new();
        model.compile(Adam::new(0.01), loss, [Accuracy]).unwrap();
        run(model, &Data::from(&x), &y)
    };
    assert_alike("cube", &train(&gpu), &train(&Device::Cpu));
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_that_is_not_there_is_named_with_what_to_do() {
    // The driver's own text stands in between.
    let error = candle_keras::device("cuda:99").unwrap_err().to_string();
    let start = "device `cuda:99`: this machine has no such device (";
    let end = "): check the driver and the number, or use cpu";
    assert!(error.starts_with(start) && error.ends_with(end), "{error}");
}
