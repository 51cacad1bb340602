//! Fashion-MNIST: articles of clothing, 60,000 to train on and 10,000 to test on.

use super::{Dataset, hub, image_files::ImageFiles};
use crate::Result;
use std::path::Path;

/// What the labels 0 to 9 stand for.
pub const CLASS_NAMES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "Fashion-MNIST",
    folder: "fashion_mnist",
    // MNIST's files have the same names: the folder's name alone tells them apart.
    at_the_top: false,
    advice: "put the files there, or in a folder `fashion_mnist` and set CANDLE_KERAS_DATA to the folder around it",
    hub: hub::fashion_mnist,
};

/// Loads Fashion-MNIST from this machine, or else from the Hugging Face hub.
///
/// Shapes: images (60000, 28, 28) and (10000, 28, 28), bytes from 0 (background) to 255; labels
/// (60000,) and (10000,), bytes from 0 to 9, named by [`CLASS_NAMES`].
///
/// The first of these folders that has all four files gives them:
/// `$CANDLE_KERAS_DATA/fashion_mnist`, and `candle-keras/fashion_mnist` in the user's cache folder.
/// The files are named as [MNIST's](super::mnist::load_data). Without such a folder, the crate
/// feature `datasets` (on by default) fetches them through candle-datasets, which keeps them in
/// the hub's own cache. Offline, that gives up after a few seconds of trying.
///
/// ```no_run
/// use candle_keras::datasets::fashion_mnist;
/// # fn main() -> candle_keras::Result<()> {
/// let data = fashion_mnist::load_data()?;
/// let first = data.train_labels.to_vec1::<u8>()?[0];
/// assert_eq!(fashion_mnist::CLASS_NAMES[usize::from(first)], "Ankle boot");
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the files are nowhere to be had; the message lists the folders. When a file is there but
/// is not what its name says: it is never passed over in silence. When one cannot be read.
///
/// Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
/// Machine Learning Algorithms", 2017, arXiv:1708.07747; `keras.datasets.fashion_mnist.load_data`.
pub fn load_data() -> Result<Dataset> {
    FILES.load_data()
}

/// Loads Fashion-MNIST from the four files in `folder`, and from nowhere else.
///
/// Shapes, file names and source are those of [`load_data`]. MNIST's files have the same names and
/// would load as well.
///
/// ```no_run
/// # fn main() -> candle_keras::Result<()> {
/// let data = candle_keras::datasets::fashion_mnist::load_from("downloads/fashion")?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// When a file is missing, cannot be read, or is not what its name says.
pub fn load_from(folder: impl AsRef<Path>) -> Result<Dataset> {
    FILES.load_from(folder.as_ref())
}
