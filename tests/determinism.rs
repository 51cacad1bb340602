//! The same seed gives the same bits, whatever the thread count.

mod common;

use candle_keras::{optimizers::Optimizer, prelude::*};
use common::{flat, hash, hash_of, labels, numbers, run_apart};

/// A classifier of these widths, and samples with labels, four fifths of whose numbers are 0 where
/// `sparse`; the last batch is smaller than the others.
struct Case {
    widths: &'static [usize],
    batch_size: usize,
    sparse: bool,
}

impl Case {
    fn model(&self, optimizer: impl Into<Box<dyn Optimizer>>) -> Sequential {
        let [inputs, hidden @ .., classes] = self.widths else {
            panic!("inputs and classes");
        };
        let mut model = Sequential::new().seed(42).add(Input::new(*inputs));
        for units in hidden {
            model = model
                .add(Dense::new(*units).activation(Relu))
                .add(Dropout::new(0.1));
        }
        let mut model = model
            .add(Dense::new(*classes).activation(Softmax))
            .build(&Device::Cpu)
            .unwrap();
        let loss = SparseCategoricalCrossentropy::new();
        model.compile(optimizer, loss, [Accuracy]).unwrap();
        model
    }

    fn data(&self) -> (Tensor, Tensor) {
        let samples = 5 * self.batch_size + self.batch_size / 3;
        let x = numbers(&[samples, self.widths[0]], "x");
        let x = match self.sparse {
            true => (x - 0.6).unwrap().relu().unwrap(),
            false => x,
        };
        let classes = self.widths[self.widths.len() - 1];
        (x, labels(samples, classes))
    }

    /// Hashes of all that comes out: weights and history of a training, predictions and scores.
    fn hashes(&self) -> Vec<String> {
        let (x, y) = self.data();
        let optimizers: [Box<dyn Optimizer>; 2] = [
            Adam::new(0.001).into(),
            Sgd::new(0.01).momentum(0.9).nesterov(true).into(),
        ];
        let mut hashes = Vec::new();
        for optimizer in optimizers {
            let mut model = self.model(optimizer);
            let options = Fit::new().epochs(2).batch_size(self.batch_size);
            let options = options.validation_split(0.2).verbose(0);
            let history = model.fit(&x, &y, options).unwrap();
            hashes.push(format!("weights {:016x}", hash(&model)));
            let of_epochs = history.iter().flat_map(|(_, values)| values);
            hashes.push(format!("history {:016x}", hash_of(of_epochs.copied())));
            for batch_size in [1, 32, 10_000] {
                let options = Predict::new().batch_size(batch_size).verbose(0);
                let outputs = model.predict_with(&x, options).unwrap();
                let options = Evaluate::new().batch_size(batch_size).verbose(0);
                let scores = model.evaluate_with(&x, &y, options).unwrap();
                let all = flat(&outputs);
                let all = all.into_iter().chain(scores.iter().map(|(_, score)| score));
                hashes.push(format!("batches of {batch_size}: {:016x}", hash_of(all)));
            }
        }
        hashes
    }
}

/// The walkthrough's widths, whose first product is cut along the features, and in blocks of rows
/// with batches of 300; zeros that are skipped; a product in blocks of columns; and odd widths that
/// fill no register and no block.
const CASES: [Case; 6] = [
    Case {
        widths: &[784, 128, 64, 10],
        batch_size: 32,
        sparse: false,
    },
    Case {
        widths: &[784, 128, 64, 10],
        batch_size: 300,
        sparse: false,
    },
    Case {
        widths: &[784, 128, 64, 10],
        batch_size: 128,
        sparse: true,
    },
    Case {
        widths: &[100, 600, 10],
        batch_size: 64,
        sparse: false,
    },
    Case {
        widths: &[300, 77, 33, 3],
        batch_size: 50,
        sparse: true,
    },
    Case {
        widths: &[1031, 257, 5],
        batch_size: 101,
        sparse: false,
    },
];

#[test]
#[ignore = "run by the test below, in processes of its own"]
fn prints_the_hashes_of_all_results() {
    println!("BEGIN");
    for case in CASES {
        let (widths, batch_size) = (case.widths, case.batch_size);
        for hash in case.hashes() {
            println!("{widths:?} in batches of {batch_size}: {hash}");
        }
    }
    println!("END");
}

#[test]
fn the_thread_count_changes_no_bit_of_weights_history_predictions_and_scores() {
    let hashes = |threads| {
        let variables = [("RAYON_NUM_THREADS", threads)];
        run_apart("prints_the_hashes_of_all_results", &variables)
    };
    let one = hashes("1");
    assert_eq!(one.lines().count(), 10 * CASES.len());
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
