//! What several test files need.
#![allow(
    dead_code,
    reason = "each test file compiles this module for itself and needs a part of it"
)]

use candle_keras::{
    datasets::{Dataset, mnist},
    prelude::*,
    seed::Stream,
};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Says that a test skips, even where it is a test that passes: those keep eprintln's lines back.
pub fn skip(why: impl std::fmt::Display) {
    let line = format!("skipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The real MNIST, where this machine has it: in `CANDLE_KERAS_DATA` or beside the repository in
/// `../shared/data/mnist`. Elsewhere `None`, after a line that says that the test skips.
pub fn real_mnist() -> Option<Dataset> {
    let mut folders = Vec::new();
    if let Some(data) = std::env::var_os("CANDLE_KERAS_DATA").map(PathBuf::from) {
        folders.extend([data.join("mnist"), data]);
    }
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist"));
    let has_it = |folder: &PathBuf| {
        ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"]
            .iter()
            .any(|name| folder.join(name).is_file())
    };
    match folders.into_iter().find(has_it) {
        Some(folder) => Some(mnist::load_from(folder).expect("the files of MNIST are whole")),
        None => {
            skip("no MNIST in CANDLE_KERAS_DATA");
            None
        }
    }
}

/// `shape` numbers from -1 to 1 that depend on `name` alone.
pub fn numbers(shape: &[usize], name: &str) -> Tensor {
    let mut stream = Stream::new(1, name, 0);
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// `count` labels from 0 to `classes - 1`.
pub fn labels(count: usize, classes: usize) -> Tensor {
    let values: Vec<u32> = (0..count).map(|i| (i * 7 % classes) as u32).collect();
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// A tensor's numbers in one row.
pub fn flat(tensor: &Tensor) -> Vec<f64> {
    let numbers = tensor.to_dtype(DType::F64).unwrap();
    numbers.flatten_all().unwrap().to_vec1().unwrap()
}

/// The bits of all weights, in order.
pub fn bits(model: &Sequential) -> Vec<u64> {
    let numbers = model
        .weights()
        .flat_map(|weight| flat(&weight.copy().unwrap()));
    numbers.map(f64::to_bits).collect()
}

/// The FNV-1a hash of the bits of all weights.
pub fn hash(model: &Sequential) -> u64 {
    hash_of(bits(model).into_iter().map(f64::from_bits))
}

/// The FNV-1a hash of the bits of numbers.
pub fn hash_of(numbers: impl Iterator<Item = f64>) -> u64 {
    let step = |hash: u64, x: f64| (hash ^ x.to_bits()).wrapping_mul(0x0100_0000_01b3);
    numbers.fold(0xcbf2_9ce4_8422_2325, step)
}

/// The entries of a `.keras` file.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let read = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..3).map(read).collect()
}

/// An entry of JSON in a `.keras` file.
pub fn entry(path: &Path, name: &str) -> Value {
    let entries = entries(path);
    let entry = entries.iter().find(|(entry, _)| entry == name);
    serde_json::from_slice(&entry.unwrap().1).unwrap()
}

/// Changes an entry of JSON in a `.keras` file.
pub fn rewrite(path: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let mut entries = entries(path);
    let entry = entries.iter_mut().find(|(entry, _)| entry == name);
    let (_, bytes) = entry.unwrap();
    let mut value = serde_json::from_slice(bytes).unwrap();
    change(&mut value);
    *bytes = serde_json::to_vec(&value).unwrap();
    let mut zip = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(name, options).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Every number within `relative` of its size, or within `absolute`.
pub fn assert_close(what: &str, got: &[f64], expected: &[f64], relative: f64, absolute: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        assert!(
            (got - expected).abs() <= allowed,
            "{what}[{index}]: got {got:e}, expected {expected:e}, {allowed:e} allowed"
        );
    }
}

/// Runs the ignored test `name` of this test binary in a process of its own, with `variables` in
/// its environment, and gives what it printed between the lines `BEGIN` and `END`.
pub fn run_apart(name: &str, variables: &[(&str, &str)]) -> String {
    let binary = std::env::current_exe().unwrap();
    let output = Command::new(binary)
        .args([name, "--exact", "--ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let (_, text) = text.split_once("BEGIN\n").expect("the test ran");
    let (text, _) = text.split_once("END\n").expect("the test came to its end");
    text.to_string()
}
