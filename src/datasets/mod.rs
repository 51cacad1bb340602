//! Datasets to learn with: [`mnist`] and [`fashion_mnist`] from files or the Hugging Face hub,
//! [`digits`] from inside the crate, and [`to_categorical`] for one-hot labels.

mod categorical;
pub mod digits;
pub mod fashion_mnist;
mod hub;
pub mod idx;
mod image_files;
pub mod mnist;

pub use categorical::to_categorical;

use crate::Data;
use candle_core::Tensor;

/// Labelled images in two parts: one to train on, one held back to test on.
///
/// Images are bytes of shape (n, height, width), labels bytes of shape (n,), all on the CPU.
///
/// ```
/// use candle_keras::datasets::{Dataset, digits};
/// # fn main() -> candle_keras::Result<()> {
/// let Dataset { train_images, train_labels, .. } = digits::load_data()?;
/// let x = train_images.flatten().scale(1.0 / 16.0)?; // (n, 8, 8) becomes (n, 64), 0 to 1
/// assert_eq!(x.sample_shape(), [64]);
/// assert_eq!(x.len(), train_labels.dims1()?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The images to train on: u8, (n, height, width).
    pub train_images: Data,
    /// What they show: u8, (n,).
    pub train_labels: Tensor,
    /// The images to test on: u8, (m, height, width).
    pub test_images: Data,
    /// What they show: u8, (m,).
    pub test_labels: Tensor,
}
