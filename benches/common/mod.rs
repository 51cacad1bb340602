//! Samples for the benchmarks, of MNIST's size.
#![allow(
    dead_code,
    reason = "each benchmark compiles this module for itself and needs a part of it"
)]

use candle_keras::{prelude::*, seed::Stream};

/// Bytes as of handwritten zeros: a ring of its own in the middle of each image. Four fifths of the
/// pixels are 0, as in MNIST, and the others lie together.
pub fn images(count: usize) -> Tensor {
    let mut stream = Stream::new(1, "images", 0);
    let mut pixels = vec![0; count * 784];
    for image in pixels.chunks_mut(784) {
        let mut between = |least: f32, most: f32| least + stream.uniform() * (most - least);
        let (width, height) = (between(4.0, 8.5), between(7.0, 8.0));
        let (middle, center) = (between(12.0, 15.0), between(12.0, 15.0));
        for (index, pixel) in image.iter_mut().enumerate() {
            let (x, y) = ((index % 28) as f32, (index / 28) as f32);
            let radius = ((x - middle) / width).hypot((y - center) / height);
            if (0.75..1.25).contains(&radius) {
                *pixel = between(1.0, 256.0) as u8;
            }
        }
    }
    Tensor::from_vec(pixels, (count, 784), &Device::Cpu).unwrap()
}

/// Bytes of which hardly one is 0.
pub fn noise(count: usize) -> Tensor {
    let mut stream = Stream::new(1, "noise", 0);
    let pixels = (0..count * 784).map(|_| (stream.uniform() * 256.0) as u8);
    Tensor::from_vec(pixels.collect(), (count, 784), &Device::Cpu).unwrap()
}

/// A class from 0 to 9 for every sample.
pub fn classes(count: usize) -> Tensor {
    let mut stream = Stream::new(1, "classes", 0);
    let classes = (0..count).map(|_| (stream.uniform() * 10.0) as u8);
    Tensor::from_vec(classes.collect(), count, &Device::Cpu).unwrap()
}

/// Numbers from -1 to 1.
pub fn numbers(dims: &[usize], name: &str) -> Tensor {
    let mut stream = Stream::new(1, name, 0);
    let count = dims.iter().product();
    let numbers = (0..count).map(|_| 2.0 * stream.uniform() - 1.0);
    Tensor::from_vec(numbers.collect(), dims, &Device::Cpu).unwrap()
}
