//! Weights as safetensors.

use super::atomic;
use crate::{Error, Result, Sequential, error::tuple, weights::Weight};
use candle_core::{DType, Device, Tensor};
use serde::{Serialize, Serializer};
use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
};

/// An error unless the name is one of a safetensors file.
pub(crate) fn check_weights_file(argument: &str, path: &Path) -> Result<()> {
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        return Ok(());
    }
    let expected = "a name that ends in .safetensors";
    let advice = "this version of the crate saves weights, as safetensors, and no other files";
    Err(Error::argument(argument, expected, path.display(), advice))
}

impl Sequential {
    /// Saves all weights as a safetensors file: by their paths, `dense/kernel`, in the order of
    /// [`weights`](Self::weights), in the model's type. The optimizer's state is not in it.
    ///
    /// The file is replaced whole or, where something goes wrong, stays as it was.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// # fn main() -> anyhow::Result<()> {
    /// # let network = || Sequential::new().add(Input::new(2)).add(Dense::new(1));
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("weights.safetensors");
    /// let (first, mut second) = (network().build(&Device::Cpu)?, network().build(&Device::Cpu)?);
    /// first.save_weights(&path)?;
    /// second.load_weights(&path)?; // now they predict the same
    /// # let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
    /// # assert_eq!(first.predict(&x)?.to_vec2::<f32>()?, second.predict(&x)?.to_vec2::<f32>()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model is not built, the name does not end in `.safetensors`, or the file cannot be
    /// written.
    ///
    /// Keras: `save_weights`, which writes `.weights.h5`.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.built("save_weights")?;
        check_weights_file("path", path)?;
        let weights: Vec<&Weight> = self.weights().collect();
        let header = header(&weights).map_err(|error| of_file(path, error.into()))?;
        atomic::write(path, |file| {
            let mut put =
                |bytes: &[u8]| file.write_all(bytes).map_err(|error| of_file(path, error));
            put(&(header.len() as u64).to_le_bytes())?;
            put(&header)?;
            weights
                .iter()
                .try_for_each(|weight| put(&bytes(weight.value())?))
        })
    }

    /// Gives all weights the numbers of a safetensors file, as [`save_weights`](Self::save_weights)
    /// writes it, converted to the model's type. Where something does not fit, none is changed.
    ///
    /// # Errors
    /// When the model is not built, the name does not end in `.safetensors`, the file cannot be
    /// read, lacks a weight of the model or has one that the model has not, a shape is another, or
    /// a number is not finite.
    ///
    /// Keras: `load_weights`, which reads `.weights.h5`.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.built("load_weights")?;
        check_weights_file("path", path)?;
        let data = std::fs::read(path).map_err(|error| of_file(path, error))?;
        let tensors = candle_core::safetensors::load_buffer(&data, &Device::Cpu);
        let tensors = tensors.map_err(|error| {
            saved(
                path,
                format!("no safetensors file ({error})"),
                "save the weights again",
            )
        })?;
        let values = self.matched(path, tensors)?;
        self.set_weights(&values)
    }

    /// The tensors of a file in the order of the weights.
    fn matched(&self, path: &Path, mut tensors: HashMap<String, Tensor>) -> Result<Vec<Tensor>> {
        let advice = "build the model as the one whose weights were saved, with the layers' names";
        let mut values = Vec::new();
        for weight in self.weights() {
            let name = weight.path();
            let Some(tensor) = tensors.remove(name) else {
                let shape = tuple(weight.value().dims());
                let what = format!("expected a weight `{name}` of shape {shape}, got none");
                return Err(saved(path, what, advice));
            };
            if tensor.shape() != weight.value().shape() {
                let (expected, got) = (tuple(weight.value().dims()), tuple(tensor.dims()));
                let what = format!("`{name}`: expected shape {expected}, got {got}");
                return Err(saved(path, what, advice));
            }
            let number = "save weights that are finite";
            weight.check(&tensor).map_err(|_| {
                saved(
                    path,
                    format!("`{name}` holds a number that is not finite"),
                    number,
                )
            })?;
            values.push(tensor);
        }
        match tensors.keys().min() {
            Some(name) => {
                let what = format!("`{name}` is a weight that the model does not have");
                Err(saved(path, what, advice))
            }
            None => Ok(values),
        }
    }
}

fn of_file(path: &Path, error: io::Error) -> Error {
    Error::File {
        path: path.to_path_buf(),
        error,
    }
}

fn saved(path: &Path, problem: String, advice: &'static str) -> Error {
    Error::SavedFile {
        path: path.to_path_buf(),
        problem,
        advice,
    }
}

/// What the header of the file says of a tensor.
#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    /// Where its bytes begin and end after the header.
    data_offsets: [usize; 2],
}

/// Names with their entries, in the order of the weights: a map of serde_json's may be sorted.
struct Header<'a>(Vec<(&'a str, Entry<'a>)>);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, entry)| (name, entry)))
    }
}

/// The file's header, with spaces at its end so that the numbers begin at a multiple of 8 bytes.
fn header(weights: &[&Weight]) -> serde_json::Result<Vec<u8>> {
    let mut begin = 0;
    let mut entries = Vec::new();
    for weight in weights {
        let value = weight.value();
        let end = begin + weight.count() * value.dtype().size_in_bytes();
        let entry = Entry {
            dtype: if value.dtype() == DType::F64 {
                "F64"
            } else {
                "F32"
            },
            shape: value.dims(),
            data_offsets: [begin, end],
        };
        entries.push((weight.path(), entry));
        begin = end;
    }
    let mut text = serde_json::to_vec(&Header(entries))?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}

/// A tensor's numbers as the file has them. A model's type is f32 or f64.
fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F64 => flat
            .to_vec1::<f64>()?
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        _ => flat
            .to_vec1::<f32>()?
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
    })
}
