//! MNIST's training half from its packed IDX files.

use candle_core::{DType, Device, Tensor};
use flate2::read::GzDecoder;
use std::{fs::File, io::Read, path::Path};

/// Images (60000, 784) from 0 to 1, and labels (60000,).
pub fn load(folder: &Path) -> anyhow::Result<(Tensor, Tensor)> {
    let images = read(folder, "train-images-idx3-ubyte.gz", 16)?;
    let labels = read(folder, "train-labels-idx1-ubyte.gz", 8)?;
    let count = labels.len();
    let images = Tensor::from_vec(images, (count, 784), &Device::Cpu)?;
    let labels = Tensor::from_vec(labels, count, &Device::Cpu)?;
    Ok((
        (images.to_dtype(DType::F32)? * (1.0 / 255.0))?,
        labels.to_dtype(DType::U32)?,
    ))
}

/// A file's bytes behind its header.
fn read(folder: &Path, name: &str, header: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(folder.join(name))?).read_to_end(&mut bytes)?;
    Ok(bytes.split_off(header))
}
