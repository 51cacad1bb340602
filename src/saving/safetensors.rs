//! Weights as safetensors.

use super::{atomic, of_file, saved, weights_h5::write_numbers};
use crate::{Result, Sequential, error::tuple, weights::Weight};
use candle_core::{DType, Device, Tensor};
use serde::{Serialize, Serializer};
use std::{collections::HashMap, io::Write, path::Path};

/// Writes all weights.
pub(super) fn save(model: &Sequential, path: &Path) -> Result<()> {
    let weights: Vec<&Weight> = model.weights().collect();
    let header = header(&weights).map_err(|error| of_file(path, error.into()))?;
    atomic::write(path, |file| {
        let mut put = |bytes: &[u8]| file.write_all(bytes);
        let put_header = put(&(header.len() as u64).to_le_bytes()).and_then(|()| put(&header));
        put_header.map_err(|error| of_file(path, error))?;
        weights.iter().try_for_each(|weight| {
            write_numbers(weight.value(), file).map_err(|error| of_file(path, error))
        })
    })
}

/// Gives all weights the numbers of a file, or none.
pub(super) fn load(model: &mut Sequential, path: &Path) -> Result<()> {
    let data = std::fs::read(path).map_err(|error| of_file(path, error))?;
    let tensors = candle_core::safetensors::load_buffer(&data, &Device::Cpu);
    let tensors = tensors.map_err(|error| {
        let problem = format!("no safetensors file ({error})");
        saved(path, problem, "save the weights again")
    })?;
    let values = matched(model, path, tensors)?;
    model.set_weights(&values)
}

/// The tensors of a file in the order of the weights.
fn matched(
    model: &Sequential,
    path: &Path,
    mut tensors: HashMap<String, Tensor>,
) -> Result<Vec<Tensor>> {
    let advice = "build the model as the one whose weights were saved, with the layers' names";
    let mut values = Vec::new();
    for weight in model.weights() {
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
