//! Digits: 1,797 handwritten digits of 8×8 pixels that come with the crate.
//!
//! E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
//! Repository, 1998, doi 10.24432/C50P49, licence CC BY 4.0; the rows are those of
//! `sklearn.datasets.load_digits`.

use super::Dataset;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use flate2::read::GzDecoder;
use std::io::Read;

const FILE: &str = "digits.csv.gz";
const BYTES: &[u8] = include_bytes!("data/digits.csv.gz");
/// Height and width of an image, and of an enlarged one.
const SIZE: usize = 8;
const LARGE: usize = 28;
/// The value of a full pixel: each counts the ink in 4×4 points.
const FULL: u8 = 16;
/// The rows of the first eleven forms (see `load_data`).
const TRAIN: usize = 1415;

/// Loads the digits: always there, without a file or a network.
///
/// Shapes: images (1415, 8, 8) and (382, 8, 8), bytes from 0 (paper) to 16 (ink); labels (1415,)
/// and (382,), bytes from 0 to 9.
///
/// The split is this crate's own. 13 people filled in forms of about 130 digits, and the rows keep
/// that order: the same sequence of labels starts anew with each of 14 forms. The last three forms
/// (from row 1,415 on) are the test images, so a model is tested on forms that it has not seen.
/// A random split would mix each hand into both parts and flatter the model. Who wrote which form
/// is not recorded: as there is one form more than writers, one hand may be in both parts still.
///
/// ```
/// use candle_keras::datasets::digits;
/// # fn main() -> candle_keras::Result<()> {
/// let data = digits::load_data()?;
/// assert_eq!(data.train_images.tensor().dims(), [1415, 8, 8]);
/// assert_eq!(data.test_labels.dims(), [382]);
/// let x = data.train_images.flatten().scale(1.0 / 16.0)?; // (1415, 64), 0 to 1
/// # Ok(()) }
/// ```
///
/// # Errors
/// When candle cannot make the tensors; the data itself is part of the crate.
///
/// Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
/// Learning Repository, 1998, doi 10.24432/C50P49, CC BY 4.0 (its test set, as in
/// `sklearn.datasets.load_digits`).
pub fn load_data() -> Result<Dataset> {
    let (images, labels) = rows()?;
    split(images, SIZE, labels)
}

/// Loads the digits in MNIST's measure: 28×28 pixels from 0 to 255.
///
/// Shapes: images (1415, 28, 28) and (382, 28, 28), bytes from 0 (paper) to 255 (ink); labels and
/// split are those of [`load_data`]. A network for MNIST can train on them. They are not MNIST:
/// enlarged bilinearly (pixel centres aligned, edges repeated, rounded to the nearest byte), they
/// are softer, and they fill the image where MNIST leaves a margin of 4 pixels.
///
/// ```
/// use candle_keras::datasets::digits;
/// # fn main() -> candle_keras::Result<()> {
/// let data = digits::load_data_28x28()?;
/// let x = data.train_images.flatten().scale(1.0 / 255.0)?; // (1415, 784), 0 to 1
/// assert_eq!(x.sample_shape(), [784]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When candle cannot make the tensors; the data itself is part of the crate.
pub fn load_data_28x28() -> Result<Dataset> {
    let (images, labels) = rows()?;
    let enlarged = images.chunks_exact(SIZE * SIZE).flat_map(enlarge).collect();
    split(enlarged, LARGE, labels)
}

/// All pixels and all labels of the file.
fn rows() -> Result<(Vec<u8>, Vec<u8>)> {
    let problem = |problem: String| Error::DatasetFile {
        path: FILE.into(),
        problem,
    };
    let mut text = String::new();
    GzDecoder::new(BYTES)
        .read_to_string(&mut text)
        .map_err(|error| problem(error.to_string()))?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (row, line) in text.lines().enumerate() {
        let values: std::result::Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
        match values.as_deref() {
            Ok([pixels @ .., label])
                if pixels.len() == SIZE * SIZE
                    && pixels.iter().all(|pixel| *pixel <= FULL)
                    && *label <= 9 =>
            {
                images.extend_from_slice(pixels);
                labels.push(*label);
            }
            _ => {
                return Err(problem(format!(
                    "expected 64 pixels from 0 to 16 and a label from 0 to 9, got `{line}` in row {row}"
                )));
            }
        }
    }
    Ok((images, labels))
}

/// The images of `size`×`size` pixels and their labels, the last forms held back.
fn split(images: Vec<u8>, size: usize, labels: Vec<u8>) -> Result<Dataset> {
    let count = labels.len();
    let images = Tensor::from_vec(images, (count, size, size), &Device::Cpu)?;
    let labels = Tensor::from_vec(labels, count, &Device::Cpu)?;
    let test = count.saturating_sub(TRAIN);
    Ok(Dataset {
        train_images: images.narrow(0, 0, TRAIN)?.into(),
        train_labels: labels.narrow(0, 0, TRAIN)?,
        test_images: images.narrow(0, TRAIN, test)?.into(),
        test_labels: labels.narrow(0, TRAIN, test)?,
    })
}

/// One image, bilinear, 8×8 of 0..16 to 28×28 of 0..255.
///
/// Target i lies at s = (i + ½)·8/28 − ½ = (4i − 5)/14 of the source, so that whole fourteenths
/// keep it exact: v ← Σ wᵧ·wₓ·p, divided by 14² and by 16, times 255.
fn enlarge(image: &[u8]) -> Vec<u8> {
    const STEPS: usize = 14;
    let places: [[(usize, usize); 2]; LARGE] = std::array::from_fn(|target| {
        let place = (4 * target).saturating_sub(5).min((SIZE - 1) * STEPS);
        let (low, weight) = (place / STEPS, place % STEPS);
        [(low, STEPS - weight), ((low + 1).min(SIZE - 1), weight)]
    });
    let whole = STEPS * STEPS * usize::from(FULL);
    let mut enlarged = Vec::with_capacity(LARGE * LARGE);
    for rows in &places {
        for columns in &places {
            let mut sum = 0;
            for (y, row_weight) in rows {
                for (x, column_weight) in columns {
                    sum += row_weight * column_weight * usize::from(image[y * SIZE + x]);
                }
            }
            enlarged.push(((sum * 255 + whole / 2) / whole) as u8);
        }
    }
    enlarged
}
