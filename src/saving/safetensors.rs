//! Weights as safetensors.

use super::{
    atomic,
    hdf5::{
        Dtype, quoted,
        read::{Dataset, File as Hdf5, FilePart, ReadAt},
    },
    limits::{self, LONGEST_TEXT},
    of_file, saved,
    weights_h5::{Layout, Saved, write_numbers},
};
use crate::{Result, Sequential, error::tuple, weights::Weight};
use candle_core::DType;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::{collections::BTreeMap, fs::File, io::Write, path::Path};

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
    let file = File::open(path).and_then(FilePart::whole);
    let file = file.map_err(|error| of_file(path, error))?;
    let tensors = tensors(&file).map_err(|problem| {
        let problem = format!("no safetensors file that can be read: {problem}");
        saved(path, problem, "save the weights again")
    })?;
    let file = Hdf5::without_structure(file);
    let layout = Layout::Classes;
    let saved = Saved { file, path, layout };
    saved.fill_all(&matched(model, &saved, tensors)?)
}

/// The tensors of a file, in the order of the weights.
fn matched<'m>(
    model: &'m Sequential,
    saved: &Saved<'_, FilePart>,
    mut tensors: BTreeMap<String, Dataset>,
) -> Result<Vec<(&'m Weight, Dataset)>> {
    let mut all = Vec::new();
    for weight in model.weights() {
        let name = weight.path();
        let Some(tensor) = tensors.remove(name) else {
            let shape = tuple(weight.value().dims());
            let what = format!("expected a weight `{name}` of shape {shape}, got none");
            return Err(saved.wrong(what));
        };
        saved.check_shape(name, weight.value(), &tensor)?;
        all.push((weight, tensor));
    }
    match tensors.into_keys().next() {
        Some(name) => {
            let name = quoted(&name);
            Err(saved.wrong(format!("{name} is a weight that the model does not have")))
        }
        None => Ok(all),
    }
}

/// What a file holds: eight bytes with the length of the header, the header in JSON, the numbers.
///
/// candle reads a file whole and copies it; here nothing but the header is read.
fn tensors(file: &FilePart) -> std::result::Result<BTreeMap<String, Dataset>, String> {
    let size = file.size();
    let read = |at: u64, length: u64| {
        let mut bytes = vec![0; length as usize]; // no more than LONGEST_TEXT
        let read = file.read_exact_at(at, &mut bytes);
        read.map(|()| bytes).map_err(|error| error.to_string())
    };
    let most = LONGEST_TEXT.min(size.saturating_sub(8));
    let length = match size {
        0..8 => return Err(format!("expected at least 8 bytes, got {size}")),
        _ => u64::from_le_bytes(read(0, 8)?.try_into().unwrap_or_default()),
    };
    if length > most {
        return Err(format!(
            "expected a header of at most {most} bytes, got {length}"
        ));
    }
    let header = String::from_utf8(read(8, length)?);
    let header = header.map_err(|error| format!("header: {error}"))?;
    let header = limits::json(&header).map_err(|error| format!("header: {error}"))?;
    let Value::Object(header) = header else {
        return Err("header: expected an object".to_string());
    };
    let start = 8 + length;
    let mut tensors = BTreeMap::new();
    let mut places = Vec::new();
    for (name, entry) in header {
        if name == "__metadata__" {
            continue;
        }
        let shown = quoted(&name);
        let entry: Read = serde_json::from_value(entry).map_err(|e| format!("{shown}: {e}"))?;
        let dtype = dtype_of(&entry.dtype).ok_or_else(|| {
            let got = quoted(&entry.dtype);
            format!("{shown}: expected numbers of a type such as F32 or BF16, got {got}")
        })?;
        let [begin, end] = entry.data_offsets;
        let tensor = Dataset::plain(name, dtype, entry.shape, start.saturating_add(begin));
        let bytes = |tensor: &Dataset| tensor.elements().checked_mul(dtype.size().into());
        let tensor = tensor.filter(|tensor| bytes(tensor) == end.checked_sub(begin));
        let tensor = tensor.ok_or_else(|| {
            format!("{shown}: expected as many bytes as the shape has, got {begin} to {end}")
        })?;
        places.push([begin, end]);
        tensors.insert(tensor.path().to_string(), tensor);
    }
    places.sort_unstable();
    let mut at = 0;
    for [begin, end] in places {
        if begin != at {
            return Err(format!("expected numbers from byte {at} on, got {begin}"));
        }
        at = end;
    }
    match size - start {
        bytes if bytes == at => Ok(tensors),
        bytes => Err(format!("expected {at} bytes of numbers, got {bytes}")),
    }
}

fn dtype_of(name: &str) -> Option<Dtype> {
    Some(match name {
        "F16" => Dtype::F16,
        "BF16" => Dtype::Bf16,
        "F32" => Dtype::F32,
        "F64" => Dtype::F64,
        "I8" => Dtype::I8,
        "I16" => Dtype::I16,
        "I32" => Dtype::I32,
        "I64" => Dtype::I64,
        "U8" => Dtype::U8,
        "U16" => Dtype::U16,
        "U32" => Dtype::U32,
        "U64" => Dtype::U64,
        _ => return None,
    })
}

/// What the header of a file that is read says of a tensor.
#[derive(Deserialize)]
struct Read {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// What the header of a file that is written says of a tensor.
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
