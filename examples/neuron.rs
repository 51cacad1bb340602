//! The theory with numbers: a neuron, the activations, a forward pass and the losses, each worked
//! out by hand in plain f32 arithmetic beside what the crate gives.
//!
//!     cargo run --release --example neuron

mod common;

use anyhow::{Result, ensure};
use candle_keras::{activations::ActivationFunction, losses::Loss, prelude::*};
use common::plot;

fn main() -> Result<()> {
    one_neuron()?;
    activations()?;
    forward_pass()?;
    losses()
}

/// y = f(w·x + b)
fn one_neuron() -> Result<()> {
    println!("1. A neuron: y = f(w·x + b)\n");
    let (x, w, b) = ([1.0f32, 2.0, 3.0], [0.2f32, 0.8, -0.5], -1.0f32);
    println!("   x = {x:?}, w = {w:?}, b = {b}");

    let z = w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + b;
    println!("   z = w·x + b = 0.2·1 + 0.8·2 - 0.5·3 - 1 = {z:.4}\n");

    for (f, by_hand) in [
        (Linear, z),
        (Relu, z.max(0.0)),
        (Sigmoid, 1.0 / (1.0 + (-z).exp())),
        (Tanh, z.tanh()),
    ] {
        let mut neuron = Sequential::new()
            .add(Input::new(3))
            .add(Dense::new(1).activation(f))
            .build(&Device::Cpu)?;
        neuron.set_weight("dense/kernel", &tensor(&w, (3, 1))?)?;
        neuron.set_weight("dense/bias", &tensor(&[b], 1)?)?;
        let y = numbers(&neuron.predict(&tensor(&x, (1, 3))?)?)?;
        compare(f.name(), &[by_hand], &y)?;
    }
    Ok(())
}

/// Every activation at a few points, and drawn.
fn activations() -> Result<()> {
    println!("\n2. Activations: what f does to z\n");
    let points = [-3.0f32, -1.0, 0.0, 1.0, 3.0];
    println!("   {:<12}{}", "z", columns(&points));
    let functions = [
        (Linear, "z"),
        (Sigmoid, "1 / (1 + e^-z)"),
        (Relu, "max(z, 0)"),
        (Tanh, "(e^z - e^-z) / (e^z + e^-z)"),
        (
            LeakyRelu {
                negative_slope: 0.2,
            },
            "z above 0, 0.2·z below",
        ),
        (Elu { alpha: 1.0 }, "z above 0, e^z - 1 below"),
    ];
    for (f, _) in functions {
        let values = numbers(&f.call(&tensor(&points, 5)?)?)?;
        println!("   {:<12}{}", f.name(), columns(&values));
    }
    for (f, formula) in functions {
        println!("\n   {}: f(z) = {formula}", f.name());
        print!("{}", plot::chart(&[('*', "", drawn(f)?)]));
    }

    println!("\n   softmax: f(z)ᵢ = e^zᵢ / Σⱼ e^zⱼ turns a vector into probabilities");
    let z = [2.0f32, 1.0, 0.1, -1.0];
    let sum: f32 = z.iter().map(|z| z.exp()).sum();
    let by_hand: Vec<f32> = z.iter().map(|z| z.exp() / sum).collect();
    for (z, share) in z.iter().zip(&by_hand) {
        println!("   {z:>5.1} {share:.4} {}", plot::bar(f64::from(*share)));
    }
    compare(
        "softmax",
        &by_hand,
        &numbers(&Softmax.call(&tensor(&z, 4)?)?)?,
    )
}

/// Two inputs, two hidden neurons, one output: every number on the way.
fn forward_pass() -> Result<()> {
    println!("\n3. A forward pass: 2 inputs, 2 neurons with relu, 1 with sigmoid\n");
    let x = [0.5f32, -1.0];
    let w1 = [[0.4f32, -0.6], [-0.3, 0.8]]; // w1[i][j]: from input i to neuron j
    let b1 = [0.1f32, 0.2];
    let w2 = [1.5f32, -2.0];
    let b2 = -0.5f32;

    let z1 = [
        w1[0][0] * x[0] + w1[1][0] * x[1] + b1[0],
        w1[0][1] * x[0] + w1[1][1] * x[1] + b1[1],
    ];
    let a1 = z1.map(|z| z.max(0.0));
    let z2 = w2[0] * a1[0] + w2[1] * a1[1] + b2;
    let y = 1.0 / (1.0 + (-z2).exp());
    println!("   x  = {x:?}");
    println!("   z1 = x·W1 + b1 = [{:.4}, {:.4}]", z1[0], z1[1]);
    println!("        0.4·0.5 + -0.3·-1 + 0.1 and -0.6·0.5 + 0.8·-1 + 0.2");
    println!("   a1 = relu(z1)  = [{:.4}, {:.4}]", a1[0], a1[1]);
    println!("   z2 = a1·w2 + b2 = {z2:.4}");
    println!("        1.5·0.6 + -2·0 - 0.5");
    println!("   y  = sigmoid(z2) = {y:.4}\n");

    let mut model = Sequential::new()
        .add(Input::new(2))
        .add(Dense::new(2).activation(Relu).name("hidden"))
        .add(Dense::new(1).activation(Sigmoid).name("output"))
        .build(&Device::Cpu)?;
    model.set_weight("hidden/kernel", &tensor(w1.as_flattened(), (2, 2))?)?;
    model.set_weight("hidden/bias", &tensor(&b1, 2)?)?;
    model.set_weight("output/kernel", &tensor(&w2, (2, 1))?)?;
    model.set_weight("output/bias", &tensor(&[b2], 1)?)?;
    let x = tensor(&x, (1, 2))?;
    for ((name, outputs), by_hand) in model.layer_outputs(&x)?.iter().zip([&a1[..], &[y]]) {
        compare(name, by_hand, &numbers(outputs)?)?;
    }
    compare("predict", &[y], &numbers(&model.predict(&x)?)?)
}

/// How wrong an output is, as one number.
fn losses() -> Result<()> {
    println!("\n4. Losses: how far y_pred is from y_true\n");
    let (t, p) = ([1.0f32, 0.0, 1.0], [0.8f32, 0.3, 0.6]);
    println!("   y_true = {t:?}, y_pred = {p:?}");
    let (y_true, y_pred) = (tensor(&t, (1, 3))?, tensor(&p, (1, 3))?);

    println!("   MSE = mean (y_true - y_pred)² = (0.2² + 0.3² + 0.4²) / 3");
    let squares = t.iter().zip(&p).map(|(t, p)| (t - p).powi(2));
    let mse = squares.sum::<f32>() / 3.0;
    let loss = MeanSquaredError::new().call(&y_true, &y_pred)?;
    compare("MSE", &[mse], &numbers(&loss)?)?;

    println!("\n   BCE = -mean (y_true·ln y_pred + (1 - y_true)·ln (1 - y_pred))");
    println!("       = -(ln 0.8 + ln 0.7 + ln 0.6) / 3");
    let logs = t.iter().zip(&p);
    let logs = logs.map(|(t, p)| t * p.ln() + (1.0 - t) * (1.0 - p).ln());
    let bce = -logs.sum::<f32>() / 3.0;
    let loss = BinaryCrossentropy::new().call(&y_true, &y_pred)?;
    compare("BCE", &[bce], &numbers(&loss)?)?;

    let (t, z) = ([0.0f32, 1.0, 0.0], [1.0f32, 2.0, -0.5]);
    let sum: f32 = z.iter().map(|z| z.exp()).sum();
    let p = z.map(|z| z.exp() / sum);
    println!("\n   y_true = {t:?} (class 1), logits z = {z:?}");
    println!("   y_pred = softmax(z) = [{}]", columns(&p).trim());
    println!("   CE  = -Σ y_true·ln y_pred = -ln {:.4}", p[1]);
    let ce = -p[1].ln();
    let (y_true, y_pred) = (tensor(&t, (1, 3))?, tensor(&p, (1, 3))?);
    let loss = CategoricalCrossentropy::new().call(&y_true, &y_pred)?;
    compare("CE", &[ce], &numbers(&loss)?)?;
    let logits = tensor(&z, (1, 3))?;
    let from_logits = CategoricalCrossentropy::new().from_logits();
    let loss = from_logits.call(&y_true, &logits)?;
    compare("CE, logits", &[ce], &numbers(&loss)?)?;
    let label = Tensor::new(&[1u32], &Device::Cpu)?;
    let from_logits = SparseCategoricalCrossentropy::new().from_logits();
    let loss = from_logits.call(&label, &logits)?;
    compare("CE, sparse", &[ce], &numbers(&loss)?)?;

    println!("\nAll that was worked out by hand agrees with the crate to 1e-6.");
    Ok(())
}

/// Prints both, and fails where they are more than 1e-6 apart.
fn compare(name: &str, by_hand: &[f32], crate_gives: &[f32]) -> Result<()> {
    println!(
        "   {name:<12}by hand{}   crate{}",
        columns(by_hand),
        columns(crate_gives)
    );
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6;
    let agree = by_hand.len() == crate_gives.len() && by_hand.iter().zip(crate_gives).all(close);
    ensure!(
        agree,
        "{name}: {by_hand:?} by hand, {crate_gives:?} from the crate"
    );
    Ok(())
}

fn columns(values: &[f32]) -> String {
    values.iter().map(|value| format!("{value:>9.4}")).collect()
}

/// An activation's values at every column of a chart.
fn drawn(f: ActivationFunction) -> Result<Vec<(f64, f64)>> {
    let xs = plot::columns(-4.0, 4.0);
    let ys = f
        .call(&Tensor::new(&xs[..], &Device::Cpu)?)?
        .to_vec1::<f64>()?;
    Ok(xs.into_iter().zip(ys).collect())
}

fn tensor(values: &[f32], shape: impl Into<candle_core::Shape>) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?.reshape(shape.into())?)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}
