//! The walkthrough as PyTorch's users write it: normalised pixels, logits in place of
//! probabilities, whole-number labels, and a line of loss every 100 steps.
//!
//!     cargo run --release --example mnist_pytorch

mod common;

use candle_keras::{callbacks::Callback, prelude::*};
use clap::Parser;
use common::{Digits, Flags};

/// Prints how far an epoch is. PyTorch's tutorial shows the loss of one batch; this is the steadier
/// mean over all images of the epoch so far.
struct PrintLoss {
    epoch: usize,
    batch_size: usize,
    images: usize,
}

impl Callback for PrintLoss {
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Sequential) -> candle_keras::Result<()> {
        self.epoch = epoch + 1;
        Ok(())
    }

    fn on_train_batch_end(
        &mut self,
        batch: usize,
        model: &mut Sequential,
    ) -> candle_keras::Result<()> {
        let steps = batch + 1;
        if steps.is_multiple_of(100) {
            let (epoch, images) = (self.epoch, self.images);
            let seen = (steps * self.batch_size).min(images);
            let percent = 100 * seen / images;
            let loss = model.running_logs()?["loss"];
            println!("Epoch {epoch} [{seen:>5}/{images} ({percent:>2}%)]  loss: {loss:.4}");
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _: usize,
        logs: &mut Logs,
        _: &mut Sequential,
    ) -> candle_keras::Result<()> {
        let (loss, accuracy) = (logs["loss"], 100.0 * logs["accuracy"]);
        println!(
            "Epoch {} done: loss {loss:.4}, accuracy {accuracy:.2}%",
            self.epoch
        );
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let Digits {
        images,
        epochs,
        batch_size,
    } = flags.digits()?;

    // The mean and the deviation of MNIST's training pixels, as transforms.Normalize takes them.
    let pixels = |images: &Data| {
        let scaled = images.clone().flatten().scale(1.0 / 255.0)?;
        scaled.normalize(0.1307, 0.3081)
    };
    let x_train = pixels(&images.train_images)?;
    let x_test = pixels(&images.test_images)?;
    let (y_train, y_test) = (&images.train_labels, &images.test_labels);

    let mut model = Sequential::new()
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10)) // logits: the loss applies the softmax
        .seed(flags.seed)
        .build(&flags.device)?;
    model.compile(
        Sgd::new(0.01).momentum(0.9),
        SparseCategoricalCrossentropy::new().from_logits(),
        [Accuracy],
    )?;
    println!("{}", model.summary());
    println!("Seed: {}", model.current_seed().unwrap_or_default());
    println!("The loss below is the mean over the epoch's images so far.\n");

    let print_loss = PrintLoss {
        epoch: 0,
        batch_size,
        images: x_train.len(),
    };
    let options = Fit::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .verbose(0)
        .callback(print_loss);
    let history = model.fit(&x_train, y_train, options)?;

    let quietly = Evaluate::new().batch_size(1000).verbose(0);
    let scores = model.evaluate_with(&x_test, y_test, quietly)?;
    let count = x_test.len();
    let right = (scores["accuracy"] * count as f64).round();
    println!("\nTest set");
    println!("Average loss: {:.4}", scores["loss"]);
    println!(
        "Accuracy: {right}/{count} ({:.2}%)",
        100.0 * scores["accuracy"]
    );

    let logits = model.predict(&x_test.narrow(0, 0, count.min(5))?)?;
    let probabilities = Softmax.call(&logits)?;
    common::show_predictions(&images, &probabilities)?;
    if let Some(path) = flags.plot {
        common::draw_history(&history, &path)?;
    }
    Ok(())
}
