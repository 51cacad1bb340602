//! Regression: a small network finds a curve in noisy points.
//!
//!     cargo run --release --example regression

mod common;

use candle_keras::{prelude::*, seed::Stream};
use clap::Parser;
use common::plot;

/// Learns a curve from noisy points.
#[derive(Parser)]
struct Flags {
    /// How often every point is trained on
    #[arg(long, default_value_t = 300, value_parser = common::at_least_one)]
    epochs: usize,
    /// Decides the points, the initial weights and the shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const NOISE: f64 = 0.1;

fn truth(x: f64) -> f64 {
    (3.0 * x).sin() * (-x * x / 4.0).exp()
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();

    // 800 points in random order, so that the last fifth, to validate on, lies everywhere.
    let mut random = Stream::new(flags.seed, "points", 0);
    let points: Vec<(f64, f64)> = (0..800)
        .map(|_| {
            let x = 6.0 * f64::from(random.uniform()) - 3.0;
            (x, truth(x) + NOISE * random.normal())
        })
        .collect();
    let column = |values: Vec<f64>| Tensor::from_vec(values, (800, 1), &Device::Cpu);
    let x = column(points.iter().map(|point| point.0).collect())?;
    let y = column(points.iter().map(|point| point.1).collect())?;

    let mut model = Sequential::new()
        .add(Input::new(1))
        .add(Dense::new(32).activation(Tanh))
        .add(Dense::new(32).activation(Tanh))
        .add(Dense::new(1))
        .seed(flags.seed)
        .build(&Device::Cpu)?;
    model.compile(Adam::new(0.005), MeanSquaredError::new(), ())?;

    let options = Fit::new()
        .epochs(flags.epochs)
        .validation_split(0.2)
        .verbose(0);
    let history = model.fit(&x, &y, options)?;

    println!("epoch     loss  val_loss");
    let last = flags.epochs - 1;
    for epoch in (0..last).step_by(flags.epochs.div_ceil(10)).chain([last]) {
        let (loss, val_loss) = (history["loss"][epoch], history["val_loss"][epoch]);
        println!("{:>5}  {loss:>7.4}  {val_loss:>8.4}", epoch + 1);
    }
    println!(
        "The noise alone makes a loss of {:.4} on average: its variance.\n",
        NOISE * NOISE
    );

    let xs = plot::columns(-3.0, 3.0);
    let inputs = Tensor::from_vec(xs.clone(), (xs.len(), 1), &Device::Cpu)?;
    let outputs = model.predict(&inputs)?.squeeze(1)?.to_vec1::<f32>()?;
    let predicted: Vec<(f64, f64)> = xs
        .into_iter()
        .zip(outputs.into_iter().map(f64::from))
        .collect();
    let (prediction_error, point_error) = (distance(&predicted), distance(&points));
    let curve = plot::curve(-3.0, 3.0, truth);
    print!(
        "{}",
        plot::chart(&[
            ('.', "points", points),
            ('o', "truth", curve),
            ('#', "prediction", predicted)
        ])
    );
    println!(
        "\nMean distance from the truth: points {point_error:.3}, prediction {prediction_error:.3}"
    );
    Ok(())
}

/// How far points are from the truth on average.
fn distance(points: &[(f64, f64)]) -> f64 {
    let distances = points.iter().map(|(x, y)| (y - truth(*x)).abs());
    distances.sum::<f64>() / points.len() as f64
}
