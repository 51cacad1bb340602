//! What the fused operations give on f32 in memory is what the plain formulation gives in f64, for
//! shapes drawn at random: those that fill no vector, no block and no part, and those that are cut.

mod common;

use candle_core::D;
use candle_keras::{
    Result,
    activations::ActivationFunction,
    losses::Loss,
    optimizers::{Optimization, Optimizer, Sgd},
    prelude::*,
    seed::Stream,
    weights::Weight,
};
use common::{flat, labels};

/// f32 rounds by at most 2⁻²⁴ = 6e-8 of a number. In a sum of up to 1000 terms, roundings of random
/// sign come to less than ten times that of the sum of absolute terms, and one term too few to at
/// least a thousandth.
const ROUNDING: f64 = 1e-6;

/// Random shapes and numbers.
struct Draw(Stream);

impl Draw {
    fn new(name: &str) -> Self {
        Self(Stream::new(1, name, 0))
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.0.uniform() * limit as f32) as usize).min(limit - 1)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A length up to `limit`: as often one that a vector, a word of 32 or a block ends at, one
    /// beside it or a prime, as any.
    fn length(&mut self, limit: usize) -> usize {
        const EDGES: [usize; 20] = [
            1, 2, 3, 7, 8, 13, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129,
        ];
        match self.below(2) {
            0 => self.one_of(&EDGES).min(limit),
            _ => 1 + self.below(limit),
        }
    }

    /// Numbers from -1 to 1, of which the share `zeros` is 0.
    fn numbers(&mut self, dims: &[usize], zeros: f32) -> Tensor {
        let count: usize = dims.iter().product();
        let mut number = || match self.0.uniform() < zeros {
            true => 0.0,
            false => 2.0 * self.0.uniform() - 1.0,
        };
        let numbers: Vec<f32> = (0..count).map(|_| number()).collect();
        Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
    }
}

fn wide(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::F64).unwrap()
}

fn greatest(tensor: &Tensor) -> f64 {
    flat(tensor).into_iter().fold(0.0, f64::max)
}

/// Every number within `allowed`, which has one for each.
fn assert_within(what: &str, got: &Tensor, expected: &Tensor, allowed: &Tensor) {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    assert_eq!(allowed.dims(), expected.dims(), "{what}");
    let numbers = flat(got).into_iter().zip(flat(expected)).zip(flat(allowed));
    for (index, ((got, expected), allowed)) in numbers.enumerate() {
        assert!(
            (got - expected).abs() <= allowed,
            "{what}[{index}]: got {got:e}, expected {expected:e}, {allowed:e} allowed"
        );
    }
}

/// Σ y·t: a loss whose gradient is t.
#[derive(Debug)]
struct Along;

impl Loss for Along {
    fn name(&self) -> &str {
        "along"
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok((y_true * y_pred)?.sum(1)?)
    }
}

/// A dense layer of random widths and weights, with random inputs.
struct Case {
    what: String,
    function: ActivationFunction,
    x: Tensor,
    kernel: Tensor,
    bias: Option<Tensor>,
    /// The loss's gradient with respect to the outputs, times the batch size.
    gradient: Tensor,
}

impl Case {
    fn draw(draw: &mut Draw, function: ActivationFunction) -> Self {
        let (batch, units) = (draw.length(130), draw.length(200));
        // Often wide for its batch: such a product is cut along the features.
        let features = match draw.below(3) {
            0 => (4 * batch + draw.below(300)).min(900),
            _ => draw.length(400),
        };
        let zeros = draw.one_of(&[0.0, 0.5, 0.8, 0.97, 1.0]);
        let x = draw.numbers(&[batch, features], zeros);
        let size = (6.0 / (features + units) as f64).sqrt();
        let kernel = draw.numbers(&[features, units], 0.0) * size;
        let bias = (draw.below(4) > 0).then(|| draw.numbers(&[units], 0.0));
        Self {
            what: format!(
                "{function:?} of {batch}×{features}·{features}×{units}, {zeros} of it 0, bias {}",
                bias.is_some()
            ),
            function,
            x,
            kernel: kernel.unwrap(),
            bias,
            gradient: draw.numbers(&[batch, units], 0.0),
        }
    }

    /// Outputs, and gradients of inputs, kernel and perhaps bias, as the model computes them in
    /// `dtype`. The inputs are the kernel of a layer before, whose own inputs are the unit matrix:
    /// so they have a gradient that can be asked for, with no arithmetic added.
    fn computed(&self, gradient: &Tensor, dtype: DType) -> (Tensor, Vec<Tensor>) {
        let (batch, features) = self.x.dims2().unwrap();
        let units = self.kernel.dim(1).unwrap();
        let dense = Dense::new(units)
            .activation(self.function)
            .use_bias(self.bias.is_some());
        let mut model = Sequential::new()
            .dtype(dtype)
            .seed(1)
            .add(Input::new(batch))
            .add(Dense::new(features).use_bias(false).name("x"))
            .add(dense.name("dense"))
            .build(&Device::Cpu)
            .unwrap();
        model.set_weight("x/kernel", &self.x).unwrap();
        model.set_weight("dense/kernel", &self.kernel).unwrap();
        if let Some(bias) = &self.bias {
            model.set_weight("dense/bias", bias).unwrap();
        }
        model.compile(Sgd::new(0.1), Along, ()).unwrap();
        let unit = Tensor::eye(batch, DType::F32, &Device::Cpu).unwrap();
        let options = Predict::new().batch_size(batch).verbose(0);
        let outputs = model.predict_with(&unit, options).unwrap();
        let gradients = model.gradients(&unit, gradient).unwrap();
        let gradients = gradients.into_iter().map(|(_, gradient)| gradient);
        (outputs, gradients.collect())
    }

    fn check(&self) {
        self.compare().unwrap();
    }

    fn compare(&self) -> candle_core::Result<()> {
        let (x, kernel) = (wide(&self.x), wide(&self.kernel));
        let batch = x.dim(0)? as f64;
        let add = |sum: Tensor, bias: Option<Tensor>| match bias {
            Some(bias) => sum.broadcast_add(&bias),
            None => Ok(sum),
        };
        let bias = self.bias.as_ref().map(wide);
        let z = add(x.matmul(&kernel)?, bias.clone())?;
        let bias = bias.map(|bias| bias.abs()).transpose()?;
        let terms = add(x.abs()?.matmul(&kernel.abs()?)?, bias)?;
        // No activation changes faster than its input; softmax by what the whole row's change.
        let error = match self.function {
            Softmax => terms.max_keepdim(D::Minus1)?.broadcast_as(z.shape())?,
            _ => terms,
        };
        let error = (error * ROUNDING)?;
        // What is so near to 0 that its rounding tells on which side it is, gets no gradient.
        let near = z.abs()?.le(&error)?;
        let gradient = near.where_cond(&self.gradient.zeros_like()?, &self.gradient)?;

        let (outputs, fused) = self.computed(&gradient, DType::F32);
        let (expected, plain) = self.computed(&gradient, DType::F64);
        assert_eq!(fused.len(), plain.len());
        let y_error = (&error + (expected.abs()? * ROUNDING)?)?;
        assert_within(&self.what, &outputs, &expected, &y_error);

        // |t| is at most 1, and so is a derivative, which changes at most four times as fast as y
        // (softmax's y·(t - Σ y·t) with both its factors), where it is not constant.
        let bend = match self.function {
            Linear | Relu | LeakyRelu { .. } => 0.0,
            _ => 4.0,
        };
        let g_error = (greatest(&y_error) * bend + ROUNDING) / batch;
        // Of |g|, at most 1 / batch, that is ROUNDING times the absolute terms besides.
        let g_error = Tensor::full(g_error + ROUNDING / batch, z.shape(), &Device::Cpu)?;
        let sums = [
            g_error.matmul(&kernel.abs()?.t()?)?,
            x.abs()?.t()?.matmul(&g_error)?,
            g_error.sum(0)?,
        ];
        for (index, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
            let what = format!("{}, gradient {index}", self.what);
            assert_within(&what, fused, plain, &sums[index]);
        }
        Ok(())
    }
}

#[test]
fn a_dense_layers_outputs_and_gradients_are_the_plain_ones_for_any_shape() {
    let mut draw = Draw::new("dense");
    for _ in 0..30 {
        for function in [
            Linear,
            Sigmoid,
            Relu,
            Tanh,
            LeakyRelu {
                negative_slope: 0.2,
            },
            LeakyRelu {
                negative_slope: -0.5,
            },
            Elu { alpha: 0.3 },
            Elu { alpha: -0.7 },
            Softmax,
        ] {
            Case::draw(&mut draw, function).check();
        }
        // Sums as they are show most.
        Case::draw(&mut draw, Linear).check();
    }
}

#[test]
fn the_largest_products_are_the_plain_ones() {
    // In blocks of rows and of columns, along the features, and over the zeros of images.
    let mut draw = Draw::new("large");
    for (batch, features, units, zeros) in [
        (1000, 130, 60, 0.0),
        (30, 700, 1000, 0.0),
        (1, 900, 800, 0.0),
        (64, 784, 128, 0.8),
        (1024, 300, 33, 0.8),
        (257, 200, 300, 0.0),
    ] {
        let case = Case {
            what: format!("{batch}×{features}·{features}×{units}, {zeros} of it 0"),
            function: Relu,
            x: draw.numbers(&[batch, features], zeros),
            kernel: (draw.numbers(&[features, units], 0.0) * 0.1).unwrap(),
            bias: Some(draw.numbers(&[units], 0.0)),
            gradient: draw.numbers(&[batch, units], 0.0),
        };
        case.check();
    }
}

/// A classifier of two dense layers with its optimizer.
fn classifier(widths: [usize; 3], optimizer: Box<dyn Optimizer>, dtype: DType) -> Sequential {
    let [features, hidden, classes] = widths;
    let mut model = Sequential::new()
        .dtype(dtype)
        .seed(5)
        .add(Input::new(features))
        .add(Dense::new(hidden).activation(Tanh))
        .add(Dense::new(classes).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(optimizer, loss, [Accuracy]).unwrap();
    model
}

#[test]
fn a_training_step_changes_every_weight_as_the_plain_update_does() {
    let optimizers: [fn() -> Box<dyn Optimizer>; 5] = [
        || Sgd::new(0.1).into(),
        || Sgd::new(0.1).momentum(0.9).into(),
        || Sgd::new(0.1).momentum(0.9).nesterov(true).into(),
        || Adam::new(0.1).into(),
        || Adam::new(0.1).beta_1(0.5).beta_2(0.9).epsilon(0.01).into(),
    ];
    let mut draw = Draw::new("updates");
    for _ in 0..16 {
        for make in optimizers {
            let rule = make();
            let widths = [draw.length(600), draw.length(200), 1 + draw.length(40)];
            let batch = draw.length(130);
            let zeros = draw.one_of(&[0.0, 0.8]);
            let what = format!("{rule:?}, {widths:?}, batch {batch}, {zeros} of it 0");
            let mut model = classifier(widths, make(), DType::F32);
            // The same weights with slots of their own, in f64.
            let plain: Vec<Weight> = model
                .weights()
                .map(|weight| Weight::new(weight.path(), &wide(weight.value())).unwrap())
                .collect();
            let mut optimization = Optimization::new(make(), &plain).unwrap();
            for step in 1..=4 {
                let x = draw.numbers(&[batch, widths[0]], zeros);
                let y = labels(batch, widths[2]);
                let gradients = model.gradients(&x, &y).unwrap();
                let options = Fit::new().batch_size(batch).shuffle(false).verbose(0);
                model.fit(&x, &y, options).unwrap();
                let wide = gradients.iter().map(|(_, gradient)| wide(gradient));
                optimization.apply(&plain, wide.collect()).unwrap();
                for (weight, fused) in plain.iter().zip(model.weights()) {
                    let (path, weight) = (weight.path(), weight.value());
                    // Some ten roundings a step, of a weight and of steps up to 1 that follow from
                    // the same gradients.
                    let sizes = (weight.abs().unwrap() + 1.0).unwrap();
                    let allowed = (sizes * (step as f64 * ROUNDING)).unwrap();
                    let what = format!("{what}, {path} after step {step}");
                    assert_within(&what, &fused.copy().unwrap(), weight, &allowed);
                }
            }
        }
    }
}

#[test]
fn predictions_and_scores_are_the_plain_ones_whatever_the_batches() {
    let mut draw = Draw::new("scores");
    for _ in 0..25 {
        let widths = [draw.length(600), draw.length(200), 1 + draw.length(40)];
        let samples = 1 + draw.below(700);
        let zeros = draw.one_of(&[0.0, 0.8]);
        let x = draw.numbers(&[samples, widths[0]], zeros);
        let y = labels(samples, widths[2]);
        let model = |dtype| classifier(widths, Sgd::new(0.1).into(), dtype);
        let predict = |model: &Sequential, batch_size| {
            let options = Predict::new().batch_size(batch_size).verbose(0);
            model.predict_with(&x, options).unwrap()
        };
        let evaluate = |model: &Sequential, batch_size| {
            let options = Evaluate::new().batch_size(batch_size).verbose(0);
            model.evaluate_with(&x, &y, options).unwrap()
        };
        let (fused, plain) = (model(DType::F32), model(DType::F64));
        let (expected, scores) = (predict(&plain, samples), evaluate(&plain, samples));
        for batch_size in [1, 32, 1 + draw.below(130), 10_000] {
            let what = format!("{samples} samples of {widths:?} in batches of {batch_size}");
            // Logits of about 1 from up to 800 products: 1e-5 is a hundred roundings of them.
            let allowed = (&expected * 1e-5).unwrap();
            assert_within(&what, &predict(&fused, batch_size), &expected, &allowed);
            let got = evaluate(&fused, batch_size);
            assert!(
                (got["loss"] / scores["loss"] - 1.0).abs() < 1e-5,
                "{what}: {got:?}, {scores:?}"
            );
            // One sample in two hundred may lie so near the middle that rounding decides.
            assert!(
                (got["accuracy"] - scores["accuracy"]).abs() <= 0.005,
                "{what}: {got:?}, {scores:?}"
            );
        }
    }
}
