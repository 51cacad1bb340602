//! The same seed gives the same bits, whatever the thread count.

mod common;

use candle_keras::prelude::*;
use common::{hash, labels, numbers, run_apart};

/// A classifier of these widths after two epochs, the last batch of each smaller than the others.
fn trained(widths: &[usize], batch_size: usize) -> Sequential {
    let (inputs, classes) = (widths[0], widths[widths.len() - 1]);
    let mut model = Sequential::new().seed(42).add(Input::new(inputs));
    for units in &widths[1..widths.len() - 1] {
        model = model
            .add(Dense::new(*units).activation(Relu))
            .add(Dropout::new(0.1));
    }
    let mut model = model
        .add(Dense::new(classes).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(
            Adam::new(0.001),
            SparseCategoricalCrossentropy::new(),
            [Accuracy],
        )
        .unwrap();
    let samples = 5 * batch_size + batch_size / 3;
    let x = numbers(&[samples, inputs], "x");
    let options = Fit::new().epochs(2).batch_size(batch_size).verbose(0);
    model.fit(&x, labels(samples, classes), options).unwrap();
    model
}

/// The walkthrough's widths, and odd ones that fill no register and no block.
const MODELS: [(&[usize], usize); 4] = [
    (&[784, 128, 64, 10], 32),
    (&[784, 128, 64, 10], 128),
    (&[300, 77, 33, 3], 50),
    (&[1031, 257, 5], 101),
];

#[test]
#[ignore = "run by the test below, in processes of its own"]
fn prints_the_hashes_of_trained_weights() {
    println!("BEGIN");
    for (widths, batch_size) in MODELS {
        let hash = hash(&trained(widths, batch_size));
        println!("{widths:?}, batches of {batch_size}: {hash:016x}");
    }
    println!("END");
}

#[test]
fn the_thread_count_changes_no_bit_of_the_trained_weights() {
    let hashes = |threads| {
        let variables = [("RAYON_NUM_THREADS", threads)];
        run_apart("prints_the_hashes_of_trained_weights", &variables)
    };
    let one = hashes("1");
    assert_eq!(one.lines().count(), MODELS.len());
    for threads in ["1", "2", "3", "4"] {
        assert_eq!(hashes(threads), one, "{threads} threads against 1");
    }
}

#[test]
fn another_seed_gives_other_bits() {
    let build = |seed: u64| {
        Sequential::new()
            .add(Input::new(5))
            .add(Dense::new(3))
            .seed(seed)
            .build(&Device::Cpu)
            .unwrap()
    };
    assert_eq!(hash(&build(1)), hash(&build(1)));
    assert_ne!(hash(&build(1)), hash(&build(2)));
}
