//! Normalization and noise in whole models: the same seed gives the same bits, whatever the thread
//! count, and a sample that is not finite is named.

mod common;

use candle_keras::{
    layers::{
        AlphaDropout, BatchNormalization, GaussianDropout, GaussianNoise, GroupNormalization,
        LayerNormalization, RMSNormalization, UnitNormalization,
    },
    prelude::*,
};
use common::{flat, hash, hash_of, labels, numbers, run_apart};

/// A classifier with every layer of the kind.
fn model(units: usize) -> Sequential {
    let mut model = Sequential::new()
        .seed(42)
        .add(Input::new(40))
        .add(BatchNormalization::new())
        .add(Dense::new(units).activation(Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.2))
        .add(LayerNormalization::new())
        .add(GaussianNoise::new(0.1))
        .add(RMSNormalization::new())
        .add(GaussianDropout::new(0.1))
        .add(GroupNormalization::new().groups(4))
        .add(AlphaDropout::new(0.1))
        .add(UnitNormalization::new())
        .add(Dense::new(5).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(Adam::new(0.001), loss, [Accuracy]).unwrap();
    model
}

#[test]
#[ignore = "run by the test below, in processes of its own"]
fn prints_the_hashes_of_all_results() {
    println!("BEGIN");
    // Batches of one part, of many, and of one that is cut in the middle.
    for (units, batch_size) in [(100, 32), (128, 500), (1024, 333)] {
        let (x, y) = (numbers(&[1200, 40], "x"), labels(1200, 5));
        let mut model = model(units);
        let options = Fit::new().epochs(2).batch_size(batch_size).verbose(0);
        model.fit(&x, &y, options).unwrap();
        let options = Predict::new().batch_size(batch_size).verbose(0);
        let outputs = model.predict_with(&x, options).unwrap();
        let outputs = hash_of(flat(&outputs).into_iter());
        println!("{units} units: {:016x} {outputs:016x}", hash(&model));
    }
    println!("END");
}

#[test]
fn the_thread_count_changes_no_bit() {
    let hashes = |threads| {
        let variables = [("RAYON_NUM_THREADS", threads)];
        run_apart("prints_the_hashes_of_all_results", &variables)
    };
    let one = hashes("1");
    assert_eq!(one.lines().count(), 3);
    for threads in ["1", "2", "3", "4"] {
        assert_eq!(hashes(threads), one, "{threads} threads against 1");
    }
}

#[test]
fn a_sample_that_is_not_finite_is_named_and_the_moving_moments_stay() {
    let mut x = flat(&numbers(&[64, 40], "x"));
    x[333] = f64::NAN;
    let x = Tensor::from_vec(x, (64, 40), &Device::Cpu).unwrap();
    let x = x.to_dtype(DType::F32).unwrap();
    let mut model = model(16);
    let before = hash(&model);
    let error = model
        .fit(&x, labels(64, 5), Fit::new().verbose(0))
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("x holds a number that is not finite"),
        "{message}"
    );
    assert_eq!(hash(&model), before);
}
