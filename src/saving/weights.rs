//! Files of weights alone.

use super::{
    WeightsFormat, atomic, check_finite, check_model_file, hdf5::read::File as Hdf5,
    hdf5::read::FilePart, not_hdf5, of_file, safetensors, unwritten, weights_h5,
};
use crate::{Result, Sequential};
use std::{fs::File, path::Path};

impl Sequential {
    /// Saves all weights in the model's type: as `.safetensors`, by their paths such as
    /// `dense/kernel`, in the order of [`weights`](Self::weights); or as `.weights.h5`, as Keras
    /// writes it, with what the optimizer keeps.
    ///
    /// The file is replaced whole or, where something goes wrong, stays as it was; where `path` is a
    /// link, it stays, and the file that it names is replaced.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let network = || Sequential::new().add(Input::new(2)).add(Dense::new(1));
    /// # let folder = tempfile::tempdir()?;
    /// let (first, mut second) = (network().build(&Device::Cpu)?, network().build(&Device::Cpu)?);
    /// for name in ["a.safetensors", "a.weights.h5"] {
    ///     let path = folder.path().join(name);
    ///     first.save_weights(&path)?;
    ///     second.load_weights(&path)?; // now they predict the same
    ///     # let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
    ///     # assert_eq!(first.predict(&x)?.to_vec2::<f32>()?, second.predict(&x)?.to_vec2::<f32>()?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, the name ends in neither, a weight is not finite, or the file cannot
    /// be written.
    ///
    /// Keras: `save_weights`.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.built("save_weights")?;
        let format = WeightsFormat::of("path", path)?;
        check_finite(self, path)?;
        match format {
            WeightsFormat::Safetensors => safetensors::save(self, path),
            WeightsFormat::Hdf5 => {
                let tree = weights_h5::tree(self).map_err(|error| unwritten(path, error))?;
                atomic::write(path, |file| {
                    tree.write(file).map_err(|error| unwritten(path, error))?;
                    Ok(())
                })
            }
        }
    }

    /// Gives all weights the numbers of a file, as [`save_weights`](Self::save_weights) or Keras writes
    /// it, converted to the model's type. Where something does not fit, none is changed.
    ///
    /// A `.keras` file's weights are taken as well, whatever else it holds.
    ///
    /// From a `.weights.h5` or `.keras` file a compiled model's optimizer gets what it had kept as well. A file
    /// that does not hold it, or that of another optimizer, leaves it as it is, after a line on
    /// standard error, as in Keras.
    ///
    /// # Errors
    /// When the model is not built, the name ends in none of these, the file cannot be read, lacks a weight
    /// of the model, a shape is another, or a number is not finite.
    ///
    /// Keras: `load_weights`.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.built("load_weights")?;
        if check_model_file("path", path).is_ok() {
            return self.load_weights_of_model(path);
        }
        match WeightsFormat::of("path", path)? {
            WeightsFormat::Safetensors => safetensors::load(self, path),
            WeightsFormat::Hdf5 => {
                let file = File::open(path).and_then(FilePart::whole);
                let file = file.map_err(|error| of_file(path, error))?;
                let file = Hdf5::open(file).map_err(|error| not_hdf5(path, error))?;
                let saved = weights_h5::Saved {
                    file,
                    path,
                    layout: weights_h5::Layout::Classes,
                };
                saved.load_weights(self)?;
                saved.load_optimizer(self)
            }
        }
    }
}
