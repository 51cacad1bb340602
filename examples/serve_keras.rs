//! Predicts with a `.keras` file of this crate or of Keras 3: one binary, no Python.
//!
//!     cargo run --release --example serve_keras -- model.keras samples.csv
//!     cargo run --release --example serve_keras -- model.keras digit.png t10k-images-idx3-ubyte.gz
//!     echo "5.1,3.5,1.4,0.2" | target/release/examples/serve_keras model.keras

use anyhow::{Context, Result, bail, ensure};
use candle_keras::{datasets::idx, prelude::*};
use clap::Parser;
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Predicts with a .keras file.
#[derive(Parser)]
struct Flags {
    /// The model
    model: PathBuf,
    /// Files of samples: .png, IDX (`-idx3-ubyte`, also .gz), all else CSV; standard input without
    /// any, or for `-`
    samples: Vec<PathBuf>,
    /// What every number is divided by (default: 255 for images, 1 for CSV)
    #[arg(long)]
    divide_by: Option<f64>,
    /// Turns images round, dark on light to light on dark
    #[arg(long)]
    invert: bool,
    /// Prints nothing but the outputs, as CSV
    #[arg(long)]
    csv: bool,
}

fn main() -> Result<()> {
    let mut flags = Flags::parse();
    let model = Sequential::load(&flags.model, &Device::Cpu)?;
    if flags.samples.is_empty() {
        flags.samples.push("-".into());
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for path in &flags.samples {
        let (what, samples) = read(path, model.input_shape())?;
        let mut scale = 1.0 / flags.divide_by.unwrap_or(samples.white());
        let mut offset = 0.0;
        if flags.invert {
            (scale, offset) = (-scale, samples.white() * scale);
        }
        let x = ((samples.tensor()? * scale)? + offset)?;
        let count = x.dim(0)?;
        let x = x.reshape([&[count], model.input_shape()].concat())?;
        let outputs = model.predict(&x)?.flatten_from(1)?.to_dtype(DType::F64)?;
        for (index, outputs) in outputs.to_vec2::<f64>()?.into_iter().enumerate() {
            if flags.csv {
                writeln!(out, "{}", joined(&outputs, ","))?;
            } else {
                writeln!(out, "{what}, sample {}: {}", index + 1, shown(&outputs))?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Samples as they were read.
enum Samples {
    /// Bytes from 0 to 255.
    Images(Data),
    Rows(Tensor),
}

impl Samples {
    /// The number that stands for white, or for 1.
    fn white(&self) -> f64 {
        match self {
            Self::Images(_) => 255.0,
            Self::Rows(_) => 1.0,
        }
    }

    fn tensor(self) -> Result<Tensor> {
        Ok(match self {
            Self::Images(images) => images.to_tensor()?.to_dtype(DType::F32)?,
            Self::Rows(rows) => rows,
        })
    }
}

/// The samples of a file, and what it is called.
fn read(path: &Path, input_shape: &[usize]) -> Result<(String, Samples)> {
    let name = path.to_string_lossy();
    let values = input_shape.iter().product();
    if name == "-" {
        let rows = rows(std::io::stdin().lock(), "standard input", values)?;
        return Ok(("standard input".into(), rows));
    }
    let shown = path.display().to_string();
    let samples = if name.ends_with(".png") {
        png(path, input_shape)?
    } else if name.contains("-ubyte") || name.contains(".idx") {
        let images = idx::load_images(path)?;
        let (got, expected) = (images.sample_shape(), input_shape);
        ensure!(
            got.iter().product::<usize>() == values,
            "{shown}: the images have shape {got:?}, and the model takes samples of shape {expected:?}: \
             give it images of the size that it was trained on"
        );
        Samples::Images(images)
    } else {
        let file = File::open(path).with_context(|| {
            format!("{shown}: cannot be opened: name a file, or `-` for standard input")
        })?;
        rows(BufReader::new(file), &shown, values)?
    };
    Ok((shown, samples))
}

/// Rows of numbers, parted by commas, semicolons or spaces; the first may be a heading.
fn rows(lines: impl BufRead, name: &str, values: usize) -> Result<Samples> {
    let mut numbers: Vec<f32> = Vec::new();
    for (index, line) in lines.lines().enumerate() {
        let place = || format!("{name}, line {}", index + 1);
        let line = line.with_context(|| format!("{}: no text: give CSV", place()))?;
        let parts = line.split([',', ';', ' ', '\t']).map(str::trim);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let row: Result<Vec<f32>, &str> = parts
            .iter()
            .map(|part| part.parse().map_err(|_| *part))
            .collect();
        match row {
            Ok(row) if row.is_empty() => {}
            Ok(row) => {
                let got = row.len();
                ensure!(
                    got == values,
                    "{}: expected {values} numbers, as the model takes, got {got}",
                    place()
                );
                numbers.extend(row);
            }
            Err(_) if index == 0 && parts.iter().all(|part| part.parse::<f32>().is_err()) => {} // a heading
            Err(part) => bail!("{}: expected a number, got `{part}`", place()),
        }
    }
    ensure!(
        !numbers.is_empty(),
        "{name} holds no samples: give rows of {values} numbers"
    );
    let count = numbers.len() / values;
    let rows = Tensor::from_vec(numbers, (count, values), &Device::Cpu)?;
    Ok(Samples::Rows(rows))
}

/// A PNG image as the model takes it: of one channel or of three, by its `Input`.
fn png(path: &Path, input_shape: &[usize]) -> Result<Samples> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown}: cannot be opened"))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let not_png = || format!("{shown}: no PNG image that can be read: save it again");
    let mut reader = decoder.read_info().with_context(not_png)?;
    let size = reader.output_buffer_size().with_context(not_png)?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).with_context(not_png)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let channels = info.color_type.samples();
    let colours = match input_shape.iter().product::<usize>() {
        values if values == width * height => 1,
        values if values == 3 * width * height => 3,
        _ => bail!(
            "{shown}: the image is {width} wide and {height} high, and the model takes samples of shape \
             {input_shape:?}: resize it first"
        ),
    };
    let mut values = Vec::with_capacity(width * height * colours);
    for pixel in bytes.chunks_exact(channels).take(width * height) {
        let (red, green, blue) = match pixel {
            [red, green, blue, ..] => (*red, *green, *blue),
            _ => (pixel[0], pixel[0], pixel[0]),
        };
        match colours {
            3 => values.extend([red, green, blue]),
            // Luma, as in ITU-R BT.601.
            _ => {
                let [r, g, b] = [red, green, blue].map(u32::from);
                values.push(((299 * r + 587 * g + 114 * b + 500) / 1000) as u8);
            }
        }
    }
    let image = Tensor::from_vec(values, (1, height, width * colours), &Device::Cpu)?;
    Ok(Samples::Images(image.into()))
}

/// Probabilities of classes as the likeliest one, other outputs as they are.
fn shown(outputs: &[f64]) -> String {
    let sum: f64 = outputs.iter().sum();
    let are_shares = outputs.iter().all(|output| (0.0..=1.0).contains(output));
    let likeliest = outputs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    match likeliest {
        Some((class, share)) if outputs.len() > 1 && are_shares && (sum - 1.0).abs() < 1e-3 => {
            format!("class {class} ({:.2}%)", 100.0 * share)
        }
        _ => joined(outputs, ", "),
    }
}

fn joined(numbers: &[f64], between: &str) -> String {
    let numbers = numbers.iter().map(|number| (*number as f32).to_string());
    numbers.collect::<Vec<_>>().join(between)
}
