//! The code in README.md is code: what stands there is compiled here, and the two are compared.

use candle_keras::{Result, callbacks::Callback, prelude::*};

/// The text of code, which is compiled as the body of a function that is never called.
macro_rules! compiled {
    ([$($argument:ident: $type:ty),*] $($code:tt)*) => {{
        #[allow(dead_code, unused, clippy::all, reason = "only compiled")]
        fn never_called($($argument: $type),*) -> Result<()> {
            let _ = { $($code)* };
            Ok(())
        }
        stringify!($($code)*)
    }};
}

const README: &str = include_str!("../README.md");

/// Text without white space, which differs between the page and what the compiler prints.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// All blocks of Rust in the README.
fn blocks() -> Vec<String> {
    let blocks = README.split("```rust\n").skip(1);
    let blocks = blocks.map(|block| squeezed(block.split("```").next().unwrap()));
    blocks.collect()
}

/// The code in the second column of the table of Keras's forms and ours.
fn cells() -> Vec<String> {
    let (_, table) = README.split_once("| Keras | candle-keras |\n").unwrap();
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| {
        let cell = row
            .trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .unwrap();
        cell.split('`').skip(1).step_by(2)
    });
    cells.map(squeezed).collect()
}

#[test]
fn the_program_is_compiled() {
    let program = compiled! { [device: Device, x_train: Data, y_train: Data, x_test: Data, y_test: Data]
        let mut model = Sequential::new()
            .add(Input::new(784))
            .add(Dense::new(128).activation(Relu))
            .add(Dense::new(64).activation(Relu))
            .add(Dense::new(10).activation(Softmax))
            .build(&device)?;
        model.compile(
            Sgd::new(0.01).momentum(0.9),
            CategoricalCrossentropy::new(),
            [Accuracy],
        )?;
        println!("{}", model.summary());
        let history = model.fit(
            &x_train, &y_train,
            Fit::new().epochs(5).batch_size(64)
                .validation_split(0.1),
        )?;
        let scores = model.evaluate(
            &x_test, &y_test)?;
        model.predict(&x_test.narrow(0, 0, 5)?)?;
    };
    assert_eq!(blocks(), [squeezed(program)]);
}

#[test]
fn every_form_in_the_table_is_compiled() {
    type Mine = Box<dyn Callback>;
    type Read = fn() -> std::vec::IntoIter<Result<Batch>>;
    let forms = [
        compiled! { [] Dense::new(64).activation(Relu).use_bias(false).name("a") },
        compiled! { [] BatchNormalization::new() },
        compiled! { [] Dropout::new(0.2) },
        compiled! { [] ReLU::new().max_value(6.0) },
        compiled! { [] Embedding::new(1000, 16).mask_zero(true) },
        compiled! { [] Gelu { approximate: false } },
        compiled! { [] LeakyRelu { negative_slope: 0.2 } },
        compiled! { [] Dense::new(8)
        .kernel_regularizer(regularizers::L2::new(1e-3))
        .kernel_constraint(constraints::MaxNorm::new(2.0)) },
        compiled! { [] SparseCategoricalCrossentropy::new().from_logits() },
        compiled! { [] AdamW::new(optimizers::schedules::CosineDecay::new(0.01, 1000)).clipnorm(1.0) },
        compiled! { [] (Accuracy, metrics::Auc::new(), Weighted(Accuracy)) },
        compiled! { [] () },
        compiled! { [] Fit::new()
        .class_weight([(0, 1.0), (1, 5.0)])
        .callback(EarlyStopping::new().patience(3)) },
        compiled! { [model: &mut Sequential, read: Read]
        model.fit_batches(batches(read), Fit::new().steps_per_epoch(100))? },
        compiled! { [model: &mut Sequential, x: Tensor, y: Tensor] model.train_on_batch(&x, &y)? },
        compiled! { [] Dense::new(64).trainable(false) },
        compiled! { [model: &mut Sequential] model.set_trainable("dense", false)? },
        compiled! { [] Sequential::new().seed(1) },
        compiled! { [history: History] &history["val_loss"] },
        compiled! { [model: &Sequential, x: Tensor, y: Tensor]
        model.evaluate_with(&x, &y, Evaluate::new().batch_size(1000).verbose(0))? },
        compiled! { [mine: Mine] Fit::new().callback(mine) },
        compiled! { [x: Tensor] Data::from(&x).scale(1.0 / 255.0)? },
        compiled! { [model: &Sequential] model.save("m.keras")? },
        compiled! { [device: Device] Sequential::load("m.keras", &device)? },
        compiled! { [model: &Sequential] model.save_weights("m.weights.h5")? },
        compiled! { [model: &Sequential] model.export_onnx("m.onnx")? },
        compiled! { [] BackupAndRestore::new("backup") },
        compiled! { [model: &Sequential] model.weight("dense/kernel")? },
    ];
    // The only one that is no expression.
    let no_code = ["callbacks::Callback"];
    let known: Vec<String> = forms.into_iter().chain(no_code).map(squeezed).collect();
    assert_eq!(
        cells().iter().collect::<std::collections::BTreeSet<_>>(),
        known.iter().collect()
    );
}
