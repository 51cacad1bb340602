//! What the digit examples share: their flags, their data, and digits drawn in characters.

#![allow(dead_code, reason = "each example uses its own part of this module")]

pub mod plot;

use anyhow::{Context, Result};
use candle_keras::{
    Error,
    datasets::{self, Dataset},
    prelude::*,
};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Trains a network that reads handwritten digits.
#[derive(Parser, Debug)]
pub struct Flags {
    /// Folder with the four MNIST files (default: $CANDLE_KERAS_DATA, the cache, then the hub)
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// How often every image is trained on (default: 5; 40 on the few embedded digits)
    #[arg(long, value_parser = at_least_one)]
    pub epochs: Option<usize>,
    /// Images in a step (default: 64; 16 on the few embedded digits)
    #[arg(long, value_parser = at_least_one)]
    pub batch_size: Option<usize>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu", value_parser = candle_keras::device)]
    pub device: Device,
    /// Decides initial weights and shuffling (default: a fresh one, which is shown)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the curves of loss and accuracy to this SVG file
    #[arg(long, value_parser = new_file)]
    pub plot: Option<PathBuf>,
}

/// The images to work with, and how to train on them.
pub struct Digits {
    pub images: Dataset,
    pub epochs: usize,
    pub batch_size: usize,
}

impl Flags {
    /// MNIST, or, where it cannot be had, the digits in the crate.
    pub fn digits(&self) -> Result<Digits> {
        let images = load_digits(self.data.as_deref())?;
        // A fortieth of the images needs more and smaller steps: `--epochs 5 --batch-size 64` stops
        // short of 90% on the embedded digits; tests/walkthrough.rs checks 40 and 16.
        let few = images.train_images.len() < 10_000;
        Ok(Digits {
            images,
            epochs: self.epochs.unwrap_or(if few { 40 } else { 5 }),
            batch_size: self.batch_size.unwrap_or(if few { 16 } else { 64 }),
        })
    }
}

/// A count given as a flag.
pub fn at_least_one(text: &str) -> std::result::Result<usize, &'static str> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or("expected a whole number from 1 on")
}

/// A file to write, given as a flag: better refused now than after the training.
fn new_file(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("there is no folder {}", folder.display()))
        }
        _ => Ok(path),
    }
}

/// MNIST from `folder`, or from where the crate looks for it; without it, the digits in the crate.
/// A broken file ends the program: other data would only hide it.
pub fn load_digits(folder: Option<&Path>) -> Result<Dataset> {
    let found = match folder {
        Some(folder) => datasets::mnist::load_from(folder),
        None => datasets::mnist::load_data(),
    };
    match found {
        Err(Error::DatasetMissing { folders, hub, .. }) => {
            let digits = datasets::digits::load_data_28x28()?;
            println!(
                "No MNIST in {folders}{hub}: training on the {} digits in the crate, enlarged to 28×28 (--data names a folder with MNIST's files)\n",
                digits.train_images.len()
            );
            Ok(digits)
        }
        Err(broken) => {
            eprintln!("Error: {broken}");
            std::process::exit(1)
        }
        Ok(images) => Ok(images),
    }
}

/// Draws the images whose `probabilities` are given, (n, 10), and says what the model takes them for.
pub fn show_predictions(data: &Dataset, probabilities: &Tensor) -> Result<()> {
    for (index, row) in probabilities.to_vec2::<f32>()?.iter().enumerate() {
        let digit = probabilities.get(index)?.argmax(0)?.to_scalar::<u32>()?;
        let actual = data.test_labels.get(index)?.to_scalar::<u8>()?;
        println!("\n{}", draw(&data.test_images.tensor().get(index)?)?);
        println!(
            "Sample {}: predicted {digit} ({:.1}%), actual {actual}",
            index + 1,
            100.0 * row[digit as usize]
        );
    }
    Ok(())
}

/// An image of bytes, drawn with characters two rows to a line.
pub fn draw(image: &Tensor) -> Result<String> {
    let rows = image.to_vec2::<u8>()?;
    let lines = rows.chunks(2).map(|pair| {
        let columns = 0..pair[0].len();
        let characters = columns.map(|column| {
            let ink = pair
                .iter()
                .map(|row| usize::from(row[column]))
                .sum::<usize>()
                / pair.len();
            [' ', '.', ':', '+', '#', '@'][ink * 6 / 256]
        });
        characters.collect::<String>().trim_end().to_string()
    });
    let lines: Vec<String> = lines.skip_while(String::is_empty).collect();
    Ok(lines.join("\n").trim_end().to_string())
}

/// Loss and accuracy of every epoch as two diagrams in an SVG file.
pub fn draw_history(history: &History, path: &Path) -> Result<()> {
    use plotters::prelude::*;
    let root = SVGBackend::new(path, (900, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, name) in root.split_evenly((1, 2)).iter().zip(["loss", "accuracy"]) {
        let curves = [name.to_string(), format!("val_{name}")];
        let curves = curves.map(|name| (history.get(&name).unwrap_or_default().to_vec(), name));
        let values = || curves.iter().flat_map(|(values, _)| values).copied();
        let (low, high) = (
            values().fold(f64::MAX, f64::min),
            values().fold(f64::MIN, f64::max),
        );
        let margin = (0.05 * (high - low)).max(1e-3);
        let last = history.epochs().len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(name, ("sans-serif", 20))
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(1.0..last.max(2.0), low - margin..high + margin)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .x_labels(history.epochs().len().min(10))
            .x_label_formatter(&|epoch| format!("{epoch:.0}"))
            .light_line_style(WHITE)
            .draw()?;
        let present = curves.into_iter().filter(|(values, _)| !values.is_empty());
        for ((values, name), color) in present.zip([BLUE, RED]) {
            let points = values
                .into_iter()
                .enumerate()
                .map(|(epoch, y)| (epoch as f64 + 1.0, y));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE)
            .draw()?;
    }
    root.present()
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nThe curves are in {}", path.display());
    Ok(())
}
