//! What the choice of activation does to a deep network: the same layers, seed and images with
//! five activations, side by side.
//!
//!     cargo run --release --example activations

mod common;

use anyhow::Result;
use candle_keras::{activations::ActivationFunction, prelude::*};
use clap::Parser;
use common::plot;
use std::path::PathBuf;

/// Trains the same deep network with five activations.
#[derive(Parser)]
struct Flags {
    /// Folder with the four MNIST files (default: $CANDLE_KERAS_DATA, the cache, then the hub)
    #[arg(long)]
    data: Option<PathBuf>,
    /// How often every image is trained on (default: 5; 40 on the few embedded digits)
    #[arg(long, value_parser = common::at_least_one)]
    epochs: Option<usize>,
    /// Decides initial weights and shuffling, the same for every activation
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const HIDDEN_LAYERS: usize = 4;
const ACTIVATIONS: [(char, ActivationFunction); 5] = [
    ('s', Sigmoid),
    ('t', Tanh),
    ('r', Relu),
    (
        'l',
        LeakyRelu {
            negative_slope: 0.2,
        },
    ),
    ('e', Elu { alpha: 1.0 }),
];

/// What one network shows. The lists of a layer's numbers follow the layers.
struct Run {
    accuracies: Vec<f64>,
    /// Before and after the training.
    gradients: [Vec<f32>; 2],
    zeros: Vec<f64>,
    dead: Vec<f64>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let images = common::load_digits(flags.data.as_deref())?;
    let few = images.train_images.len() < 10_000;
    let epochs = flags.epochs.unwrap_or(if few { 40 } else { 5 });
    let x_train = images.train_images.flatten().scale(1.0 / 255.0)?;
    let x_test = images.test_images.flatten().scale(1.0 / 255.0)?;
    let (y_train, y_test) = (&images.train_labels, &images.test_labels);
    // The images by which gradients are measured: as many as are there, up to 1,000.
    let x_some = x_train.narrow(0, 0, x_train.len().min(1000))?;
    let y_some = y_train.narrow(0, 0, x_some.len())?;

    println!(
        "784-64-64-64-64-10, {epochs} epochs, SGD 0.01 with momentum 0.9, seed {}",
        flags.seed
    );
    let mut runs = Vec::new();
    for (_, activation) in ACTIVATIONS {
        println!("Training with {} ...", activation.name());
        let mut model = Sequential::new().add(Input::new(784));
        for _ in 0..HIDDEN_LAYERS {
            model = model.add(Dense::new(64).activation(activation));
        }
        let model = model
            .add(Dense::new(10).activation(Softmax))
            .seed(flags.seed);
        let mut model = model.build(&Device::Cpu)?;
        let loss = SparseCategoricalCrossentropy::new();
        model.compile(Sgd::new(0.01).momentum(0.9), loss, [Accuracy])?;

        let before = gradient_norms(&model, &x_some, &y_some)?;
        let options = Fit::new()
            .epochs(epochs)
            .batch_size(if few { 16 } else { 64 })
            .validation_data(&x_test, y_test)
            .validation_batch_size(1000)
            .verbose(0);
        let history = model.fit(&x_train, y_train, options)?;
        let (zeros, dead) = silence(&model, &x_test)?;
        runs.push(Run {
            accuracies: history["val_accuracy"].to_vec(),
            gradients: [before, gradient_norms(&model, &x_some, &y_some)?],
            zeros,
            dead,
        });
    }

    header("Accuracy on the test images after each epoch, in %");
    let every = epochs.div_ceil(10);
    for epoch in (0..epochs).filter(|epoch| (epoch + 1) % every == 0 || epoch + 1 == epochs) {
        row(&format!("epoch {}", epoch + 1), &runs, |run| {
            format!("{:.2}", 100.0 * run.accuracies[epoch])
        });
    }
    let mut curves = Vec::new();
    for ((letter, activation), run) in ACTIVATIONS.iter().zip(&runs) {
        let accuracy = |epoch: f64| between(&run.accuracies, epoch);
        let curve = plot::curve(1.0, epochs.max(2) as f64, accuracy);
        curves.push((*letter, activation.name(), curve));
    }
    // Where curves meet, their letters take turns.
    for index in 0..curves.len() {
        let (letter, _, curve) = &curves[index];
        let turns = curve.iter().skip(index).step_by(ACTIVATIONS.len());
        curves.push((*letter, "", turns.copied().collect()));
    }
    print!("\n{}", plot::chart(&curves));

    for (index, when) in ["before", "after"].into_iter().enumerate() {
        header(&format!(
            "Norm of the loss's gradient by each kernel, {when} training"
        ));
        for layer in 0..=HIDDEN_LAYERS {
            row(&layer_name(layer), &runs, |run| {
                format!("{:.1e}", run.gradients[index][layer])
            });
        }
    }
    header("Share of outputs that are exactly 0, on the test images, in %");
    for layer in 0..HIDDEN_LAYERS {
        row(&layer_name(layer), &runs, |run| {
            format!("{:.1}", 100.0 * run.zeros[layer])
        });
    }
    header("Dead units, which are 0 for every test image, in %");
    for layer in 0..HIDDEN_LAYERS {
        row(&layer_name(layer), &runs, |run| {
            format!("{:.1}", 100.0 * run.dead[layer])
        });
    }

    println!("\nWhat these numbers show");
    for ((_, activation), run) in ACTIVATIONS.iter().zip(&runs) {
        tell(activation.name(), run);
    }
    Ok(())
}

/// Says of one network what its numbers show, and nothing else.
fn tell(name: &str, run: &Run) {
    let first = run.accuracies.first().copied().unwrap_or_default();
    let last = run.accuracies.last().copied().unwrap_or_default();
    println!(
        "- {name}: {:.2}% right after the last epoch, {:.2}% after the first.",
        100.0 * last,
        100.0 * first
    );
    let shrunk = run.gradients[0][HIDDEN_LAYERS] / run.gradients[0][0];
    if shrunk > 10.0 {
        println!(
            "  Its gradient vanishes on the way back: before training, the first layer's is {shrunk:.0} times"
        );
        println!("  smaller than the last one's.");
    }
    if last < 0.2 {
        println!("  It learned next to nothing: guessing is right in about 10%.");
    }
    let zeros = run.zeros.iter().sum::<f64>() / HIDDEN_LAYERS as f64;
    if zeros > 0.01 {
        let dead = run.dead.iter().sum::<f64>() / HIDDEN_LAYERS as f64;
        println!(
            "  {:.0}% of its hidden outputs are 0; {:.1}% of its hidden units are dead.",
            100.0 * zeros,
            100.0 * dead
        );
    }
}

/// The Euclidean norm of the gradient of every kernel, in the order of the layers.
fn gradient_norms(model: &Sequential, x: &Data, y: &Tensor) -> Result<Vec<f32>> {
    let gradients = model.gradients(x, y)?;
    let kernels = gradients
        .iter()
        .filter(|(path, _)| path.ends_with("/kernel"));
    kernels
        .map(|(_, gradient)| Ok(gradient.sqr()?.sum_all()?.sqrt()?.to_scalar()?))
        .collect()
}

/// For every hidden layer the share of outputs that are 0, and of units that always are.
fn silence(model: &Sequential, x: &Data) -> Result<(Vec<f64>, Vec<f64>)> {
    let outputs = model.layer_outputs(x)?;
    let mut shares = (Vec::new(), Vec::new());
    for (_, outputs) in outputs.iter().take(HIDDEN_LAYERS) {
        let zero = outputs.eq(0f64)?.to_dtype(DType::F32)?; // (images, units)
        let units = zero.mean(0)?.to_vec1::<f32>()?;
        let count = units.len() as f64;
        shares
            .0
            .push(units.iter().map(|share| f64::from(*share)).sum::<f64>() / count);
        shares
            .1
            .push(units.iter().filter(|share| **share == 1.0).count() as f64 / count);
    }
    Ok(shares)
}

/// The accuracy at epoch `x`, counted from 1, on the line between the epochs around it.
fn between(accuracies: &[f64], x: f64) -> f64 {
    let last = accuracies.len() - 1;
    let low = ((x - 1.0).floor() as usize).min(last);
    let high = (low + 1).min(last);
    accuracies[low] + (accuracies[high] - accuracies[low]) * (x - 1.0 - low as f64)
}

fn layer_name(layer: usize) -> String {
    match layer {
        HIDDEN_LAYERS => "output".to_string(),
        _ => format!("hidden {}", layer + 1),
    }
}

fn header(title: &str) {
    println!("\n{title}");
    let names: String = ACTIVATIONS
        .iter()
        .map(|(_, f)| format!("{:>12}", f.name()))
        .collect();
    println!("{:<10}{names}", "");
}

fn row(name: &str, runs: &[Run], cell: impl Fn(&Run) -> String) {
    let cells: String = runs
        .iter()
        .map(|run| format!("{:>12}", cell(run)))
        .collect();
    println!("{name:<10}{cells}");
}
