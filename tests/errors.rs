//! Every error's text, word for word: what a beginner reads must say where, what and what to do.

mod common;

use candle_keras::{
    Error, Result,
    callbacks::Callback,
    device,
    initializers::{Constant, Initializer},
    layers::{Backward, Forward, Gradients, Layer, Pass},
    losses::Loss,
    prelude::*,
    seed,
    weights::WeightBuilder,
};
use common::{bits, flat, labels, numbers};

/// The text of the error that `result` is.
#[track_caller]
fn text<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

/// 4 features, 3 classes, built and not compiled.
fn built() -> Sequential {
    Sequential::new()
        .seed(1)
        .add(Input::new(4))
        .add(Dense::new(5).activation(Relu))
        .add(Dense::new(3).activation(Softmax))
        .build(&Device::Cpu)
        .unwrap()
}

/// The same, compiled for labels.
fn classifier() -> Sequential {
    let mut model = built();
    let loss = SparseCategoricalCrossentropy::new();
    model.compile(Sgd::new(0.1), loss, [Accuracy]).unwrap();
    model
}

/// One dense layer from 1 feature to 1 output, compiled for numbers.
fn line(optimizer: impl Into<Box<dyn candle_keras::optimizers::Optimizer>>) -> Sequential {
    let mut model = Sequential::new()
        .seed(1)
        .add(Input::new(1))
        .add(Dense::new(1))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(optimizer, MeanSquaredError::new(), ())
        .unwrap();
    model
}

fn column(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu)
        .unwrap()
        .reshape(((), 1))
        .unwrap()
}

fn quiet() -> Fit<'static> {
    Fit::new().verbose(0)
}

/// The error of building a model with these layers.
#[track_caller]
fn build_error<const N: usize>(layers: [Box<dyn Layer>; N]) -> String {
    let model = layers.into_iter().fold(Sequential::new(), Sequential::add);
    text(model.build(&Device::Cpu))
}

#[test]
fn a_model_without_layers_says_how_to_start() {
    let expected = "the model has no layers: start with .add(Input::new(features)), then add layers such as .add(Dense::new(units))";
    assert_eq!(build_error([]), expected);
    assert_eq!(build_error([Input::new(4).into()]), expected);
}

#[test]
fn an_input_is_asked_for_in_front_and_nowhere_else() {
    assert_eq!(
        build_error([Dense::new(3).into()]),
        "expected an Input as the first layer, got `Dense`: start the model with .add(Input::new(features))"
    );
    assert_eq!(
        build_error([Dense::new(3).name("hidden").into()]),
        "expected an Input as the first layer, got `hidden`: start the model with .add(Input::new(features))"
    );
    assert_eq!(
        build_error([
            Input::new(4).into(),
            Dense::new(3).into(),
            Input::new(3).into()
        ]),
        "the layer at position 2, counted from 0, is an Input, expected one only at position 0: remove it"
    );
}

#[test]
fn an_input_of_length_0_is_refused() {
    assert_eq!(
        build_error([Input::new(0).into(), Dense::new(3).into()]),
        "`Input`: expected lengths of at least 1, got (0,): give the lengths of a sample's axes, without the batch's"
    );
    assert_eq!(
        build_error([Input::new((28, 0)).into(), Flatten::new().into()]),
        "`Input`: expected lengths of at least 1, got (28, 0): give the lengths of a sample's axes, without the batch's"
    );
}

#[test]
fn a_name_given_twice_is_named() {
    assert_eq!(
        build_error([
            Input::new(4).into(),
            Dense::new(3).name("hidden").into(),
            Dropout::new(0.5).name("hidden").into(),
        ]),
        "two layers are named `hidden`, expected every name once: rename one of them with .name(..)"
    );
}

#[test]
fn a_name_that_would_not_part_a_layer_from_its_weights_is_refused() {
    for name in ["a/b", ""] {
        assert_eq!(
            build_error([Input::new(4).into(), Dense::new(3).name(name).into()]),
            format!(
                "`name`: expected a name of at least one letter, without /, got `{name}`: a / parts the layer's name from its weights'"
            )
        );
    }
}

#[test]
fn a_layer_whose_argument_is_out_of_range_is_named() {
    let error = |layer: Box<dyn Layer>| build_error([Input::new(4).into(), layer]);
    assert_eq!(
        error(Dense::new(0).into()),
        "layer `dense` (Dense): `units`: expected at least 1, got 0: give the number of outputs"
    );
    for rate in [1.5, -0.1, f64::NAN] {
        assert_eq!(
            error(Dropout::new(rate).into()),
            format!(
                "layer `dropout` (Dropout): `rate`: expected a fraction from 0 to 1, got {rate}: 0.2 drops a fifth of the inputs"
            )
        );
    }
    let slope = LeakyRelu {
        negative_slope: f64::NAN,
    };
    assert_eq!(
        error(Dense::new(3).activation(slope).name("hidden").into()),
        "layer `hidden` (Dense): `negative_slope`: expected a finite number, got NaN: Keras's default is 0.2"
    );
    let alpha = Elu {
        alpha: f64::INFINITY,
    };
    assert_eq!(
        error(Activation::new(alpha).into()),
        "layer `activation` (Activation): `alpha`: expected a finite number, got inf: Keras's default is 1"
    );
}

#[test]
fn a_layer_that_cannot_follow_is_named_with_the_shape_that_it_got() {
    assert_eq!(
        build_error([Input::new(()).into(), Dense::new(3).into()]),
        "layer `dense` (Dense): expected an input of shape (None, .., features), got (None,): Dense works along the last axis, so give samples one, with at least one feature"
    );
    assert_eq!(
        build_error([Input::new(()).into(), Activation::new(Softmax).into()]),
        "layer `activation` (Activation): expected an input of shape (None, .., classes), got (None,): softmax works along the last axis, so give samples one"
    );
}

#[test]
fn the_type_of_the_numbers_is_f32_or_f64() {
    let model = Sequential::new().add(Input::new(4)).add(Dense::new(3));
    assert_eq!(
        text(model.dtype(DType::U8).build(&Device::Cpu)),
        "`dtype`: expected F32 or F64, got U8: leave it out for f32"
    );
}

#[test]
fn an_initializer_that_gives_too_few_numbers_is_named() {
    #[derive(Debug)]
    struct Two;
    impl Initializer for Two {
        fn values(
            &self,
            _shape: &[usize],
            _stream: &mut seed::Stream,
        ) -> candle_keras::Result<Vec<f32>> {
            Ok(vec![0.0; 2])
        }
    }
    assert_eq!(
        build_error([
            Input::new(4).into(),
            Dense::new(3).kernel_initializer(Two).into()
        ]),
        "layer `dense` (Dense): `initializer of kernel`: expected 12 numbers, got 2: give as many numbers as the shape holds"
    );
}

#[test]
fn a_weight_that_is_not_finite_is_refused_by_its_name() {
    let not_finite =
        "expected finite numbers, got NaN or an infinite one: training could not mend it";
    for value in [f32::NAN, f32::INFINITY] {
        let layer = Dense::new(3).bias_initializer(Constant(value));
        assert_eq!(
            build_error([Input::new(4).into(), layer.name("hidden").into()]),
            format!("layer `hidden` (Dense): `hidden/bias`: {not_finite}")
        );
        let mut model = built();
        let before = bits(&model);
        let values = Tensor::new(&[0f32, value, 0.0], &Device::Cpu).unwrap();
        assert_eq!(
            text(model.set_weight("dense_1/bias", &values)),
            format!("`dense_1/bias`: {not_finite}")
        );
        assert_eq!(bits(&model), before);
    }
}

#[test]
fn what_needs_a_built_model_says_so() {
    let mut model = Sequential::new().add(Input::new(4)).add(Dense::new(3));
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let needs = |method: &str| {
        format!("`{method}` needs a built model: call .build(&device)? after the last .add(..)")
    };
    assert_eq!(
        text(model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())),
        needs("compile")
    );
    assert_eq!(text(model.fit(&x, &y, quiet())), needs("fit"));
    assert_eq!(text(model.evaluate(&x, &y)), needs("evaluate"));
    assert_eq!(text(model.predict(&x)), needs("predict"));
    assert_eq!(text(model.gradients(&x, &y)), needs("gradients"));
    assert_eq!(text(model.layer_outputs(&x)), needs("layer_outputs"));
    assert_eq!(text(model.weight("dense/kernel")), needs("weight"));
    assert_eq!(
        text(model.set_weight("dense/bias", &x)),
        needs("set_weight")
    );
}

#[test]
fn what_needs_a_compiled_model_says_so() {
    let mut model = built();
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let needs = |method: &str| {
        format!(
            "`{method}` needs a compiled model: call model.compile(optimizer, loss, metrics)? before it"
        )
    };
    assert_eq!(text(model.fit(&x, &y, quiet())), needs("fit"));
    assert_eq!(text(model.evaluate(&x, &y)), needs("evaluate"));
    assert_eq!(text(model.gradients(&x, &y)), needs("gradients"));
    assert_eq!(text(model.learning_rate()), needs("learning_rate"));
    assert_eq!(
        text(model.set_learning_rate(0.1)),
        needs("set_learning_rate")
    );
}

#[test]
fn a_layer_added_to_a_built_model_asks_for_another_build() {
    let x = numbers(&[8, 4], "x");
    let model = classifier().add(Dense::new(2));
    assert_eq!(
        text(model.predict(&x)),
        "`predict` needs a built model: call .build(&device)? after the last .add(..)"
    );
    let model = model.build(&Device::Cpu).unwrap();
    assert_eq!(model.predict(&x).unwrap().dims(), [8, 2]);
    assert_eq!(model.layer_names(), ["dense", "dense_1", "dense_2"]);
    assert_eq!(
        text(model.evaluate(&x, labels(8, 2))),
        "`evaluate` needs a compiled model: call model.compile(optimizer, loss, metrics)? before it"
    );
}

#[test]
fn an_optimizers_argument_out_of_range_is_named() {
    let error = |optimizer: Box<dyn candle_keras::optimizers::Optimizer>| {
        text(built().compile(optimizer, MeanSquaredError::new(), ()))
    };
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        let expected = format!(
            "`learning_rate`: expected a finite number of at least 0, got {rate}: 0.01 suits Sgd, 0.001 Adam"
        );
        assert_eq!(error(Sgd::new(rate).into()), expected);
        assert_eq!(error(Adam::new(rate).into()), expected);
        assert_eq!(text(classifier().set_learning_rate(rate)), expected);
    }
    let fraction = |argument: &str, value: f64, usual: &str| {
        format!(
            "`{argument}`: expected a number from 0 up to, but not including, 1, got {value}: {usual} is usual"
        )
    };
    for value in [1.0, -0.5, f64::NAN] {
        assert_eq!(
            error(Sgd::new(0.1).momentum(value).into()),
            fraction("momentum", value, "0.9")
        );
        assert_eq!(
            error(Adam::new(0.1).beta_1(value).into()),
            fraction("beta_1", value, "0.9")
        );
        assert_eq!(
            error(Adam::new(0.1).beta_2(value).into()),
            fraction("beta_2", value, "0.999")
        );
    }
    for value in [0.0, -1e-7, f64::INFINITY, f64::NAN] {
        assert_eq!(
            error(Adam::new(0.1).epsilon(value).into()),
            format!(
                "`epsilon`: expected a finite number above 0, got {value}: Keras's default is 1e-7"
            )
        );
    }
}

#[test]
fn x_and_y_of_different_lengths_are_counted() {
    let (x, y) = (numbers(&[8, 4], "x"), labels(7, 3));
    let expected =
        "x has 8 samples and y has 7, expected as many of each: pair every sample with its target";
    let mut model = classifier();
    assert_eq!(text(model.fit(&x, &y, quiet())), expected);
    assert_eq!(text(model.evaluate(&x, &y)), expected);
    assert_eq!(text(model.gradients(&x, &y)), expected);
}

#[test]
fn a_wrong_feature_count_is_told_by_every_method() {
    let (x, y) = (numbers(&[8, 5], "x"), labels(8, 3));
    let expected =
        "`x`: expected shape (n, 4), got (8, 5): give samples of the shape of the model's Input";
    let mut model = classifier();
    assert_eq!(text(model.fit(&x, &y, quiet())), expected);
    assert_eq!(text(model.evaluate(&x, &y)), expected);
    assert_eq!(text(model.predict(&x)), expected);
    assert_eq!(text(model.layer_outputs(&x)), expected);
}

#[test]
fn a_shape_of_x_that_nearly_fits_gets_the_advice_that_mends_it() {
    let model = classifier();
    assert_eq!(
        text(model.predict(numbers(&[8, 2, 2], "x"))),
        "`x`: expected shape (n, 4), got (8, 2, 2): the numbers are as many, so Data::flatten() or a Flatten layer may be missing"
    );
    assert_eq!(
        text(model.predict(numbers(&[4], "x"))),
        "`x`: expected shape (n, 4), got (4,): the axis of the samples is missing: one sample is x.unsqueeze(0)?"
    );
}

#[test]
fn data_without_samples_is_told_by_every_method() {
    let x = Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap();
    let y = Tensor::zeros(0, DType::U32, &Device::Cpu).unwrap();
    let expected = "`x` holds no samples, expected at least one: check how it was loaded or sliced";
    let mut model = classifier();
    assert_eq!(text(model.fit(&x, &y, quiet())), expected);
    assert_eq!(text(model.evaluate(&x, &y)), expected);
    assert_eq!(text(model.predict(&x)), expected);
    let scalar = Tensor::new(1f32, &Device::Cpu).unwrap();
    assert_eq!(text(model.predict(&scalar)), expected);
    assert_eq!(
        text(model.fit(numbers(&[8, 4], "x"), &y, quiet())),
        "x has 8 samples and y has 0, expected as many of each: pair every sample with its target"
    );
}

#[test]
fn a_label_that_is_no_class_is_shown_with_its_sample() {
    let x = numbers(&[4, 4], "x");
    let error = |labels: [f32; 4]| {
        let y = Tensor::new(&labels, &Device::Cpu).unwrap();
        let of_fit = text(classifier().fit(&x, &y, quiet()));
        assert_eq!(text(classifier().evaluate(&x, &y)), of_fit);
        of_fit
    };
    let expected = |sample: usize, label: &str| {
        format!(
            "loss `sparse_categorical_crossentropy`: y: sample {sample} has label {label}, expected a whole number from 0 to 2: the model's output has 3 columns, so give its last layer a unit for each class, or mend the labels, which count from 0"
        )
    };
    assert_eq!(error([0.0, 1.0, 3.0, 2.0]), expected(2, "3"));
    assert_eq!(error([0.0, -1.0, 0.0, 0.0]), expected(1, "-1"));
    assert_eq!(error([0.5, 0.0, 0.0, 0.0]), expected(0, "0.5"));
    assert_eq!(error([0.0, 0.0, 0.0, f32::NAN]), expected(3, "NaN"));
}

#[test]
fn targets_of_another_shape_get_the_advice_that_mends_them() {
    let x = numbers(&[8, 4], "x");
    let error = |loss: Box<dyn Loss>, y: &Tensor| {
        let mut model = built();
        model.compile(Sgd::new(0.1), loss, ()).unwrap();
        let of_fit = text(model.fit(&x, y, quiet()));
        assert_eq!(text(model.evaluate(&x, y)), of_fit);
        of_fit
    };
    let one_hot = "targets are one-hot, with a column for each class: make them with to_categorical(&labels, classes), or use SparseCategoricalCrossentropy for labels";
    assert_eq!(
        error(CategoricalCrossentropy::new().into(), &labels(8, 3)),
        format!("loss `categorical_crossentropy`: `y`: expected shape (n, 3), got (8,): {one_hot}")
    );
    assert_eq!(
        error(
            CategoricalCrossentropy::new().into(),
            &numbers(&[8, 4], "y")
        ),
        "loss `categorical_crossentropy`: `y`: expected shape (n, 3), got (8, 4): targets have 4 classes and the last layer 3 units: make them equal"
    );
    assert_eq!(
        error(
            SparseCategoricalCrossentropy::new().into(),
            &numbers(&[8, 3], "y")
        ),
        "loss `sparse_categorical_crossentropy`: `y`: expected shape (n,), got (8, 3): targets are labels, one whole number for each output: use CategoricalCrossentropy for one-hot targets"
    );
    let numbers_of_targets =
        "give a target for every output, or the last layer as many units as a target has numbers";
    assert_eq!(
        error(MeanSquaredError::new().into(), &numbers(&[8], "y")),
        format!(
            "loss `mean_squared_error`: `y`: expected shape (n, 3), got (8,): {numbers_of_targets}"
        )
    );
    assert_eq!(
        error(BinaryCrossentropy::new().into(), &numbers(&[8, 1], "y")),
        format!(
            "loss `binary_crossentropy`: `y`: expected shape (n, 3), got (8, 1): {numbers_of_targets}"
        )
    );
}

#[test]
fn options_out_of_range_are_named() {
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let error = |options: Fit<'static>| text(classifier().fit(&x, &y, options.verbose(0)));
    let model = classifier();
    let batch_size = "`batch_size`: expected at least 1, got 0: 32 is Keras's default";
    assert_eq!(error(Fit::new().batch_size(0)), batch_size);
    let options = Evaluate::new().batch_size(0).verbose(0);
    assert_eq!(text(model.evaluate_with(&x, &y, options)), batch_size);
    assert_eq!(
        text(model.predict_with(&x, Predict::new().batch_size(0))),
        batch_size
    );
    assert_eq!(
        error(Fit::new().validation_split(0.5).validation_batch_size(0)),
        "`validation_batch_size`: expected at least 1, got 0: 32 is Keras's default"
    );
    assert_eq!(
        error(Fit::new().epochs(0)),
        "`epochs`: expected at least 1, got 0: 1 is Keras's default"
    );
    let verbose =
        "`verbose`: expected 0, 1 or 2, got 3: 0 shows nothing, 1 a bar, 2 a line for each epoch";
    let options = Evaluate::new().verbose(3);
    assert_eq!(text(model.evaluate_with(&x, &y, options)), verbose);
    assert_eq!(
        text(classifier().fit(&x, &y, Fit::new().verbose(3))),
        verbose
    );
}

#[test]
fn a_validation_split_is_a_fraction_that_leaves_samples_on_both_sides() {
    let error = |count: usize, split| {
        let (x, y) = (numbers(&[count, 4], "x"), labels(count, 3));
        text(classifier().fit(&x, &y, quiet().validation_split(split)))
    };
    for split in [0.0, 1.0, 1.5, -0.1, f64::NAN] {
        assert_eq!(
            error(8, split),
            format!(
                "`validation_split`: expected a fraction between 0 and 1, got {split}: 0.1 holds back the last tenth; leave it out for no validation"
            )
        );
    }
    assert_eq!(
        error(10, 0.9),
        "`validation_split`: expected a fraction that leaves samples on both sides of 10, got 0.9, which leaves 0 and 10: take another fraction, or give validation_data"
    );
    assert_eq!(
        error(1, 0.1),
        "`validation_split`: expected a fraction that leaves samples on both sides of 1, got 0.1, which leaves 0 and 1: take another fraction, or give validation_data"
    );
}

#[test]
fn an_error_in_the_validation_data_says_that_it_is_there() {
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let error = |val_x: &Tensor, val_y: &Tensor| {
        let options = quiet().validation_data(val_x, val_y);
        text(classifier().fit(&x, &y, options))
    };
    assert_eq!(
        error(&numbers(&[3, 4], "x"), &labels(2, 3)),
        "validation_data: x has 3 samples and y has 2, expected as many of each: pair every sample with its target"
    );
    assert_eq!(
        error(&numbers(&[3, 5], "x"), &labels(3, 3)),
        "validation_data: `x`: expected shape (n, 4), got (3, 5): give samples of the shape of the model's Input"
    );
    assert_eq!(
        error(&numbers(&[9, 4], "x"), &labels(9, 9)),
        "validation_data: loss `sparse_categorical_crossentropy`: y: sample 1 has label 7, expected a whole number from 0 to 2: the model's output has 3 columns, so give its last layer a unit for each class, or mend the labels, which count from 0"
    );
}

#[test]
fn a_name_that_the_history_lacks_gets_the_names_that_it_has() {
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let history = classifier().fit(&x, &y, quiet()).unwrap();
    assert_eq!(
        text(history.get("val_loss")),
        "no loss or metric is named `val_loss`: expected one of `accuracy`, `loss`"
    );
}

#[test]
fn a_weight_that_does_not_exist_or_fit_is_named() {
    let mut model = built();
    let value = numbers(&[5, 4], "value");
    let unknown = "no weight is named `dense_2/kernel`: expected one of `dense/kernel`, `dense/bias`, `dense_1/kernel`, `dense_1/bias`";
    assert_eq!(text(model.weight("dense_2/kernel")), unknown);
    assert_eq!(text(model.set_weight("dense_2/kernel", &value)), unknown);
    assert_eq!(
        text(model.set_weight("dense/kernel", &value)),
        "`dense/kernel`: expected (4, 5), got (5, 4): give as many numbers as the weight has, in its shape"
    );
    let weightless = Sequential::new()
        .add(Input::new(4))
        .add(Flatten::new())
        .build(&Device::Cpu)
        .unwrap();
    assert_eq!(
        text(weightless.weight("kernel")),
        "no weight is named `kernel`: there are none"
    );
}

#[test]
fn a_device_that_is_not_there_gets_advice() {
    assert_eq!(
        text(device("abacus")),
        "device `abacus`: expected cpu, cuda, cuda:N, metal or metal:N: cpu is always there, cuda is for NVIDIA's GPUs, metal for Apple's"
    );
    assert_eq!(
        text(device("cuda:x")),
        "device `cuda:x`: expected a number after the colon, got `x`: cuda:0 is the first GPU"
    );
    if cfg!(not(feature = "cuda")) {
        assert_eq!(
            text(device("cuda")),
            "device `cuda`: this program was built without cuda: turn on candle-keras's feature `cuda` (--features cuda), or use cpu"
        );
    }
    if cfg!(not(feature = "metal")) {
        assert_eq!(
            text(device("metal:1")),
            "device `metal:1`: this program was built without metal: turn on candle-keras's feature `metal` (--features metal), or use cpu"
        );
    }
}

/// A layer whose parts can be broken one by one.
#[derive(Debug, Default)]
struct Broken {
    units: usize,
    sums_the_batch: bool,
    cuts_the_graph: bool,
    backward: Option<WrongBackward>,
}

#[derive(Debug, Clone, Copy)]
enum WrongBackward {
    WithoutWeights,
    WithoutInputs,
    TransposedWeights,
    FlatInputs,
}

impl Layer for Broken {
    fn class_name(&self) -> &str {
        "Broken"
    }

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        match self.backward {
            Some(_) => weights.add("scale", &[input_shape[0], 1], &Constant(1.0)),
            None => Ok(()),
        }
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(match self.units {
            0 => input_shape.to_vec(),
            units => vec![units],
        })
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(if self.cuts_the_graph {
            candle_nn::ops::softmax_last_dim(inputs)?
        } else if self.sums_the_batch {
            inputs.sum_keepdim(0)?
        } else {
            inputs.clone()
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        self.backward.is_some().then_some(self as &dyn Backward)
    }
}

impl Backward for Broken {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let scale = step.weight("scale")?.zeros_like()?;
        let inputs = gradient.clone();
        Ok(match self.backward {
            Some(WrongBackward::WithoutWeights) => Gradients {
                inputs: Some(inputs),
                weights: vec![],
            },
            Some(WrongBackward::WithoutInputs) => Gradients {
                inputs: None,
                weights: vec![scale],
            },
            Some(WrongBackward::TransposedWeights) => Gradients {
                inputs: Some(inputs),
                weights: vec![scale.t()?],
            },
            Some(WrongBackward::FlatInputs) | None => Gradients {
                inputs: Some(inputs.flatten_all()?),
                weights: vec![scale],
            },
        })
    }
}

/// A broken layer between two that learn.
fn with(layer: Broken) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new(4))
        .add(Dense::new(3))
        .add(layer)
        .add(Dense::new(3))
        .build(&Device::Cpu)
        .unwrap();
    let loss = MeanSquaredError::new();
    model.compile(Sgd::new(0.1), loss, ()).unwrap();
    model
}

#[test]
fn a_layer_whose_output_is_not_what_it_promised_is_named() {
    let x = numbers(&[8, 4], "x");
    let wrong_width = with(Broken {
        units: 5,
        ..Broken::default()
    });
    assert_eq!(
        text(wrong_width.predict(&x)),
        "layer `broken` (Broken): `forward`: expected outputs of shape (8, 5), as its output_shape (None, 5) says, got (8, 3): mend the layer's forward or its output_shape"
    );
    let wrong_batch = with(Broken {
        sums_the_batch: true,
        ..Broken::default()
    });
    assert_eq!(
        text(wrong_batch.predict(&x)),
        "layer `broken` (Broken): `forward`: expected outputs of shape (8, 3), as its output_shape (None, 3) says, got (1, 3): mend the layer's forward or its output_shape"
    );
}

/// A layer that promises outputs of this shape, and gives the mean of its inputs where it is bare.
#[derive(Debug)]
struct Shaped(&'static [usize]);

impl Layer for Shaped {
    fn class_name(&self) -> &str {
        "Shaped"
    }
    fn output_shape(&self, _input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(self.0.to_vec())
    }
    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.mean(1)?)
    }
}

#[test]
fn a_layer_that_promises_outputs_without_numbers_is_named() {
    for (shape, got) in [(&[0][..], "(0,)"), (&[3, 0], "(3, 0)")] {
        assert_eq!(
            build_error([Input::new(4).into(), Shaped(shape).into()]),
            format!(
                "layer `shaped` (Shaped): `output_shape`: expected lengths of at least 1, got {got}: an output without numbers leaves nothing to learn"
            )
        );
    }
}

#[test]
fn outputs_without_an_axis_are_predicted_and_refused_by_every_loss() {
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8], "y"));
    let losses: [Box<dyn Loss>; 4] = [
        MeanSquaredError::new().into(),
        BinaryCrossentropy::new().into(),
        CategoricalCrossentropy::new().into(),
        SparseCategoricalCrossentropy::new().into(),
    ];
    for loss in losses {
        let mut model = Sequential::new()
            .add(Input::new(4))
            .add(Dense::new(3))
            .add(Shaped(&[]))
            .build(&Device::Cpu)
            .unwrap();
        assert_eq!(model.predict(&x).unwrap().dims(), [8]);
        let name = loss.name().to_string();
        model.compile(Sgd::new(0.1), loss, [Accuracy]).unwrap();
        for y in [&y, &y.unsqueeze(1).unwrap()] {
            let expected = "`: `outputs`: expected an axis after that of the samples, got (n,): end the model with a layer whose outputs have one, such as Dense";
            let expected = format!("loss `{name}{expected}");
            assert_eq!(text(model.fit(&x, y, quiet())), expected);
            assert_eq!(text(model.evaluate(&x, y)), expected);
        }
    }
}

#[test]
fn a_layer_that_cuts_the_graph_is_named() {
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8, 3], "y"));
    let mut model = with(Broken {
        cuts_the_graph: true,
        ..Broken::default()
    });
    model.predict(&x).unwrap();
    assert_eq!(
        text(model.fit(&x, &y, quiet())),
        "layer `broken` (Broken): no gradient reaches the inputs: the layer's forward does not use it, or uses an operation that candle cannot differentiate; take one that it can (candle_nn::ops::softmax, not softmax_last_dim), or give the layer a backward of its own"
    );
}

#[test]
fn a_backward_that_gives_too_little_or_another_shape_is_named() {
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8, 3], "y"));
    let error = |wrong| {
        let mut model = with(Broken {
            backward: Some(wrong),
            ..Broken::default()
        });
        text(model.fit(&x, &y, quiet()))
    };
    assert_eq!(
        error(WrongBackward::WithoutWeights),
        "layer `broken` (Broken): `gradients of the weights`: expected 1, one for each trainable weight, got 0: mend the layer's backward"
    );
    assert_eq!(
        error(WrongBackward::TransposedWeights),
        "layer `broken` (Broken): `gradient of the weight scale`: expected the weight's shape (3, 1), got (1, 3): mend the layer's backward"
    );
    assert_eq!(
        error(WrongBackward::WithoutInputs),
        "layer `broken` (Broken): `gradient of the inputs`: expected the inputs' shape (8, 3), got None: mend the layer's backward"
    );
    assert_eq!(
        error(WrongBackward::FlatInputs),
        "layer `broken` (Broken): `gradient of the inputs`: expected the inputs' shape (8, 3), got (24,): mend the layer's backward"
    );
}

#[test]
fn a_loss_that_cuts_the_graph_is_named() {
    #[derive(Debug)]
    struct Cut;
    impl Loss for Cut {
        fn name(&self) -> &str {
            "cut"
        }
        fn call(&self, _y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
            Ok(y_pred.detach().sum(1)?)
        }
    }
    let mut model = built();
    model.compile(Sgd::new(0.1), Cut, ()).unwrap();
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8, 3], "y"));
    assert_eq!(
        text(model.fit(&x, &y, quiet())),
        "loss `cut`: no gradient reaches the model's outputs: the loss's call does not use it, or uses an operation that candle cannot differentiate; take one that it can (candle_nn::ops::softmax, not softmax_last_dim), or give the loss a losses_and_gradient of its own"
    );
}

#[test]
fn a_loss_that_gives_no_number_a_sample_is_named() {
    /// The mean over the batch, too.
    #[derive(Debug)]
    struct Scalar;
    impl Loss for Scalar {
        fn name(&self) -> &str {
            "scalar"
        }
        fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
            Ok((y_pred - y_true)?.sqr()?.mean_all()?)
        }
    }
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8, 3], "y"));
    let mut model = built();
    model.compile(Sgd::new(0.1), Scalar, ()).unwrap();
    let expected = "loss `scalar`: `call`: expected a loss for each of 8 samples, got shape (): leave the mean over samples to the training: take it over the last axis only";
    assert_eq!(text(model.fit(&x, &y, quiet())), expected);
    assert_eq!(text(model.evaluate(&x, &y)), expected);
    assert_eq!(text(model.gradients(&x, &y)), expected);
}

#[test]
fn a_losses_own_gradient_of_another_shape_is_named() {
    #[derive(Debug)]
    struct Flat;
    impl Loss for Flat {
        fn name(&self) -> &str {
            "flat"
        }
        fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
            Ok((y_pred - y_true)?.sum(1)?)
        }
        fn losses_and_gradient(
            &self,
            y_true: &Tensor,
            y_pred: &Tensor,
        ) -> Result<Option<(Tensor, Tensor)>> {
            let gradient = y_pred.ones_like()?.flatten_all()?;
            Ok(Some((self.call(y_true, y_pred)?, gradient)))
        }
    }
    let (x, y) = (numbers(&[8, 4], "x"), numbers(&[8, 3], "y"));
    let mut model = built();
    model.compile(Sgd::new(0.1), Flat, ()).unwrap();
    let expected = "loss `flat`: `losses_and_gradient`: expected a gradient of the outputs' shape (8, 3), got (24,): give one number for each output";
    assert_eq!(text(model.fit(&x, &y, quiet())), expected);
    assert_eq!(text(model.gradients(&x, &y)), expected);
}

#[test]
fn cross_entropies_called_directly_refuse_targets_that_do_not_fit() {
    let logits = Tensor::new(&[[1f32, 2.0], [0.5, 0.0]], &Device::Cpu).unwrap();
    let sparse = SparseCategoricalCrossentropy::new;
    let categorical = CategoricalCrossentropy::new;
    for dtype in [DType::F32, DType::F64] {
        let logits = logits.to_dtype(dtype).unwrap();
        for loss in [sparse(), sparse().from_logits()] {
            for label in [5f32, 2.0, -1.0, 0.5, f32::NAN] {
                let y = Tensor::new(&[1f32, label], &Device::Cpu).unwrap();
                let y = y.to_dtype(dtype).unwrap();
                let expected = format!(
                    "y: sample 1 has label {label}, expected a whole number from 0 to 1: the model's output has 2 columns, so give its last layer a unit for each class, or mend the labels, which count from 0"
                );
                assert_eq!(text(loss.call(&y, &logits)), expected);
                match loss.losses_and_gradient(&y, &logits) {
                    // Left to call and candle.
                    Ok(None) => {}
                    fused => assert_eq!(text(fused), expected),
                }
            }
            for (shape, got) in [(&[2, 2][..], "(2, 2)"), (&[3], "(3,)"), (&[4], "(4,)")] {
                let y = Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
                assert_eq!(
                    text(loss.call(&y, &logits)),
                    format!(
                        "`y_true`: expected shape (2,), got {got}: give a label for every row of outputs"
                    )
                );
                let fused = loss.losses_and_gradient(&y, &logits);
                assert!(!matches!(fused, Ok(Some(_))));
            }
        }
        for shape in [&[2, 3][..], &[1, 3], &[4], &[2]] {
            let y = Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
            for loss in [categorical(), categorical().from_logits()] {
                assert!(loss.call(&y, &logits).is_err(), "{loss:?}, {shape:?}");
                let fused = loss.losses_and_gradient(&y, &logits);
                assert!(!matches!(fused, Ok(Some(_))), "{loss:?}, {shape:?}");
            }
        }
    }
    let y = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
    let logits = logits.narrow(0, 0, 1).unwrap();
    assert_eq!(
        text(categorical().from_logits().losses_and_gradient(&y, &logits)),
        "`y_true`: expected shape (1, 2), got (1, 3): give a target for every output"
    );
}

/// Calls from within `fit` what must not be called there, at one of its ends.
struct Nested {
    compiles: bool,
    at_batch: bool,
}

impl Nested {
    fn call(&self, model: &mut Sequential) -> Result<()> {
        if self.compiles {
            return model.compile(Sgd::new(0.5), MeanSquaredError::new(), ());
        }
        let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
        model.fit(&x, &y, quiet()).map(|_| ())
    }
}

impl Callback for Nested {
    fn on_train_batch_end(&mut self, _batch: usize, model: &mut Sequential) -> Result<()> {
        match self.at_batch {
            true => self.call(model),
            false => Ok(()),
        }
    }
    fn on_train_end(&mut self, model: &mut Sequential) -> Result<()> {
        self.call(model)
    }
}

#[test]
fn fit_and_compile_from_a_callback_end_the_fit_and_leave_the_model_usable() {
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    for (method, compiles) in [("fit", false), ("compile", true)] {
        for at_batch in [true, false] {
            let nested = Nested { compiles, at_batch };
            let mut model = classifier();
            assert_eq!(
                text(model.fit(&x, &y, quiet().epochs(2).callback(nested))),
                format!(
                    "`{method}` was called from a callback while fit runs: call it after fit, and use model.stop_training() to end fit early"
                )
            );
            let history = model.fit(&x, &y, quiet()).unwrap();
            assert_eq!(history["accuracy"].len(), 1);
            let loss = SparseCategoricalCrossentropy::new();
            model.compile(Sgd::new(0.1), loss, ()).unwrap();
        }
    }
}

#[test]
fn a_callbacks_error_ends_the_training_and_is_told() {
    struct Full;
    impl Callback for Full {
        fn on_epoch_begin(&mut self, epoch: usize, _model: &mut Sequential) -> Result<()> {
            match epoch {
                0 => Ok(()),
                _ => Err(Error::Callback("the disk is full".into())),
            }
        }
    }
    let (x, y) = (numbers(&[8, 4], "x"), labels(8, 3));
    let mut model = classifier();
    assert_eq!(
        text(model.fit(&x, &y, quiet().epochs(3).callback(Full))),
        "callback: the disk is full"
    );
    let mut one_epoch = classifier();
    one_epoch.fit(&x, &y, quiet()).unwrap();
    assert_eq!(bits(&model), bits(&one_epoch));
}

/// Ten samples; number `broken` holds `value` in x or y.
fn ten(broken: usize, value: f32) -> (Tensor, Tensor, Tensor) {
    let good: Vec<f32> = (0..10).map(|i| i as f32 / 10.0).collect();
    let mut bad = good.clone();
    bad[broken] = value;
    (column(&good), column(&bad), column(&good))
}

#[test]
fn a_number_in_x_or_y_that_is_not_finite_stops_training_at_its_batch() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (good, bad, _) = ten(5, value);
        let mut model = line(Adam::new(0.1));
        let before = bits(&model);
        let options = || quiet().batch_size(2).shuffle(false);
        assert_eq!(
            text(model.fit(&bad, &good, options())),
            "epoch 1, step 3: x holds a number that is not finite; training stopped there, and the model keeps the weights from before this fit: mend or remove the samples"
        );
        assert_eq!(bits(&model), before);
        assert_eq!(
            text(model.fit(&good, &bad, options())),
            "epoch 1, step 3: y holds a number that is not finite; training stopped there, and the model keeps the weights from before this fit: mend or remove the targets"
        );
        assert_eq!(bits(&model), before);
    }
}

#[test]
fn the_step_of_a_number_that_is_not_finite_is_that_of_the_shuffled_order() {
    // Where the model's own generator puts sample 5 in its first epoch.
    let (good, bad, _) = ten(5, f32::NAN);
    let mut model = line(Sgd::new(0.1));
    let order = seed::Stream::new(1, "shuffle", 0).permutation(10);
    let step = order.iter().position(|index| *index == 5).unwrap() / 2 + 1;
    let error = text(model.fit(&bad, &good, quiet().batch_size(2)));
    assert!(
        error.starts_with(&format!("epoch 1, step {step}: x ")),
        "{error}"
    );
}

#[test]
fn a_loss_that_explodes_stops_training_at_its_step() {
    let (x, y) = (column(&[1.0, 2.0, 3.0, 4.0]), column(&[2.0; 4]));
    let mut model = line(Sgd::new(1e30));
    let before = bits(&model);
    assert_eq!(
        text(model.fit(&x, &y, quiet().batch_size(1).epochs(3))),
        "epoch 1, step 2: the loss is not finite; training stopped there, and the model keeps the weights from before this fit: try a smaller learning rate, or scale the inputs"
    );
    assert_eq!(bits(&model), before);
}

#[test]
fn a_last_update_that_explodes_is_seen_in_the_weights() {
    let (x, y) = (column(&[1e10]), column(&[0.0]));
    let mut model = line(Sgd::new(1e30));
    let before = bits(&model);
    assert_eq!(
        text(model.fit(&x, &y, quiet())),
        "epoch 1, step 1: the weight `dense/kernel` is not finite after the update; training stopped there, and the model keeps the weights from before this fit: try a smaller learning rate"
    );
    assert_eq!(bits(&model), before);
}

/// Makes the second epoch explode.
struct Explode;

impl Callback for Explode {
    fn on_epoch_begin(&mut self, epoch: usize, model: &mut Sequential) -> Result<()> {
        match epoch {
            1 => model.set_learning_rate(1e35),
            _ => Ok(()),
        }
    }
}

/// A regression with dropout, so that weights, optimizer state, dropout's steps and the order of
/// the samples all have to be put back.
fn dropping(optimizer: impl Into<Box<dyn candle_keras::optimizers::Optimizer>>) -> Sequential {
    let mut model = Sequential::new()
        .seed(3)
        .add(Input::new(4))
        .add(Dense::new(8).activation(Tanh))
        .add(Dropout::new(0.5))
        .add(Dense::new(1))
        .build(&Device::Cpu)
        .unwrap();
    model
        .compile(optimizer, MeanSquaredError::new(), ())
        .unwrap();
    model
}

#[test]
fn an_explosion_in_a_later_epoch_leaves_the_model_as_the_last_finite_epoch_left_it() {
    let (x, y) = (numbers(&[12, 4], "x"), numbers(&[12, 1], "y"));
    let options = || quiet().batch_size(3);
    for optimizer in [
        || -> Box<dyn candle_keras::optimizers::Optimizer> { Adam::new(0.01).into() },
        || Sgd::new(0.01).momentum(0.9).into(),
    ] {
        let mut untouched = dropping(optimizer());
        untouched.fit(&x, &y, options()).unwrap();

        let mut broken = dropping(optimizer());
        let error = text(broken.fit(&x, &y, options().epochs(3).callback(Explode)));
        let (place, rest) = error.split_once(": ").unwrap();
        assert!(place.starts_with("epoch 2, step "), "{error}");
        assert_eq!(
            rest,
            "the loss is not finite; training stopped there, and the model keeps the weights of epoch 1: try a smaller learning rate, or scale the inputs"
        );
        assert_eq!(bits(&broken), bits(&untouched));

        // The learning rate is the callback's doing and stays.
        broken.set_learning_rate(0.01).unwrap();
        broken.fit(&x, &y, options().epochs(2)).unwrap();
        untouched.fit(&x, &y, options().epochs(2)).unwrap();
        assert_eq!(bits(&broken), bits(&untouched));
    }
}

#[test]
fn an_explosion_carries_the_history_of_the_epochs_before() {
    let (x, y) = (numbers(&[12, 4], "x"), numbers(&[12, 1], "y"));
    let options = || quiet().batch_size(3);
    let expected = dropping(Sgd::new(0.01)).fit(&x, &y, options()).unwrap();
    let mut model = dropping(Sgd::new(0.01));
    let error = model.fit(&x, &y, options().epochs(3).callback(Explode));
    let Err(Error::NotFinite { history, .. }) = error else {
        panic!("expected NotFinite, got {error:?}");
    };
    assert_eq!(history["loss"], expected["loss"]);
    assert_eq!(history.epochs(), [0]);

    let (good, bad, _) = ten(5, f32::NAN);
    let error = line(Sgd::new(0.1)).fit(&bad, &good, quiet());
    let Err(Error::NotFinite { history, .. }) = error else {
        panic!("expected NotFinite, got {error:?}");
    };
    assert!(history.epochs().is_empty());
}

#[test]
fn a_nan_in_a_batch_leaves_the_optimizer_and_dropout_as_if_it_had_not_been_seen() {
    let (x, y) = (numbers(&[12, 4], "x"), numbers(&[12, 1], "y"));
    let mut values: Vec<f32> = flat(&x).iter().map(|x| *x as f32).collect();
    values[10 * 4] = f32::NAN;
    let bad = Tensor::from_vec(values, (12, 4), &Device::Cpu).unwrap();
    let options = || quiet().batch_size(3).shuffle(false);

    let mut untouched = dropping(Adam::new(0.01));
    untouched.fit(&x, &y, options().epochs(2)).unwrap();
    let mut broken = dropping(Adam::new(0.01));
    broken.fit(&x, &y, options().epochs(2)).unwrap();
    assert_eq!(
        text(broken.fit(&bad, &y, options())),
        "epoch 1, step 4: x holds a number that is not finite; training stopped there, and the model keeps the weights from before this fit: mend or remove the samples"
    );
    assert_eq!(bits(&broken), bits(&untouched));
    broken.fit(&x, &y, options()).unwrap();
    untouched.fit(&x, &y, options()).unwrap();
    assert_eq!(bits(&broken), bits(&untouched));
}

#[test]
fn a_regularizer_that_would_reward_what_it_is_to_keep_small_is_refused() {
    use candle_keras::regularizers::{L1, L2, OrthogonalRegularizer};
    let build = |dense: Dense| {
        let model = Sequential::new().add(Input::new(2)).add(dense);
        text(model.build(&Device::Cpu))
    };
    assert_eq!(
        build(Dense::new(1).kernel_regularizer(L2::new(-0.1))),
        "layer `dense` (Dense): regularizer of `dense/kernel`: `l2`: expected a finite number of at least 0, got -0.1: Keras's default is 0.01; 0 adds nothing"
    );
    let of_bias = Dense::new(1).bias_regularizer(OrthogonalRegularizer::new(f64::NAN));
    assert!(build(of_bias).contains("`factor`: expected a finite number of at least 0, got NaN"));
    let of_outputs = Dense::new(1).activity_regularizer(L1::new(-1.0));
    assert!(build(of_outputs).contains("`l1`: expected a finite number of at least 0, got -1"));
}

#[test]
fn a_constraint_that_does_not_fit_its_weight_is_refused_before_the_first_step() {
    use candle_keras::constraints::{MaxNorm, MinMaxNorm, UnitNorm};
    let build = |dense: Dense| {
        let model = Sequential::new().add(Input::new(2)).add(dense);
        text(model.build(&Device::Cpu))
    };
    assert_eq!(
        build(Dense::new(4).bias_constraint(MaxNorm::new(2.0).axis(1))),
        "layer `dense` (Dense): constraint of `dense/bias`: `axis`: expected different axes of a weight of shape (4,), got 1: 0 is its first, -1 its last"
    );
    let of = |constraint: MinMaxNorm| build(Dense::new(4).kernel_constraint(constraint));
    let expected = "`max_value`: expected a finite number of at least 0, got";
    for length in [-1.0, f64::NAN, f64::INFINITY] {
        let error = build(Dense::new(4).kernel_constraint(MaxNorm::new(length)));
        assert!(error.contains(expected), "{error}");
    }
    assert!(
        of(MinMaxNorm::new(2.0, 1.0)).contains("`min_value`: expected at most max_value, 1, got 2")
    );
    assert!(
        of(MinMaxNorm::new(0.0, 1.0).rate(3.0))
            .contains("`rate`: expected a number from 0 to 1, got 3")
    );
    let error = build(Dense::new(4).kernel_constraint(UnitNorm::new().axis([0, 0])));
    assert!(error.contains("of shape (2, 4), got [0, 0]"), "{error}");
}

#[test]
fn shapes_that_nobody_can_count_are_errors() {
    let network = Sequential::new().add(Input::new(3));
    let network = network
        .add(RepeatVector::new(usize::MAX))
        .add(Flatten::new());
    let error = text(network.build(&Device::Cpu));
    let expected = "layer `repeat_vector` (RepeatVector): `output_shape`: expected outputs that fit into memory, got (";
    assert!(error.starts_with(expected), "{error}");
    let network = Sequential::new().add(Input::new((usize::MAX, 2)));
    let error = text(network.add(Flatten::new()).build(&Device::Cpu));
    assert!(
        error.contains("expected samples that fit into memory"),
        "{error}"
    );
}
