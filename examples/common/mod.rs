//! What the digit examples share: their flags, their data, and digits drawn in characters.

#![allow(dead_code, reason = "each example uses its own part of this module")]

use anyhow::Result;
use candle_keras::{
    datasets::{self, Dataset},
    prelude::*,
};
use clap::Parser;
use std::path::PathBuf;

/// Flags of the digit examples.
#[derive(Parser, Debug)]
pub struct Flags {
    /// Folder with the four MNIST files (default: $CANDLE_KERAS_DATA, the cache, then the hub)
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// How often every image is trained on (default: 5; 60 on the few embedded digits)
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images in a step
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Decides initial weights and shuffling (default: a fresh one, which is shown)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the curves of loss and accuracy to this SVG file
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// The images to work with, and how long to train on them.
pub struct Digits {
    pub images: Dataset,
    pub epochs: usize,
}

impl Flags {
    /// MNIST, or, where it cannot be had, the digits in the crate.
    pub fn digits(&self) -> Result<Digits> {
        let found = match &self.data {
            Some(folder) => datasets::mnist::load_from(folder),
            None => datasets::mnist::load_data(),
        };
        match found {
            Ok(images) => Ok(Digits {
                images,
                epochs: self.epochs.unwrap_or(5),
            }),
            Err(missing @ candle_keras::Error::DatasetMissing { .. }) => {
                println!("{missing}");
                println!(
                    "Training on the 1,415 digits in the crate instead, scaled up to 28×28.\n"
                );
                Ok(Digits {
                    images: datasets::digits::load_data_28x28()?,
                    epochs: self.epochs.unwrap_or(60),
                })
            }
            Err(broken) => Err(broken.into()),
        }
    }
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
pub fn plot(history: &History, path: &std::path::Path) -> Result<()> {
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
        let margin = 0.05 * (high - low);
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
        for ((values, name), color) in curves.into_iter().zip([BLUE, RED]) {
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
    root.present()?;
    Ok(())
}
