//! Exclusive or: the problem that one neuron cannot solve and a hidden layer can.
//!
//!     cargo run --release --example xor

use candle_keras::{callbacks::Callback, prelude::*};
use clap::Parser;

/// Learns exclusive or.
#[derive(Parser)]
struct Flags {
    /// Decides the initial weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A loss at which every answer is right by a wide margin.
const SOLVED: f64 = 0.02;

/// Ends the training as soon as the problem is solved.
struct StopWhenSolved;

impl Callback for StopWhenSolved {
    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        model: &mut Sequential,
    ) -> candle_keras::Result<()> {
        if logs["loss"] < SOLVED {
            model.stop_training();
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let x = Tensor::new(
        &[[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        &Device::Cpu,
    )?;
    let y = Tensor::new(&[[0f32], [1.0], [1.0], [0.0]], &Device::Cpu)?;

    let mut model = Sequential::new()
        .add(Input::new(2))
        .add(Dense::new(8).activation(Tanh))
        .add(Dense::new(1).activation(Sigmoid))
        .seed(flags.seed)
        .build(&Device::Cpu)?;
    model.compile(Adam::new(0.05), BinaryCrossentropy::new(), [Accuracy])?;
    println!("{}", model.summary());

    let options = Fit::new().epochs(2000).verbose(0).callback(StopWhenSolved);
    let history = model.fit(&x, &y, options)?;

    println!("\nepoch     loss  accuracy");
    let last = history.epochs().len() - 1;
    for epoch in (0..last).step_by(20).chain([last]) {
        let (loss, accuracy) = (history["loss"][epoch], history["accuracy"][epoch]);
        println!("{:>5}  {loss:>7.4}  {accuracy:>8.2}", epoch + 1);
    }

    println!("\n a  b  a xor b  predicted");
    let predictions = model.predict(&x)?.squeeze(1)?.to_vec1::<f32>()?;
    for (inputs, probability) in x.to_vec2::<f32>()?.iter().zip(predictions) {
        let (a, b) = (inputs[0] as u8, inputs[1] as u8);
        println!(" {a}  {b}  {:>7}  {probability:>9.3}", a ^ b);
    }
    anyhow::ensure!(
        history["loss"][last] < SOLVED,
        "not solved in {} epochs: try another --seed",
        last + 1
    );
    println!("\nSolved after {} epochs.", last + 1);
    Ok(())
}
