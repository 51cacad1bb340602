//! What is printed, word for word.

mod common;

use candle_keras::{Result, callbacks::Callback, prelude::*};
use common::{labels, numbers, run_apart};

fn walkthrough() -> Sequential {
    Sequential::new()
        .seed(1)
        .add(Input::new(784))
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
}

/// Keras 3.15.1's own table of this model, 76 characters wide.
const TABLE: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ dense (Dense)                   │ (None, 128)            │       100,480 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 64)             │         8,256 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_2 (Dense)                 │ (None, 10)             │           650 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
";

/// The same model after `fit`, compiled with `optimizer`.
fn summary_after_fit(optimizer: impl Into<Box<dyn candle_keras::optimizers::Optimizer>>) -> String {
    let mut model = walkthrough().build(&Device::Cpu).unwrap();
    let untrained = model.summary().to_string();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(optimizer, loss, [Accuracy]).unwrap();
    assert_eq!(
        model.summary().to_string(),
        untrained,
        "compile adds nothing"
    );
    let (x, y) = (numbers(&[2, 784], "x"), labels(2, 10));
    model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    model.summary().to_string()
}

#[test]
fn the_summary_is_keras_own() {
    let model = walkthrough().build(&Device::Cpu).unwrap();
    let expected = format!(
        "{TABLE} Total params: 109,386 (427.29 KB)
 Trainable params: 109,386 (427.29 KB)
 Non-trainable params: 0 (0.00 B)"
    );
    assert_eq!(model.summary().to_string(), expected);
}

#[test]
fn after_a_fit_the_summary_counts_the_optimizer_as_keras_does() {
    assert_eq!(
        summary_after_fit(Adam::new(0.001)),
        format!(
            "{TABLE} Total params: 328,160 (1.25 MB)
 Trainable params: 109,386 (427.29 KB)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 218,774 (854.59 KB)"
        )
    );
    assert_eq!(
        summary_after_fit(Sgd::new(0.01)),
        format!(
            "{TABLE} Total params: 109,388 (427.30 KB)
 Trainable params: 109,386 (427.29 KB)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 2 (8.00 B)"
        )
    );
}

#[test]
fn a_model_that_is_not_built_shows_its_layers_without_shapes() {
    let model = Sequential::new()
        .add(Input::new((28, 28)))
        .add(Flatten::new())
        .add(Dense::new(3).name("hidden"))
        .add(Dense::new(3));
    assert_eq!(
        model.summary().to_string(),
        "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ flatten (Flatten)               │ ?                      │   0 (unbuilt) │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ hidden (Dense)                  │ ?                      │   0 (unbuilt) │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ ?                      │   0 (unbuilt) │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 0 (0.00 B)
 Trainable params: 0 (0.00 B)
 Non-trainable params: 0 (0.00 B)"
    );
}

#[test]
fn a_name_too_long_for_one_line_takes_two_and_what_is_longer_still_is_cut() {
    let model = Sequential::new()
        .add(Input::new(1))
        .add(Dense::new(1).name("twenty_three_characters"))
        .add(Dense::new(1).name("twenty_four_characters__"))
        .add(Dense::new(1).name("a_name_of_more_than_thirty_one_characters"))
        .build(&Device::Cpu)
        .unwrap();
    let summary = model.summary().to_string();
    let rows: Vec<&str> = summary.lines().filter(|l| l.starts_with('│')).collect();
    assert_eq!(
        rows,
        [
            "│ twenty_three_characters (Dense) │ (None, 1)              │             2 │",
            "│ twenty_four_characters__        │ (None, 1)              │             2 │",
            "│ (Dense)                         │                        │               │",
            "│ a_name_of_more_than_thirty_one… │ (None, 1)              │             2 │",
            "│ (Dense)                         │                        │               │",
        ]
    );
}

/// 65 samples in batches of 32 take 3 steps.
fn classifier() -> (Sequential, Tensor, Tensor) {
    let mut model = Sequential::new()
        .seed(1)
        .add(Input::new(4))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(Sgd::new(0.1), loss, [Accuracy]).unwrap();
    (model, numbers(&[65, 4], "x"), labels(65, 3))
}

/// Puts a small number into the logs, which takes an exponent.
struct SmallNumber;

impl Callback for SmallNumber {
    fn on_epoch_end(&mut self, _: usize, logs: &mut Logs, _: &mut Sequential) -> Result<()> {
        logs.insert("learning_rate", 0.0001);
        Ok(())
    }
}

#[test]
#[ignore = "run by the tests below, in processes of its own"]
fn trains_and_evaluates_aloud() {
    let verbose = std::env::var("VERBOSE").map_or(0, |verbose| verbose.parse().unwrap());
    let (mut model, x, y) = classifier();
    println!("BEGIN");
    let options = || Fit::new().verbose(verbose);
    let two = options().epochs(2).validation_data(&x, &y);
    model.fit(&x, &y, two.callback(SmallNumber)).unwrap();
    model.fit(&x, &y, options()).unwrap();
    let options = Evaluate::new().verbose(verbose);
    model.evaluate_with(&x, &y, options).unwrap();
    println!("END");
}

#[test]
#[ignore = "run by the tests below, in processes of its own"]
fn trains_and_evaluates_by_default() {
    let (mut model, x, y) = classifier();
    println!("BEGIN");
    model.fit(&x, &y, Fit::new()).unwrap();
    model.evaluate(&x, &y).unwrap();
    println!("END");
}

fn printed(verbose: &str) -> String {
    run_apart("trains_and_evaluates_aloud", &[("VERBOSE", verbose)])
}

/// Digits as `9`, so that texts with other times and numbers are the same; a time's unit as `ms`.
fn pattern(text: &str) -> String {
    let mut pattern = String::new();
    for letter in text.chars() {
        let letter = if letter.is_ascii_digit() { '9' } else { letter };
        let is_run = letter == '9' && pattern.ends_with('9');
        if !is_run {
            pattern.push(letter);
        }
    }
    pattern.replace("9us/step", "9ms/step")
}

#[test]
fn verbose_0_prints_nothing() {
    assert_eq!(printed("0"), "");
}

#[test]
fn lines_with_keras_fields_are_printed_where_the_output_is_no_terminal() {
    for verbose in ["1", "2"] {
        let text = printed(verbose);
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        let [title_1, epoch_1, title_2, epoch_2, lone_epoch, evaluation] = lines[..] else {
            panic!("{text}");
        };
        assert_eq!([title_1, title_2], ["Epoch 1/2", "Epoch 2/2"]);
        for line in [epoch_1, epoch_2] {
            assert!(line.starts_with("3/3 - "), "{line}");
            assert_eq!(
                pattern(line),
                "9/9 - 9s - 9ms/step - accuracy: 9.9 - loss: 9.9 - val_accuracy: 9.9 - val_loss: 9.9 - learning_rate: 9.9e-9"
            );
            assert!(line.ends_with(" - learning_rate: 1.0000e-04"), "{line}");
        }
        for line in [lone_epoch, evaluation] {
            assert!(line.starts_with("3/3 - "), "{line}");
            assert_eq!(
                pattern(line),
                "9/9 - 9s - 9ms/step - accuracy: 9.9 - loss: 9.9"
            );
        }
    }
}

#[test]
fn the_numbers_printed_are_those_returned() {
    let (mut model, x, y) = classifier();
    let options = Fit::new().verbose(0).epochs(2).validation_data(&x, &y);
    let history = model.fit(&x, &y, options).unwrap();
    let text = printed("2");
    for epoch in 0..2 {
        let name = |name: &str| format!(" - {name}: {:.4}", history[name][epoch]);
        let numbers = ["accuracy", "loss", "val_accuracy", "val_loss"].map(name);
        assert!(text.contains(&numbers.concat()), "{text}");
    }
}

#[test]
fn fit_and_evaluate_print_a_line_each_unless_told_otherwise() {
    let text = run_apart("trains_and_evaluates_by_default", &[]);
    let lines: Vec<String> = text.lines().map(pattern).collect();
    let line = "9/9 - 9s - 9ms/step - accuracy: 9.9 - loss: 9.9";
    assert_eq!(lines, [line, line]);
}
