//! A table of numbers: tell malignant from benign tumours by 30 measurements of cell nuclei.
//!
//!     cargo run --release --example breast_cancer
//!
//! Data: W. Wolberg, O. Mangasarian, N. Street, W. Street, "Breast Cancer Wisconsin (Diagnostic)",
//! UCI Machine Learning Repository, 1993, doi 10.24432/C5DW2B, CC BY 4.0 (see `data/README.md`).

mod common;

use anyhow::{Context, Result};
use candle_keras::{prelude::*, seed::Stream};
use clap::Parser;
use flate2::read::GzDecoder;
use std::io::Read;

/// Learns to tell malignant from benign tumours.
#[derive(Parser)]
struct Flags {
    /// How often every sample is trained on
    #[arg(long, default_value_t = 20, value_parser = common::at_least_one)]
    epochs: usize,
    /// Decides which samples are held back, the initial weights and the shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (x, y) = load()?;

    // The table is not in random order, so it is shuffled before a fifth is held back.
    let count = x.dim(0)?;
    let order = Stream::new(flags.seed, "split", 0).permutation(count);
    let order = Tensor::new(order, &Device::Cpu)?;
    let (x, y) = (x.index_select(&order, 0)?, y.index_select(&order, 0)?);
    let test = count / 5;
    let (x_train, y_train) = (
        x.narrow(0, test, count - test)?,
        y.narrow(0, test, count - test)?,
    );
    let (x_test, y_test) = (x.narrow(0, 0, test)?, y.narrow(0, 0, test)?);

    // Measurements from 0.001 to 4000 come to one scale. Mean and deviation are those of the
    // samples to train on: the test samples stay unseen.
    let mean = x_train.mean_keepdim(0)?;
    let deviation = x_train.var_keepdim(0)?.sqrt()?;
    let standardise = |x: &Tensor| x.broadcast_sub(&mean)?.broadcast_div(&deviation);
    let (x_train, x_test) = (standardise(&x_train)?, standardise(&x_test)?);

    let mut model = Sequential::new()
        .add(Input::new(30))
        .add(Dense::new(16).activation(Relu))
        .add(Dense::new(1).activation(Sigmoid)) // the probability of malignant
        .seed(flags.seed)
        .build(&Device::Cpu)?;
    model.compile(Adam::new(0.005), BinaryCrossentropy::new(), [Accuracy])?;
    println!("{}", model.summary());
    println!("{} samples to train on, {test} held back\n", count - test);

    let options = Fit::new()
        .epochs(flags.epochs)
        .validation_split(0.1)
        .verbose(0);
    let history = model.fit(&x_train, &y_train, options)?;
    println!("epoch     loss  accuracy  val_loss  val_accuracy");
    let last = flags.epochs - 1;
    for epoch in (0..last).step_by(flags.epochs.div_ceil(6)).chain([last]) {
        let number = |name: &str| history[name][epoch];
        println!(
            "{:>5}  {:>7.4}  {:>7.2}%  {:>8.4}  {:>11.2}%",
            epoch + 1,
            number("loss"),
            100.0 * number("accuracy"),
            number("val_loss"),
            100.0 * number("val_accuracy")
        );
    }

    let scores = model.evaluate_with(&x_test, &y_test, Evaluate::new().verbose(0))?;
    println!("\nTest loss: {:.4}", scores["loss"]);
    println!("Test accuracy: {:.2}%", 100.0 * scores["accuracy"]);

    let probabilities = model.predict(&x_test)?.squeeze(1)?.to_vec1::<f32>()?;
    let truths: Vec<bool> = y_test.to_vec1::<u8>()?.iter().map(|y| *y == 1).collect();
    let pairs = || {
        truths
            .iter()
            .copied()
            .zip(probabilities.iter().map(|p| *p > 0.5))
    };
    let table = |truth, answer| pairs().filter(|pair| *pair == (truth, answer)).count();
    println!("\n                   predicted");
    println!("actual       malignant   benign");
    println!(
        "malignant    {:>9}   {:>6}",
        table(true, true),
        table(true, false)
    );
    println!(
        "benign       {:>9}   {:>6}",
        table(false, true),
        table(false, false)
    );

    println!("\nThe five test samples that it was least sure of:");
    let mut answers: Vec<_> = probabilities.iter().zip(&truths).collect();
    answers.sort_by(|a, b| (a.0 - 0.5).abs().total_cmp(&(b.0 - 0.5).abs()));
    for (probability, truth) in answers.iter().take(5) {
        let name = if **truth { "malignant" } else { "benign" };
        println!(
            "malignant with {:>4.1}%, actual {name}",
            100.0 * **probability
        );
    }
    Ok(())
}

/// Measurements, (569, 30), and whether the tumour is malignant, (569,): 1 or 0.
fn load() -> Result<(Tensor, Tensor)> {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("data/breast_cancer.csv.gz")[..]).read_to_string(&mut text)?;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let (features, label) = line.rsplit_once(',').context("a line without a comma")?;
        for feature in features.split(',') {
            x.push(feature.parse::<f32>()?);
        }
        y.push(u8::from(label == "0")); // in the file 0 is malignant
    }
    let count = y.len();
    Ok((
        Tensor::from_vec(x, (count, 30), &Device::Cpu)?,
        Tensor::from_vec(y, count, &Device::Cpu)?,
    ))
}
