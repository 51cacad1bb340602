//! What every loss of the catalogue keeps to: its gradient, its shapes, its messages and its
//! configuration. A loss without a case here fails.

use candle_core::Var;
use candle_keras::{Result, losses, losses::*, metrics::Metric, prelude::*};
use serde_json::{Map, Value, json};

/// A loss of the catalogue, with targets and outputs at which it is smooth.
struct Case {
    class_name: &'static str,
    arguments: Value,
    y_true: Tensor,
    y_pred: Tensor,
    /// The shape of its losses.
    losses: &'static [usize],
}

impl Case {
    fn loss(&self) -> Box<dyn Loss> {
        made(&json!({"class_name": self.class_name, "config": self.arguments})).unwrap()
    }

    fn what(&self) -> String {
        format!("{} {}", self.class_name, self.arguments)
    }
}

fn made(object: &Value) -> std::result::Result<Box<dyn Loss>, serde_json::Error> {
    serde_json::from_value(object.clone())
}

fn tensor(numbers: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
}

/// Numbers between two bounds, the same on every call, none of them equal.
fn spread(shape: &[usize], low: f64, high: f64, seed: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let numbers = (0..count).map(|i| (i as f64 * 0.618_034 + seed).fract());
    let numbers: Vec<f64> = numbers.map(|share| low + share * (high - low)).collect();
    tensor(&numbers, shape)
}

/// Rows whose last axis sums to 1.
fn shares(shape: &[usize], seed: f64) -> Tensor {
    let numbers = spread(shape, 0.1, 1.0, seed);
    let last = shape.len() - 1;
    numbers
        .broadcast_div(&numbers.sum_keepdim(last).unwrap())
        .unwrap()
}

/// 1 for the class `3·i mod classes` of row i.
fn one_hot(shape: &[usize]) -> Tensor {
    let classes = shape[shape.len() - 1];
    let count: usize = shape.iter().product();
    let numbers = (0..count).map(|i| f64::from(u8::from(i % classes == i / classes * 3 % classes)));
    tensor(&numbers.collect::<Vec<_>>(), shape)
}

/// 0 and 1 in turns of two and three.
fn bits(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let numbers = (0..count).map(|i| f64::from(u8::from(i % 5 < 2)));
    tensor(&numbers.collect::<Vec<_>>(), shape)
}

const FLAT: &[usize] = &[4, 3];
const DEEP: &[usize] = &[2, 3, 4];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |class_name, arguments: Value, y_true: Tensor, y_pred: Tensor, losses| {
        cases.push(Case {
            class_name,
            arguments,
            y_true,
            y_pred,
            losses,
        });
    };
    let numbers = |shape: &[usize]| {
        (
            spread(shape, -2.0, 2.0, 0.1),
            spread(shape, -2.0, 2.0, 0.37),
        )
    };
    let counts = |shape: &[usize]| (spread(shape, 0.5, 4.0, 0.1), spread(shape, 0.3, 3.0, 0.37));
    let logits = |shape: &[usize]| spread(shape, -3.0, 3.0, 0.37);
    let inside = |shape: &[usize]| spread(shape, 0.05, 0.95, 0.37);
    let column = || spread(&[4, 1], -2.0, 2.0, 0.1).squeeze(1).unwrap();

    for class_name in [
        "MeanSquaredError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "LogCosh",
    ] {
        let ((y, p), (y3, p3)) = (numbers(FLAT), numbers(DEEP));
        add(class_name, json!({}), y, p, &[4]);
        add(class_name, json!({"reduction": "sum"}), y3, p3, &[2, 3]);
        add(
            class_name,
            json!({}),
            column(),
            spread(&[4, 1], -2.0, 2.0, 0.4),
            &[4],
        );
    }
    for class_name in ["MeanSquaredLogarithmicError", "Poisson"] {
        let ((y, p), (y3, p3)) = (counts(FLAT), counts(DEEP));
        add(class_name, json!({}), y, p, &[4]);
        add(class_name, json!({"reduction": "sum"}), y3, p3, &[2, 3]);
    }
    let ((y, p), (y3, p3)) = (numbers(FLAT), numbers(DEEP));
    add("Huber", json!({"delta": 0.7}), y.clone(), p.clone(), &[4]);
    add("Huber", json!({}), y3.clone(), p3.clone(), &[2, 3]);
    add("CosineSimilarity", json!({}), y.clone(), p.clone(), &[4]);
    add("CosineSimilarity", json!({"axis": 1}), y3, p3, &[2, 4]);
    add("CosineSimilarity", json!({"axis": 0}), y, p, &[3]);

    let smooth = json!({"label_smoothing": 0.2});
    let from_logits = json!({"from_logits": true, "label_smoothing": 0.1});
    let along_1 = json!({"axis": 1, "from_logits": true});
    for class_name in ["BinaryCrossentropy", "BinaryFocalCrossentropy"] {
        add(class_name, json!({}), bits(FLAT), inside(FLAT), &[4]);
        add(
            class_name,
            smooth.clone(),
            bits(DEEP),
            inside(DEEP),
            &[2, 3],
        );
        add(
            class_name,
            from_logits.clone(),
            bits(FLAT),
            logits(FLAT),
            &[4],
        );
        add(
            class_name,
            along_1.clone(),
            bits(DEEP),
            logits(DEEP),
            &[2, 4],
        );
    }
    let balanced = json!({"apply_class_balancing": true, "alpha": 0.3, "gamma": 1.5});
    add(
        "BinaryFocalCrossentropy",
        balanced,
        bits(FLAT),
        inside(FLAT),
        &[4],
    );
    let without_focus = json!({"gamma": 0.0});
    add(
        "BinaryFocalCrossentropy",
        without_focus,
        bits(FLAT),
        inside(FLAT),
        &[4],
    );
    for class_name in ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"] {
        add(
            class_name,
            json!({}),
            one_hot(FLAT),
            shares(FLAT, 0.3),
            &[4],
        );
        add(
            class_name,
            smooth.clone(),
            one_hot(DEEP),
            shares(DEEP, 0.3),
            &[2, 3],
        );
        add(
            class_name,
            from_logits.clone(),
            one_hot(FLAT),
            logits(FLAT),
            &[4],
        );
        add(
            class_name,
            along_1.clone(),
            shares(DEEP, 0.2),
            logits(DEEP),
            &[2, 4],
        );
    }
    let per_class = json!({"alpha": [0.5, 0.3, 0.2], "gamma": 1.5});
    add(
        "CategoricalFocalCrossentropy",
        per_class,
        one_hot(FLAT),
        shares(FLAT, 0.3),
        &[4],
    );

    let labels = tensor(&[1.0, 2.0, 0.0, 1.0], &[4]);
    let some = tensor(&[1.0, -1.0, 0.0, -1.0], &[4, 1]);
    let deep_labels = tensor(&[1.0, 3.0, 0.0, 2.0, 1.0, 1.0], &[2, 3]);
    let across = tensor(&[1.0, 2.0, 0.0, 2.0, 1.0, 1.0, 0.0, 2.0], &[2, 4]);
    let sparse = "SparseCategoricalCrossentropy";
    let ignoring = json!({"ignore_class": -1, "from_logits": true});
    add(sparse, json!({}), labels.clone(), shares(FLAT, 0.3), &[4]);
    add(
        sparse,
        json!({"from_logits": true}),
        deep_labels.clone(),
        logits(DEEP),
        &[2, 3],
    );
    add(sparse, ignoring, some.clone(), logits(FLAT), &[4]);
    add(
        sparse,
        json!({"ignore_class": -1}),
        some,
        shares(FLAT, 0.3),
        &[4],
    );
    add(sparse, along_1, across.clone(), logits(DEEP), &[2, 4]);
    let ignoring_along_1 = json!({"axis": 1, "ignore_class": 2});
    add(
        sparse,
        ignoring_along_1,
        across.unsqueeze(1).unwrap(),
        inside(DEEP),
        &[2, 4],
    );
    let generalized = "CategoricalGeneralizedCrossEntropy";
    add(
        generalized,
        json!({}),
        labels.clone(),
        shares(FLAT, 0.3),
        &[4],
    );
    add(
        generalized,
        json!({"q": 0.7}),
        labels.unsqueeze(1).unwrap(),
        shares(FLAT, 0.3),
        &[4],
    );
    add(
        generalized,
        json!({"q": 0.3}),
        deep_labels,
        shares(DEEP, 0.3),
        &[2, 3],
    );

    for class_name in ["Hinge", "SquaredHinge"] {
        add(class_name, json!({}), bits(FLAT), logits(FLAT), &[4]);
        let signs = bits(DEEP).affine(2.0, -1.0).unwrap();
        add(class_name, json!({}), signs, logits(DEEP), &[2, 3]);
    }
    add(
        "CategoricalHinge",
        json!({}),
        one_hot(FLAT),
        logits(FLAT),
        &[4],
    );
    add(
        "CategoricalHinge",
        json!({}),
        one_hot(DEEP),
        inside(DEEP),
        &[2, 3],
    );
    add(
        "KLDivergence",
        json!({}),
        shares(FLAT, 0.2),
        shares(FLAT, 0.3),
        &[4],
    );
    add(
        "KLDivergence",
        json!({}),
        shares(DEEP, 0.2),
        shares(DEEP, 0.3),
        &[2, 3],
    );

    for class_name in ["Dice", "Tversky"] {
        add(class_name, json!({}), bits(FLAT), inside(FLAT), &[]);
        add(
            class_name,
            json!({"axis": [1, 2]}),
            bits(DEEP),
            inside(DEEP),
            &[2],
        );
        add(
            class_name,
            json!({"axis": 1}),
            bits(DEEP),
            inside(DEEP),
            &[2, 4],
        );
        add(
            class_name,
            json!({"axis": 0}),
            bits(FLAT),
            inside(FLAT),
            &[3],
        );
    }
    let uneven = json!({"alpha": 0.3, "beta": 0.7, "axis": -1});
    add("Tversky", uneven, bits(FLAT), inside(FLAT), &[4]);
    let directions = |count: usize| {
        let angles = spread(&[count, 1], 0.2, 1.4, 0.37);
        Tensor::cat(&[angles.cos().unwrap(), angles.sin().unwrap()], 1).unwrap()
    };
    let identities = || tensor(&[0.0, 0.0, 1.0, 1.0, 2.0, 1.0], &[6]);
    add("Circle", json!({}), identities(), directions(6), &[6]);
    let wide = json!({"gamma": 8.0, "margin": 0.25});
    add(
        "Circle",
        wide,
        identities().unsqueeze(1).unwrap(),
        directions(6),
        &[6],
    );
    cases
}

/// The sum of a loss's values.
fn total(loss: &dyn Loss, y_true: &Tensor, y_pred: &Tensor) -> f64 {
    let losses = loss.call(y_true, y_pred).unwrap();
    losses.sum_all().unwrap().to_scalar().unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradient of the sum by candle.
fn by_candle(loss: &dyn Loss, y_true: &Tensor, y_pred: &Tensor) -> Vec<f64> {
    let variable = Var::from_tensor(y_pred).unwrap();
    let losses = loss.call(y_true, variable.as_tensor()).unwrap();
    let gradients = losses.sum_all().unwrap().backward().unwrap();
    flat(gradients.get(&variable).unwrap())
}

fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = tolerance * (1.0 + expected.abs());
        let near = (got - expected).abs() <= allowed;
        assert!(near, "{what} [{index}]: {got}, expected {expected}");
    }
}

#[test]
fn every_loss_of_the_catalogue_has_a_case() {
    let catalogue = candle_keras::catalogue();
    let (_, names) = catalogue.iter().find(|(kind, _)| *kind == "loss").unwrap();
    let cases = cases();
    for name in names {
        let has_case = cases.iter().any(|case| case.class_name == *name);
        assert!(has_case, "{name} has no case in tests/losses.rs");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-6;
    for case in cases() {
        let (loss, what) = (case.loss(), case.what());
        let numbers = flat(&case.y_pred);
        let at = |index: usize, step: f64| {
            let mut moved = numbers.clone();
            moved[index] += step;
            total(&*loss, &case.y_true, &tensor(&moved, case.y_pred.dims()))
        };
        let slope = |index| (at(index, STEP) - at(index, -STEP)) / (2.0 * STEP);
        let slopes: Vec<f64> = (0..numbers.len()).map(slope).collect();
        // 2e-16·100 of a loss over the step, which MeanAbsolutePercentageError's reach.
        let gradient = by_candle(&*loss, &case.y_true, &case.y_pred);
        assert_near(&format!("{what}, candle's"), &gradient, &slopes, 1e-6);
        let own = loss
            .losses_and_gradient(&case.y_true, &case.y_pred)
            .unwrap();
        if let Some((losses, gradient)) = own {
            let expected = flat(&loss.call(&case.y_true, &case.y_pred).unwrap());
            assert_near(&format!("{what}, losses"), &flat(&losses), &expected, 1e-12);
            assert_near(&format!("{what}, its own"), &flat(&gradient), &slopes, 1e-6);
        }
    }
}

#[test]
fn single_numbers_give_what_double_ones_give() {
    for case in cases() {
        let (loss, what) = (case.loss(), case.what());
        let [y_true, y_pred] =
            [&case.y_true, &case.y_pred].map(|numbers| numbers.to_dtype(DType::F32).unwrap());
        let losses = flat(&loss.call(&case.y_true, &case.y_pred).unwrap());
        let gradient = by_candle(&*loss, &case.y_true, &case.y_pred);
        // Circle's gamma multiplies the rounding of its outputs by 80.
        let tolerance = if case.class_name == "Circle" {
            1e-4
        } else {
            5e-6
        };
        assert_near(
            &what,
            &flat(&loss.call(&y_true, &y_pred).unwrap()),
            &losses,
            tolerance,
        );
        assert_near(
            &what,
            &by_candle(&*loss, &y_true, &y_pred),
            &gradient,
            tolerance,
        );
        if let Some((own, own_gradient)) = loss.losses_and_gradient(&y_true, &y_pred).unwrap() {
            assert_near(&what, &flat(&own), &losses, tolerance);
            assert_near(&what, &flat(&own_gradient), &gradient, tolerance);
        }
    }
}

#[test]
fn losses_have_the_shape_that_they_say() {
    for case in cases() {
        let loss = case.loss();
        let losses = loss.call(&case.y_true, &case.y_pred).unwrap();
        assert_eq!(losses.dims(), case.losses, "{}", case.what());
        assert_eq!(
            loss.of_whole_batch(),
            case.losses.is_empty(),
            "{}",
            case.what()
        );
        if let Some(mask) = loss.mask(&case.y_true).unwrap() {
            assert_eq!(mask.elem_count(), losses.elem_count(), "{}", case.what());
        }
    }
}

#[test]
fn configurations_come_back_as_they_went() {
    for case in cases() {
        let written = serde_json::to_value(&*case.loss()).unwrap();
        assert_eq!(written["class_name"], case.class_name);
        assert_eq!(written["module"], "keras.losses");
        for (name, value) in case.arguments.as_object().unwrap() {
            assert_eq!(&written["config"][name], value, "{}", case.what());
        }
        let again = serde_json::to_value(&*made(&written).unwrap()).unwrap();
        assert_eq!(again, written, "{}", case.what());
    }
}

#[test]
fn other_arguments_of_keras_are_taken_and_unknown_ones_named() {
    for case in cases() {
        let mut config = Map::new();
        config.insert("name".to_string(), json!("my_loss"));
        config.insert("dtype".to_string(), json!("float32"));
        made(&json!({"class_name": case.class_name, "config": config})).unwrap();
        config.insert("nonsense".to_string(), json!(1));
        let error = made(&json!({"class_name": case.class_name, "config": config})).unwrap_err();
        assert!(error.to_string().contains("`nonsense`"), "{error}");
        assert!(error.to_string().contains(case.class_name), "{error}");
    }
}

#[test]
fn names_are_those_of_keras_and_a_few_of_our_own() {
    // `keras.losses.get` does not know these: names of instances or of older versions.
    let extras = [
        (
            "CategoricalGeneralizedCrossEntropy",
            "CategoricalGeneralizedCrossEntropy",
        ),
        (
            "CategoricalGeneralizedCrossEntropy",
            "categorical_generalized_cross_entropy",
        ),
        ("Huber", "huber_loss"),
        ("LogCosh", "logcosh"),
    ];
    for (class_name, alias) in extras {
        let loss = made(&json!(alias)).unwrap();
        assert_eq!(loss.config().unwrap().class_name, class_name);
    }
    // The class, its name in Keras, and what else `keras.losses.get` takes.
    let names = [
        (
            "BinaryCrossentropy",
            "binary_crossentropy",
            &["bce", "BCE"][..],
        ),
        ("BinaryFocalCrossentropy", "binary_focal_crossentropy", &[]),
        ("CategoricalCrossentropy", "categorical_crossentropy", &[]),
        (
            "CategoricalFocalCrossentropy",
            "categorical_focal_crossentropy",
            &[],
        ),
        (
            "CategoricalGeneralizedCrossEntropy",
            "categorical_generalized_cross_entropy",
            &[],
        ),
        ("CategoricalHinge", "categorical_hinge", &[]),
        ("Circle", "circle", &[]),
        ("CosineSimilarity", "cosine_similarity", &[]),
        ("Dice", "dice", &[]),
        ("Hinge", "hinge", &[]),
        ("Huber", "huber_loss", &["huber"]),
        ("KLDivergence", "kl_divergence", &["kld", "KLD"]),
        ("LogCosh", "log_cosh", &[]),
        ("MeanAbsoluteError", "mean_absolute_error", &["mae", "MAE"]),
        (
            "MeanAbsolutePercentageError",
            "mean_absolute_percentage_error",
            &["mape", "MAPE"],
        ),
        ("MeanSquaredError", "mean_squared_error", &["mse", "MSE"]),
        (
            "MeanSquaredLogarithmicError",
            "mean_squared_logarithmic_error",
            &["msle", "MSLE"],
        ),
        ("Poisson", "poisson", &[]),
        (
            "SparseCategoricalCrossentropy",
            "sparse_categorical_crossentropy",
            &[],
        ),
        ("SquaredHinge", "squared_hinge", &[]),
        ("Tversky", "tversky", &[]),
    ];
    let catalogue = candle_keras::catalogue();
    let (_, classes) = catalogue.iter().find(|(kind, _)| *kind == "loss").unwrap();
    assert_eq!(classes, &names.map(|(class_name, ..)| class_name));
    for (class_name, name, others) in names {
        for alias in [&[class_name, name][..], others].concat() {
            let loss = made(&json!(alias)).unwrap();
            assert_eq!(loss.name(), name);
            assert_eq!(loss.config().unwrap().class_name, class_name);
        }
    }
}

/// A model whose outputs have this shape, from inputs of one number.
fn model(loss: impl Into<Box<dyn Loss>>, output_shape: &[usize]) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new(1))
        .add(Shaped(output_shape.to_vec()))
        .build(&Device::Cpu)
        .unwrap();
    model.compile(Sgd::new(0.1), loss, ()).unwrap();
    model
}

fn evaluated(loss: impl Into<Box<dyn Loss>>, y: &Tensor, output_shape: &[usize]) -> String {
    let x = Tensor::ones((y.dims()[0], 1), DType::F32, &Device::Cpu).unwrap();
    match model(loss, output_shape).evaluate(&x, y) {
        Ok(_) => "fine".to_string(),
        Err(error) => error.to_string(),
    }
}

/// Halves of the input, in some shape.
#[derive(Debug)]
struct Shaped(Vec<usize>);

impl candle_keras::layers::Layer for Shaped {
    fn class_name(&self) -> &str {
        "Shaped"
    }
    fn output_shape(&self, _: &[usize]) -> Result<Vec<usize>> {
        Ok(self.0.clone())
    }
    fn forward(&self, x: &Tensor, _: &mut candle_keras::layers::Pass<'_>) -> Result<Tensor> {
        let mut shape = vec![x.dims()[0]];
        shape.extend(&self.0);
        let mut columns = vec![x.dims()[0]];
        columns.resize(shape.len(), 1);
        Ok((x.reshape(columns)? * 0.5)?
            .broadcast_as(shape)?
            .contiguous()?)
    }
}

#[test]
fn targets_of_a_wrong_shape_are_an_error_that_names_the_loss() {
    for case in cases() {
        let output_shape = &case.y_pred.dims()[1..];
        assert_eq!(
            evaluated(case.loss(), &case.y_true, output_shape),
            "fine",
            "{}",
            case.what()
        );
        let y = Tensor::zeros((case.y_pred.dims()[0], 7, 2), DType::F32, &Device::Cpu).unwrap();
        let error = evaluated(case.loss(), &y, output_shape);
        let start = format!("loss `{}`: `y`: expected shape (n", case.loss().name());
        assert!(error.starts_with(&start), "{}: {error}", case.what());
        // What does not go through `check` fails as well.
        assert!(
            case.loss().call(&y, &case.y_pred).is_err(),
            "{}",
            case.what()
        );
    }
}

#[test]
fn arguments_out_of_range_are_named() {
    let y = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    let error = |loss: Box<dyn Loss>| evaluated(loss, &y, &[3]);
    let labels = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
    let of_labels = |loss: Box<dyn Loss>| evaluated(loss, &labels, &[3]);
    let smoothing = "`label_smoothing`: expected a number from 0 to 1, got 1.5: 0 leaves the targets as they are";
    for loss in [
        BinaryCrossentropy::new().label_smoothing(1.5).into(),
        BinaryFocalCrossentropy::new().label_smoothing(1.5).into(),
        CategoricalCrossentropy::new().label_smoothing(1.5).into(),
        CategoricalFocalCrossentropy::new()
            .label_smoothing(1.5)
            .into(),
    ] {
        let loss: Box<dyn Loss> = loss;
        let name = loss.name().to_string();
        assert_eq!(error(loss), format!("loss `{name}`: {smoothing}"));
    }
    let out_of_range: [(Box<dyn Loss>, &str); 12] = [
        (
            Huber::new().delta(0.0).into(),
            "`delta`: expected a number above 0, got 0: Keras's default is 1",
        ),
        (
            BinaryFocalCrossentropy::new().alpha(2.0).into(),
            "`alpha`: expected a number from 0 to 1, got 2: Keras's default is 0.25",
        ),
        (
            BinaryFocalCrossentropy::new().gamma(-1.0).into(),
            "`gamma`: expected a number of at least 0, got -1: Keras's default is 2",
        ),
        (
            CategoricalFocalCrossentropy::new().gamma(f64::NAN).into(),
            "`gamma`: expected a number of at least 0, got NaN: Keras's default is 2",
        ),
        (
            CategoricalFocalCrossentropy::new().alpha([0.5, 0.5]).into(),
            "`alpha`: expected one factor, or one for each of 3 classes, got 2 factors: give them in the order of the classes",
        ),
        (
            CategoricalFocalCrossentropy::new()
                .alpha(vec![0.5, 0.5, -1.0])
                .into(),
            "`alpha`: expected a number of at least 0, got -1: Keras's default is 0.25",
        ),
        (
            Tversky::new().alpha(-1.0).into(),
            "`alpha`: expected a number of at least 0, got -1: Keras's default is 0.5",
        ),
        (
            Tversky::new().beta(f64::INFINITY).into(),
            "`beta`: expected a number of at least 0, got inf: Keras's default is 0.5",
        ),
        (
            Dice::new().axis(5).into(),
            "`axis`: expected an axis of 2: -2 to 1, got 5: -1 is the last one; the batch's is 0",
        ),
        (
            CosineSimilarity::new().axis(2).into(),
            "`axis`: expected an axis of 2: -2 to 1, got 2: -1 is the last one; the batch's is 0",
        ),
        (
            CategoricalCrossentropy::new().axis(0).into(),
            "`axis`: expected the axis of the classes, got 0: -1 is the last one; 0 is the batch's",
        ),
        (
            BinaryCrossentropy::new().axis(-3).into(),
            "`axis`: expected an axis of 2: -2 to 1, got -3: -1 is the last one; the batch's is 0",
        ),
    ];
    for (loss, expected) in out_of_range {
        let name = loss.name().to_string();
        assert_eq!(error(loss), format!("loss `{name}`: {expected}"));
    }
    for q in [0.0, 1.0, f64::NAN] {
        assert_eq!(
            of_labels(CategoricalGeneralizedCrossEntropy::new().q(q).into()),
            format!(
                "loss `categorical_generalized_cross_entropy`: `q`: expected a number between 0 and 1, got {q}: Keras's default is 0.5"
            )
        );
    }
    assert_eq!(
        of_labels(Circle::new().gamma(0.0).into()),
        "loss `circle`: `gamma`: expected a number above 0, got 0: Keras's default is 80"
    );
    assert_eq!(
        of_labels(Circle::new().margin(1.5).into()),
        "loss `circle`: `margin`: expected a number from 0 to 1, got 1.5: Keras's default is 0.4"
    );
}

#[test]
fn labels_are_whole_numbers_of_classes_or_the_ignored_one() {
    let error = |loss: SparseCategoricalCrossentropy, labels: [f32; 2]| {
        evaluated(loss, &Tensor::new(&labels, &Device::Cpu).unwrap(), &[3])
    };
    let sparse = SparseCategoricalCrossentropy::new;
    let wrong = |label: &str| {
        format!(
            "loss `sparse_categorical_crossentropy`: y: sample 1 has label {label}, expected a whole number from 0 to 2: the model's output has 3 columns, so give its last layer a unit for each class, or mend the labels, which count from 0"
        )
    };
    assert_eq!(error(sparse(), [2.0, -1.0]), wrong("-1"));
    assert_eq!(error(sparse().ignore_class(-1), [2.0, -1.0]), "fine");
    assert_eq!(error(sparse().ignore_class(255), [2.0, 255.0]), "fine");
    assert_eq!(
        error(sparse().ignore_class(255), [2.0, 254.0]),
        wrong("254")
    );
    assert_eq!(error(sparse().ignore_class(-1), [2.0, 0.5]), wrong("0.5"));
    let y = Tensor::new(&[0f32, 0.5], &Device::Cpu).unwrap();
    assert_eq!(
        evaluated(Circle::new(), &y, &[3]),
        "loss `circle`: `y[1]`: expected a whole number below 16777216, got 0.5: number the labels, so that equal ones stand for samples that belong together"
    );
    let images = evaluated(Circle::new(), &y, &[3, 3]);
    assert_eq!(
        images,
        "loss `circle`: `outputs`: expected shape (n, outputs), got (n, 3, 3): end the model with Flatten or Dense, whose outputs are a vector a sample"
    );
}

#[test]
fn outputs_of_ignored_labels_have_no_part_in_loss_and_gradient() {
    let y_true = Tensor::new(&[1f32, -1.0], &Device::Cpu).unwrap();
    let y_pred = [[0.5f32, 2.0], [f32::INFINITY, f32::NAN]];
    let loss = SparseCategoricalCrossentropy::new()
        .from_logits()
        .ignore_class(-1);
    for dtype in [DType::F32, DType::F64] {
        let y_pred = Tensor::new(&y_pred, &Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        let y_true = y_true.to_dtype(dtype).unwrap();
        let (losses, gradient) = loss.losses_and_gradient(&y_true, &y_pred).unwrap().unwrap();
        assert!(flat(&losses)[0] > 0.0 && flat(&losses)[1] == 0.0);
        assert_eq!(flat(&gradient)[2..], [0.0, 0.0]);
        assert_eq!(by_candle(&loss, &y_true, &y_pred)[2..], [0.0, 0.0]);
        let mask = loss.mask(&y_true).unwrap().unwrap();
        assert_eq!(flat(&mask), [1.0, 0.0]);
    }
}

#[test]
fn weights_of_samples_reach_the_gradient_along_any_axis() {
    let weights = Tensor::new(&[2f32, 0.5], &Device::Cpu).unwrap();
    for axis in [1, 2] {
        let loss = || BinaryCrossentropy::new().from_logits().axis(axis);
        let of_losses = Tensor::new(&[[2f32; 3], [0.5; 3]], &Device::Cpu).unwrap();
        let results = [weights.clone(), of_losses].map(|weights| {
            let mut model = Sequential::new()
                .add(Input::new((3, 3)))
                .add(Dense::new(3))
                .seed(1)
                .build(&Device::Cpu)
                .unwrap();
            model.compile(Sgd::new(1.0), loss(), ()).unwrap();
            let x = spread(&[2, 3, 3], -1.0, 1.0, 0.2)
                .to_dtype(DType::F32)
                .unwrap();
            let options = candle_keras::OnBatch::new().sample_weight(weights);
            model
                .train_on_batch_with(&x, bits(&[2, 3, 3]), options)
                .unwrap();
            flat(model.weights().next().unwrap().value())
        });
        assert_eq!(results[0], results[1]);
    }
}

#[test]
fn logits_of_ten_thousand_give_finite_losses_and_gradients() {
    let extreme = Tensor::new(&[[1e4f32, -1e4, 0.0], [-1e4, 1e4, 1e4]], &Device::Cpu).unwrap();
    let one_hot = Tensor::new(&[[0f32, 1.0, 0.0], [1.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[1f32, 0.0], &Device::Cpu).unwrap();
    let losses: [(Box<dyn Loss>, &Tensor); 8] = [
        (BinaryCrossentropy::new().from_logits().into(), &one_hot),
        (
            BinaryFocalCrossentropy::new().from_logits().into(),
            &one_hot,
        ),
        (
            CategoricalCrossentropy::new().from_logits().into(),
            &one_hot,
        ),
        (
            CategoricalFocalCrossentropy::new().from_logits().into(),
            &one_hot,
        ),
        (
            SparseCategoricalCrossentropy::new().from_logits().into(),
            &labels,
        ),
        (LogCosh::new().into(), &one_hot),
        (Huber::new().into(), &one_hot),
        (CosineSimilarity::new().into(), &one_hot),
    ];
    for (loss, y_true) in losses {
        let values = flat(&loss.call(y_true, &extreme).unwrap());
        let gradient = by_candle(&*loss, y_true, &extreme);
        let all = values.iter().chain(&gradient);
        assert!(
            all.clone().all(|number| number.is_finite()),
            "{loss:?}: {values:?} {gradient:?}"
        );
    }
    let far = Tensor::new(&[[1e4f32], [-1e4]], &Device::Cpu).unwrap();
    let near = Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap();
    let values = flat(&LogCosh::new().call(&near, &far).unwrap());
    assert_near(
        "log_cosh",
        &values,
        &[1e4 - std::f64::consts::LN_2; 2],
        1e-6,
    );
    assert_eq!(by_candle(&LogCosh::new(), &near, &far), [1.0, -1.0]);
}

#[test]
fn gradients_at_kinks_are_those_of_tensorflow() {
    let one = |number: f64| tensor(&[number], &[1, 1]);
    let slope =
        |loss: &dyn Loss, y_true: f64, y_pred: f64| by_candle(loss, &one(y_true), &one(y_pred))[0];
    assert_eq!(slope(&MeanAbsoluteError::new(), 1.0, 1.0), 0.0);
    assert_eq!(slope(&MeanAbsolutePercentageError::new(), 1.0, 1.0), 0.0);
    assert_eq!(slope(&Huber::new(), 0.0, 1.0), 1.0);
    assert_eq!(slope(&LogCosh::new(), 1.0, 1.0), 0.0);
    assert_eq!(slope(&Hinge::new(), -1.0, -1.0), 1.0);
    let loss = MeanAbsoluteError::new();
    let (_, own) = loss
        .losses_and_gradient(&one(1.0), &one(1.0))
        .unwrap()
        .unwrap();
    assert_eq!(flat(&own), [0.0]);
    // Two leaders share the gradient.
    let y_true = tensor(&[1.0, 0.0, 0.0], &[1, 3]);
    let y_pred = tensor(&[0.5, 0.25, 0.25], &[1, 3]);
    assert_eq!(
        by_candle(&CategoricalHinge::new(), &y_true, &y_pred),
        [-1.0, 0.5, 0.5]
    );
}

#[test]
fn vectors_of_zeros_have_no_direction_and_finite_gradients() {
    let zeros = tensor(&[0.0, 0.0], &[1, 2]);
    let y_true = tensor(&[3.0, 4.0], &[1, 2]);
    let loss = CosineSimilarity::new();
    assert_eq!(flat(&loss.call(&y_true, &zeros).unwrap()), [0.0]);
    assert_eq!(flat(&loss.call(&zeros, &y_true).unwrap()), [0.0]);
    assert_eq!(by_candle(&loss, &zeros, &y_true), [0.0, 0.0]);
    assert!(
        by_candle(&loss, &y_true, &zeros)
            .iter()
            .all(|number| number.is_finite())
    );
}

#[test]
fn samples_without_a_partner_do_not_count_in_a_circle() {
    let y_pred = tensor(&[1.0, 0.0, 0.8, 0.6, 0.0, 1.0], &[3, 2]);
    let loss = Circle::new();
    let alone = tensor(&[0.0, 0.0, 1.0], &[3]);
    assert_eq!(flat(&loss.mask(&alone).unwrap().unwrap()), [1.0, 1.0, 0.0]);
    let all_one = tensor(&[5.0, 5.0, 5.0], &[3]);
    assert_eq!(
        flat(&loss.mask(&all_one).unwrap().unwrap()),
        [0.0, 0.0, 0.0]
    );
    assert_eq!(
        flat(&loss.call(&all_one, &y_pred).unwrap()),
        [0.0, 0.0, 0.0]
    );
    for labels in [alone, all_one] {
        let gradient = by_candle(&loss, &labels, &y_pred);
        assert!(
            gradient.iter().all(|number| number.is_finite()),
            "{gradient:?}"
        );
    }
}

#[test]
fn only_cross_entropies_of_probabilities_take_the_logits_of_an_activation() {
    for case in cases() {
        let loss = case.loss();
        let given_logits = case.arguments.get("from_logits").is_some();
        let along_last = case.arguments.get("axis").is_none();
        let ignores = case.arguments.get("ignore_class").is_some();
        let of_softmax = matches!(
            case.class_name,
            "CategoricalCrossentropy" | "SparseCategoricalCrossentropy"
        );
        let of_sigmoid = matches!(
            case.class_name,
            "BinaryCrossentropy" | "BinaryFocalCrossentropy"
        );
        assert_eq!(
            loss.fused_with(Softmax).is_some(),
            of_softmax && !given_logits && along_last && !ignores,
            "{}",
            case.what()
        );
        assert_eq!(
            loss.fused_with(Sigmoid).is_some(),
            of_sigmoid && !given_logits,
            "{}",
            case.what()
        );
        assert!(loss.fused_with(Linear).is_none(), "{}", case.what());
    }
}

#[test]
fn a_loss_from_a_closure_trains_and_is_named_in_errors() {
    let absolute = losses::from_fn("absolute", |y_true, y_pred| {
        Ok((y_pred - y_true)?.abs()?.mean(1)?)
    });
    assert!(absolute.config().is_none());
    assert_eq!(
        format!("{absolute:?}"),
        "FromFn { name: \"absolute\", reduction: SumOverBatchSize, .. }"
    );
    let y = Tensor::new(&[[1f32, 1.0], [3.0, 3.0]], &Device::Cpu).unwrap();
    let x = Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap();
    let scores = model(absolute.clone(), &[2]).evaluate(&x, &y).unwrap();
    assert_eq!(scores["loss"], 1.5);
    let scores = model(absolute.clone().reduction(Reduction::Sum), &[2])
        .evaluate(&x, &y)
        .unwrap();
    assert_eq!(scores["loss"], 3.0);
    let error = evaluated(
        absolute,
        &Tensor::ones((2, 5), DType::F32, &Device::Cpu).unwrap(),
        &[2],
    );
    assert!(
        error.starts_with("loss `absolute`: shape mismatch"),
        "{error}"
    );
    let of_batch = losses::from_fn("of_batch", |y_true, y_pred| {
        Ok((y_pred - y_true)?.mean_all()?)
    });
    assert_eq!(
        evaluated(of_batch, &y, &[2]),
        "loss `of_batch`: `call`: expected a loss for each of 2 samples, got shape (): leave the mean over samples to the training: take it over the last axis only"
    );
}

#[test]
fn a_categorical_cross_entropy_of_one_class_would_learn_nothing_and_is_an_error() {
    let column = Tensor::new(&[[1f32], [0.0]], &Device::Cpu).unwrap();
    let labels = column.squeeze(1).unwrap();
    let losses: [(Box<dyn Loss>, &Tensor); 5] = [
        (CategoricalCrossentropy::new().into(), &column),
        (CategoricalCrossentropy::new().into(), &labels),
        (CategoricalCrossentropy::new().from_logits().into(), &column),
        (CategoricalFocalCrossentropy::new().into(), &column),
        (SparseCategoricalCrossentropy::new().into(), &column),
    ];
    for (loss, y) in losses {
        let name = loss.name().to_string();
        // Labels of 0 alone; a 1 is no class there.
        let y = match &name[..] {
            "sparse_categorical_crossentropy" => y.zeros_like().unwrap(),
            _ => y.clone(),
        };
        assert_eq!(
            evaluated(loss, &y, &[1]),
            format!(
                "loss `{name}`: `outputs`: expected two classes or more, got one, in outputs of shape (None, 1): use BinaryCrossentropy, after a sigmoid, for yes and no in one column"
            )
        );
    }
    assert_eq!(evaluated(BinaryCrossentropy::new(), &column, &[1]), "fine");
}

/// Keras's `Masking`: inputs (n, steps, 1) as they are, of which steps of 0 are masked.
#[derive(Debug)]
struct Masking;

impl candle_keras::layers::Layer for Masking {
    fn class_name(&self) -> &str {
        "Masking"
    }
    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }
    fn forward(&self, x: &Tensor, _: &mut candle_keras::layers::Pass<'_>) -> Result<Tensor> {
        Ok(x.clone())
    }
    fn mask(&self, inputs: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(inputs.ne(0.0)?.squeeze(2)?.to_dtype(DType::F32)?))
    }
}

/// A model whose outputs are its inputs (n, 3, 1), of which steps of 0 are masked.
fn masked_steps(loss: impl Into<Box<dyn Loss>>, metrics: Vec<Box<dyn Metric>>) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new((3, 1)))
        .add(Masking)
        .build(&Device::Cpu)
        .unwrap();
    model.compile(Sgd::new(0.1), loss, metrics).unwrap();
    model
}

#[test]
fn a_mask_that_does_not_fit_is_named() {
    let x = Tensor::new(
        &[[[1f32], [0.5], [0.0]], [[1.0], [0.0], [0.0]]],
        &Device::Cpu,
    )
    .unwrap();
    let y = x.squeeze(2).unwrap();
    let error = |model: Sequential, y: &Tensor| model.evaluate(&x, y).unwrap_err().to_string();
    assert_eq!(
        error(masked_steps(MeanSquaredError::new(), vec![]), &y),
        "loss `mean_squared_error`: `mask`: expected a mask for losses of shape (2,), got (2, 3): a masked step needs a loss of its own: give targets the outputs' axes, (n, steps, 1) for outputs of that shape, and reduce over the last axis alone"
    );
    assert!(
        masked_steps(MeanSquaredError::new(), vec![])
            .evaluate(&x, &x)
            .is_ok()
    );
    let metric = candle_keras::metrics::CosineSimilarity::new().axis([1, 2]);
    let model = masked_steps(MeanSquaredError::new(), vec![Box::new(metric)]);
    assert_eq!(
        error(model, &x),
        "metric `cosine_similarity`: `mask`: expected weights for losses of shape (2,), got (2, 3): a masked step needs a value of its own: give targets the outputs' axes, and take a metric's values over the last axis alone"
    );
}

/// Keras 3.15.1 on TensorFlow: a model of Masking, compiled with `Dice(reduction=..)`, evaluated on
/// the same numbers.
#[test]
fn a_mask_is_the_weight_of_a_loss_of_the_whole_batch() {
    let x = [
        [[0.9f32], [0.2], [0.0]],
        [[0.4], [0.0], [0.0]],
        [[0.7], [0.8], [0.6]],
    ];
    let y = [
        [[1f32], [0.0], [1.0]],
        [[0.0], [1.0], [0.0]],
        [[1.0], [1.0], [1.0]],
    ];
    let weights = [[1f32, 2.0, 0.5], [1.0, 3.0, 1.0], [0.5, 1.0, 1.0]];
    let [x, y] = [x, y].map(|numbers| Tensor::new(&numbers, &Device::Cpu).unwrap());
    let weights = Tensor::new(&weights, &Device::Cpu).unwrap();
    let dice = Dice::new()
        .call(&y, &x)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let dice = f64::from(dice);
    for (reduction, of_mask, of_weights) in [
        (Reduction::Sum, 6.0, 6.5),
        (Reduction::Mean, 1.0, 6.5 / 6.0),
        (Reduction::SumOverBatchSize, 1.0, 6.5 / 6.0),
        (Reduction::MeanWithSampleWeight, 1.0, 1.0),
    ] {
        let model = masked_steps(Dice::new().reduction(reduction), vec![]);
        let scores = model.evaluate(&x, &y).unwrap();
        assert_near("mask", &[scores["loss"]], &[of_mask * dice], 1e-6);
        let options = Evaluate::new().sample_weight(&weights);
        let scores = model.evaluate_with(&x, &y, options).unwrap();
        assert_near("weights", &[scores["loss"]], &[of_weights * dice], 1e-6);
    }
}
