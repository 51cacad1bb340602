//! MNIST: handwritten digits, 60,000 to train on and 10,000 to test on.

use super::{Dataset, hub, image_files::ImageFiles};
use crate::Result;
use std::path::Path;

pub(super) const FILES: ImageFiles = ImageFiles {
    name: "MNIST",
    folder: "mnist",
    at_the_top: true,
    advice: "put the files there or set CANDLE_KERAS_DATA to their folder",
    hub: hub::mnist,
};

/// Loads MNIST from this machine, or else from the Hugging Face hub.
///
/// Shapes: images (60000, 28, 28) and (10000, 28, 28), bytes from 0 (paper) to 255 (ink); labels
/// (60000,) and (10000,), bytes from 0 to 9.
///
/// The first of these folders that has all four files gives them:
/// `$CANDLE_KERAS_DATA/mnist`, `$CANDLE_KERAS_DATA`, and `candle-keras/mnist` in the user's cache
/// folder. The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
/// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each as it is or with `.gz`; where both
/// lie there, the unpacked one is read. Without such a folder, the crate feature `datasets` (on by
/// default) fetches them through candle-datasets, which keeps them in the hub's own cache. Offline,
/// that gives up after a few seconds of trying.
///
/// ```no_run
/// use candle_keras::datasets::mnist;
/// # fn main() -> candle_keras::Result<()> {
/// let data = mnist::load_data()?;
/// let x = data.train_images.flatten().scale(1.0 / 255.0)?; // (60000, 784), 0 to 1
/// assert_eq!(x.len(), 60_000);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the files are nowhere to be had; the message lists the folders. When a file is there but
/// is not what its name says: it is never passed over in silence. When one cannot be read.
///
/// Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits";
/// `keras.datasets.mnist.load_data`.
pub fn load_data() -> Result<Dataset> {
    FILES.load_data()
}

/// Loads MNIST from the four files in `folder`, and from nowhere else.
///
/// Shapes, file names and source are those of [`load_data`].
///
/// ```no_run
/// # fn main() -> candle_keras::Result<()> {
/// let data = candle_keras::datasets::mnist::load_from("downloads/mnist")?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// When a file is missing, cannot be read, or is not what its name says.
pub fn load_from(folder: impl AsRef<Path>) -> Result<Dataset> {
    FILES.load_from(folder.as_ref())
}
