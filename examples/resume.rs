//! A training that is ended by Ctrl-C, or killed, and goes on where it was when it is started again.
//!
//!     cargo run --release --example resume            Ctrl-C, then the same again

mod common;

use candle_keras::{
    Error,
    callbacks::{BackupAndRestore, SaveFreq},
    prelude::*,
};
use clap::Parser;
use common::{Digits, Flags};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Trains a network that reads handwritten digits, and goes on with a training that was ended.
#[derive(Parser, Debug)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// The folder of the backup; it is gone once the training has come to its end
    #[arg(long, default_value = "resume-backup")]
    backup: PathBuf,
    /// The file that the trained model is saved to
    #[arg(long, default_value = "digits.keras")]
    model: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments {
        flags,
        backup,
        model: file,
    } = Arguments::parse();
    let Digits {
        images,
        epochs,
        batch_size,
    } = flags.digits()?;
    let x_train = images.train_images.clone().flatten().scale(1.0 / 255.0)?;
    let y_train = to_categorical(&images.train_labels, 10)?;

    let mut model = Sequential::new()
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dropout::new(0.2))
        .add(Dense::new(10).activation(Softmax))
        .seed(flags.seed)
        .build(&flags.device)?;
    model.compile(Adam::new(0.001), CategoricalCrossentropy::new(), [Accuracy])?;

    // A first Ctrl-C ends the training after the running batch, a second one at once.
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    if backup.join("latest.keras").exists() {
        println!("Going on from the backup in {}", backup.display());
    }
    // Killed, it loses at most 200 batches, which are trained on again.
    let backups = BackupAndRestore::new(&backup)
        .save_freq(SaveFreq::Batches(200))
        .delete_checkpoint(false) // below, once the model is in a file
        .interrupted_by(interrupted);
    let options = Fit::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .validation_split(0.1)
        .callback(EarlyStopping::new().patience(5).restore_best_weights(true))
        .callback(backups);
    let history = match model.fit(&x_train, &y_train, options) {
        Err(interruption @ Error::Interrupted { .. }) => {
            println!("\n{interruption}");
            return Ok(());
        }
        fitted => fitted?,
    };

    println!(
        "\nValidation accuracy of every epoch, whichever run trained it: {:.4?}",
        &history["val_accuracy"]
    );
    model.save(&file)?;
    std::fs::remove_dir_all(&backup)?;
    println!("The model is in {}", file.display());
    Ok(())
}
