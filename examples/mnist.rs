//! The walkthrough: a network that learns to read digits, as one writes it in Keras.
//!
//!     cargo run --release --example mnist

mod common;

use candle_keras::prelude::*;
use clap::Parser;
use common::{Digits, Flags};

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let Digits {
        images,
        epochs,
        batch_size,
    } = flags.digits()?;

    // (n, 28, 28) bytes become rows of 784 numbers from 0 to 1 as each batch is gathered.
    let x_train = images.train_images.clone().flatten().scale(1.0 / 255.0)?;
    let y_train = to_categorical(&images.train_labels, 10)?;
    let x_test = images.test_images.clone().flatten().scale(1.0 / 255.0)?;
    let y_test = to_categorical(&images.test_labels, 10)?;

    let mut model = Sequential::new()
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .seed(flags.seed)
        .build(&flags.device)?;
    model.compile(
        Sgd::new(0.01).momentum(0.9),
        CategoricalCrossentropy::new(),
        [Accuracy],
    )?;
    println!("{}", model.summary());
    println!("Seed: {}\n", model.current_seed().unwrap_or_default());

    let options = Fit::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .validation_split(0.1);
    let history = model.fit(&x_train, &y_train, options)?;

    let scores = model.evaluate(&x_test, &y_test)?;
    println!("\nTest loss: {:.4}", scores["loss"]);
    println!("Test accuracy: {:.2}%", 100.0 * scores["accuracy"]);

    let samples = x_test.narrow(0, 0, x_test.len().min(5))?;
    common::show_predictions(&images, &model.predict(&samples)?)?;
    if let Some(path) = flags.plot {
        common::draw_history(&history, &path)?;
    }
    Ok(())
}
