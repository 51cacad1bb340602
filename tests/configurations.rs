//! Schedules, initializers, regularizers and constraints as configurations: what Keras writes makes
//! them, and they write it again.

use candle_keras::{
    Error,
    activations::{ActivationFunction, Celu, Elu, Gelu, LeakyRelu, ReluWith},
    catalogue,
    constraints::{Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm},
    initializers::{
        Constant, Distribution, Fan, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity,
        Initializer, LecunNormal, LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform,
        TruncatedNormal, VarianceScaling, Zeros,
    },
    optimizers::schedules::{
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay,
        PiecewiseConstantDecay, PolynomialDecay, Schedule,
    },
    prelude::*,
    regularizers::{L1, L1L2, L2, Mode, OrthogonalRegularizer, Regularizer},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Every class of a kind, in order, with arguments that are not its defaults, comes out as it went
/// in.
fn check_round_trips<P>(kind: &str, parts: &[Box<P>])
where
    P: ?Sized + Serialize + std::fmt::Debug,
    Box<P>: DeserializeOwned,
{
    let mut classes = Vec::new();
    for part in parts {
        let object = serde_json::to_value(&**part).unwrap();
        let again = Box::<P>::deserialize(&object).unwrap();
        assert_eq!(serde_json::to_value(&*again).unwrap(), object);
        assert_eq!(format!("{again:?}"), format!("{part:?}"));
        classes.push(object["class_name"].as_str().unwrap().to_string());
    }
    let catalogue = catalogue();
    let (_, all) = catalogue.iter().find(|(each, _)| *each == kind).unwrap();
    assert_eq!(classes, *all, "a case for every {kind}");
}

#[test]
fn a_schedule_made_of_a_configuration_has_the_same_configuration() {
    let cosine = CosineDecay::new(0.1, 10).alpha(0.1);
    let restarts = CosineDecayRestarts::new(0.1, 10).t_mul(1.5);
    let polynomial = PolynomialDecay::new(0.1, 10).end_learning_rate(0.01);
    let schedules: [Box<dyn Schedule>; 6] = [
        Box::new(cosine.warmup_target(0.2).warmup_steps(5)),
        Box::new(restarts.m_mul(0.5).alpha(0.1)),
        Box::new(ExponentialDecay::new(0.1, 10, 0.5).staircase(true)),
        Box::new(InverseTimeDecay::new(0.1, 10, 0.5).staircase(true)),
        Box::new(PiecewiseConstantDecay::new([10, 20], [0.1, 0.05, 0.01])),
        Box::new(polynomial.power(2.0).cycle(true)),
    ];
    check_round_trips("schedule", &schedules);
}

#[test]
fn an_initializer_made_of_a_configuration_has_the_same_configuration() {
    let scaling = VarianceScaling::new(1.5).mode(Fan::Average);
    let initializers: [Box<dyn Initializer>; 15] = [
        Box::new(Constant(0.25)),
        Box::new(GlorotNormal),
        Box::new(GlorotUniform),
        Box::new(HeNormal),
        Box::new(HeUniform),
        Box::new(Identity::new(0.5)),
        Box::new(LecunNormal),
        Box::new(LecunUniform),
        Box::new(Ones),
        Box::new(Orthogonal::new(2.0)),
        Box::new(RandomNormal::new(1.0, 0.5)),
        Box::new(RandomUniform::new(-1.0, 3.0)),
        Box::new(TruncatedNormal::new(1.0, 0.5)),
        Box::new(scaling.distribution(Distribution::UntruncatedNormal)),
        Box::new(Zeros),
    ];
    check_round_trips("initializer", &initializers);
}

#[test]
fn a_regularizer_made_of_a_configuration_has_the_same_configuration() {
    let regularizers: [Box<dyn Regularizer>; 4] = [
        L1::new(0.3).into(),
        L2::new(0.3).into(),
        L1L2::new(0.1, 0.2).into(),
        OrthogonalRegularizer::new(0.3).mode(Mode::Columns).into(),
    ];
    check_round_trips("regularizer", &regularizers);
}

#[test]
fn a_constraint_made_of_a_configuration_has_the_same_configuration() {
    let constraints: [Box<dyn Constraint>; 4] = [
        MaxNorm::new(3.0).axis(1).into(),
        MinMaxNorm::new(0.5, 2.0).rate(0.25).axis([0, 1]).into(),
        NonNeg.into(),
        UnitNorm::new().axis(-1).into(),
    ];
    check_round_trips("constraint", &constraints);
}

#[test]
fn initializers_have_the_names_that_keras_knows_them_by() {
    for (alias, class_name) in [
        ("glorot_uniform", "GlorotUniform"),
        ("glorot_normal", "GlorotNormal"),
        ("he_uniform", "HeUniform"),
        ("he_normal", "HeNormal"),
        ("lecun_uniform", "LecunUniform"),
        ("lecun_normal", "LecunNormal"),
        ("normal", "RandomNormal"),
        ("random_normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("random_uniform", "RandomUniform"),
        ("truncated_normal", "TruncatedNormal"),
        ("variance_scaling", "VarianceScaling"),
        ("orthogonal", "Orthogonal"),
        ("OrthogonalInitializer", "Orthogonal"),
        ("identity", "Identity"),
        ("IdentityInitializer", "Identity"),
        ("constant", "Constant"),
        ("one", "Ones"),
        ("ones", "Ones"),
        ("zero", "Zeros"),
        ("zeros", "Zeros"),
    ] {
        let initializer = Box::<dyn Initializer>::deserialize(json!(alias)).unwrap();
        assert_eq!(initializer.config().unwrap().class_name, class_name);
    }
}

/// An initializer of a class with these arguments.
fn initializer(class_name: &str, config: Value) -> Result<Box<dyn Initializer>, serde_json::Error> {
    Box::deserialize(json!({"class_name": class_name, "config": config}))
}

#[test]
fn the_seed_and_the_axes_that_keras_leaves_open_are_passed_over() {
    let config = json!({"seed": 1, "input_axes": null, "output_axes": null});
    let made = initializer("GlorotUniform", config).unwrap();
    assert_eq!(format!("{made:?}"), "GlorotUniform");
    let error = initializer("HeNormal", json!({"input_axes": [0]})).unwrap_err();
    let expected = "initializer `HeNormal`: `input_axes`: expected null, got [0]: leave it out: it is not supported";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_names_that_keras_has_for_modes_and_distributions_make_them() {
    let config = json!({"mode": "fan_out", "distribution": "normal"});
    let made = initializer("VarianceScaling", config)
        .unwrap()
        .config()
        .unwrap();
    assert_eq!(made.arguments["mode"], "fan_out");
    assert_eq!(made.arguments["distribution"], "truncated_normal");
    assert!(initializer("VarianceScaling", json!({"mode": "fan"})).is_err());
}

#[test]
fn steps_may_be_fractions_and_are_written_as_they_were() {
    for steps in [json!(1562.5), json!(1000)] {
        let config = json!({"initial_learning_rate": 0.1, "decay_steps": steps});
        let object = json!({"class_name": "PolynomialDecay", "config": config});
        let schedule = Box::<dyn Schedule>::deserialize(object).unwrap();
        assert_eq!(schedule.config().unwrap().arguments["decay_steps"], steps);
    }
}

#[test]
fn a_schedule_without_a_required_argument_is_an_error() {
    let config = json!({"initial_learning_rate": 0.1});
    let object = json!({"class_name": "CosineDecay", "config": config});
    let error = Box::<dyn Schedule>::deserialize(object).unwrap_err();
    assert_eq!(
        error.to_string(),
        "schedule `CosineDecay`: `decay_steps`: expected a value, got none: it has no default"
    );
}

/// The error of a schedule whose arguments are out of range, as `compile` gives it.
fn refused(schedule: impl Schedule + 'static) -> String {
    let model = Sequential::new().add(Input::new(1)).add(Dense::new(1));
    let mut model = model.build(&Device::Cpu).unwrap();
    let loss = MeanSquaredError::new();
    let error: Error = model.compile(Sgd::new(schedule), loss, ()).unwrap_err();
    error.to_string()
}

#[test]
fn a_decay_within_no_steps_is_an_error() {
    let expected = |argument: &str| {
        format!(
            "`{argument}`: expected a finite number above 0, got 0: give the steps of some epochs"
        )
    };
    assert_eq!(refused(CosineDecay::new(0.1, 0)), expected("decay_steps"));
    let restarts = CosineDecayRestarts::new(0.1, 0);
    assert_eq!(refused(restarts), expected("first_decay_steps"));
    let exponential = ExponentialDecay::new(0.1, 0, 0.5);
    assert_eq!(refused(exponential), expected("decay_steps"));
    let inverse = InverseTimeDecay::new(0.1, 0, 0.5);
    assert_eq!(refused(inverse), expected("decay_steps"));
    assert_eq!(
        refused(PolynomialDecay::new(0.1, 0)),
        expected("decay_steps")
    );
}

#[test]
fn rates_and_factors_below_0_are_errors() {
    let check = |error: String, argument: &str| {
        let expected = format!(
            "`{argument}`: expected a finite number of at least 0, got -1: from 0 to 1 is usual"
        );
        assert_eq!(error, expected);
    };
    let initial = "initial_learning_rate";
    check(refused(CosineDecay::new(-1.0, 1)), initial);
    check(refused(CosineDecay::new(0.1, 1).alpha(-1.0)), "alpha");
    check(
        refused(CosineDecay::new(0.1, 1).warmup_target(-1.0)),
        "warmup_target",
    );
    let restarts = || CosineDecayRestarts::new(0.1, 1);
    check(refused(CosineDecayRestarts::new(-1.0, 1)), initial);
    check(refused(restarts().m_mul(-1.0)), "m_mul");
    check(refused(restarts().alpha(-1.0)), "alpha");
    check(refused(ExponentialDecay::new(-1.0, 1, 0.5)), initial);
    check(refused(ExponentialDecay::new(0.1, 1, -1.0)), "decay_rate");
    check(refused(InverseTimeDecay::new(-1.0, 1, 0.5)), initial);
    check(refused(InverseTimeDecay::new(0.1, 1, -1.0)), "decay_rate");
    check(
        refused(PiecewiseConstantDecay::new([1], [0.1, -1.0])),
        "values",
    );
    check(refused(PolynomialDecay::new(-1.0, 1)), initial);
    check(
        refused(PolynomialDecay::new(0.1, 1).end_learning_rate(-1.0)),
        "end_learning_rate",
    );
    check(refused(PolynomialDecay::new(0.1, 1).power(-1.0)), "power");
}

#[test]
fn restarts_that_get_shorter_are_an_error() {
    assert_eq!(
        refused(CosineDecayRestarts::new(0.1, 1).t_mul(0.5)),
        "`t_mul`: expected a finite number of at least 1, got 0.5: 2 is usual; shorter and shorter \
         decays would end"
    );
}

#[test]
fn boundaries_that_do_not_ascend_or_fit_the_values_are_errors() {
    assert_eq!(
        refused(PiecewiseConstantDecay::new([1, 2], [0.1, 0.2])),
        "`values`: expected 3, one more than boundaries, got 2: give a value before the first \
         boundary and one after each"
    );
    assert_eq!(
        refused(PiecewiseConstantDecay::new([2, 1], [0.1, 0.2, 0.3])),
        "`boundaries`: expected ascending steps, got [2.0, 1.0]: give at least one, each greater \
         than the one before"
    );
    assert_eq!(
        refused(PiecewiseConstantDecay::new([], [0.1])),
        "`boundaries`: expected ascending steps, got []: give at least one, each greater than the \
         one before"
    );
}

#[test]
fn a_restart_begins_with_its_step_whatever_the_length_of_the_decays() {
    for t_mul in [1.0, 1.5, 2.0, 3.0, 5.0, 10.0] {
        let schedule = CosineDecayRestarts::new(0.1, 1024).t_mul(t_mul);
        let (mut start, mut length) = (0.0, 1024.0);
        while start < 1e9 && f64::fract(start) == 0.0 && length < 1e9 {
            let rate = schedule.learning_rate(start as u64);
            assert!((rate - 0.1).abs() < 1e-9, "{t_mul} {start}: {rate}");
            start += length;
            length *= t_mul;
            if t_mul == 1.0 && start > 1e6 {
                break;
            }
        }
    }
}

#[test]
fn an_orthogonal_regularizer_of_what_is_no_matrix_is_an_error() {
    let vector = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let error = OrthogonalRegularizer::default()
        .penalty(&vector)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an input of shape (rows, columns), got (3,): OrthogonalRegularizer is for matrices"
    );
}

#[test]
fn the_gradient_of_a_penalty_at_0_is_0_by_autograd_as_well() {
    let weight = Tensor::new(&[0f32, 2.0, -2.0], &Device::Cpu).unwrap();
    let weight = candle_keras::candle_core::Var::from_tensor(&weight).unwrap();
    let penalty = L1::new(0.5).penalty(&weight).unwrap();
    let gradients = penalty.backward().unwrap();
    let gradient = gradients.get(&weight).unwrap();
    assert_eq!(gradient.to_vec1::<f32>().unwrap(), [0.0, 0.5, -0.5]);
}

#[test]
fn no_class_is_listed_twice() {
    for (kind, classes) in catalogue() {
        let mut sorted: Vec<_> = classes.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(classes.len(), sorted.len(), "{kind}: {classes:?}");
    }
}

#[test]
fn a_type_of_numbers_or_a_quantization_that_would_be_lost_is_an_error() {
    let made = |name: &str, value: Value| {
        let mut config = json!({"units": 3});
        config[name] = value;
        let object = json!({"class_name": "Dense", "config": config});
        let made = Box::<dyn candle_keras::layers::Layer>::deserialize(&object);
        made.map(drop).map_err(|error| error.to_string())
    };
    let policy = |name: &str| json!({"class_name": "DTypePolicy", "config": {"name": name}});
    for value in [json!(null), json!("float32"), policy("float32")] {
        assert_eq!(made("dtype", value), Ok(()));
    }
    assert_eq!(
        made("dtype", json!("float64")).unwrap_err(),
        "layer `Dense`: `dtype`: expected float32, got \"float64\": Sequential::dtype sets the type of a model's numbers"
    );
    assert!(made("dtype", policy("mixed_float16")).is_err());
    assert_eq!(made("quantization_config", json!(null)), Ok(()));
    assert!(
        made(
            "quantization_config",
            json!({"class_name": "Int8QuantizationConfig"})
        )
        .is_err()
    );
}

/// A Dense with this activation, as its configuration has it again.
fn activation(value: Value) -> Result<Value, String> {
    let object = json!({"class_name": "Dense", "config": {"units": 3, "activation": value}});
    let made = Box::<dyn candle_keras::layers::Layer>::deserialize(&object);
    let layer = made.map_err(|error| error.to_string())?;
    Ok(layer.config().unwrap().arguments["activation"].clone())
}

/// A layer as Keras 3.15.1 writes it in an activation's place.
fn layer_of_keras(class_name: &str, config: Value) -> Value {
    let mut object = json!({
        "module": "keras.layers", "class_name": class_name, "config": config,
        "registered_name": null,
    });
    let dtype = json!({
        "module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"},
        "registered_name": null,
    });
    object["config"]["name"] = json!("some_name");
    object["config"]["trainable"] = json!(true);
    object["config"]["dtype"] = dtype;
    object
}

#[test]
fn an_activation_with_arguments_is_written_as_the_layer_of_keras_that_takes_them() {
    let relu = |negative_slope, max_value, threshold| ReluWith {
        negative_slope,
        max_value,
        threshold,
    };
    let leaky = |negative_slope| LeakyRelu { negative_slope };
    let layer = |class_name: &str, config: Value| {
        json!({
            "module": "keras.layers", "class_name": class_name, "config": config,
            "registered_name": null,
        })
    };
    let named = |name: &str, config: Value| json!({"class_name": name, "config": config});
    let of_relu = |negative_slope: f64, max_value: Option<f64>, threshold: f64| json!({"negative_slope": negative_slope, "max_value": max_value, "threshold": threshold});
    for (function, written) in [
        (Elu { alpha: 0.5 }, layer("ELU", json!({"alpha": 0.5}))),
        (
            leaky(0.3),
            layer("LeakyReLU", json!({"negative_slope": 0.3})),
        ),
        (
            relu(0.1, Some(6.0), 0.5),
            layer("ReLU", of_relu(0.1, Some(6.0), 0.5)),
        ),
        (relu(0.0, None, 0.5), layer("ReLU", of_relu(0.0, None, 0.5))),
        // Keras's names say these.
        (Elu { alpha: 1.0 }, json!("elu")),
        (leaky(0.2), json!("leaky_relu")),
        (relu(0.0, None, 0.0), json!("relu")),
        // Keras's layers take none of these.
        (
            leaky(-0.5),
            named("leaky_relu", json!({"negative_slope": -0.5})),
        ),
        (
            relu(-0.5, None, 0.0),
            named("relu", of_relu(-0.5, None, 0.0)),
        ),
        (
            relu(0.0, None, -0.5),
            named("relu", of_relu(0.0, None, -0.5)),
        ),
        (Celu { alpha: 0.5 }, named("celu", json!({"alpha": 0.5}))),
        (
            Gelu { approximate: true },
            named("gelu", json!({"approximate": true})),
        ),
    ] {
        assert_eq!(serde_json::to_value(function).unwrap(), written);
        let again: ActivationFunction = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), written);
    }
}

#[test]
fn a_layer_of_keras_in_an_activations_place_is_the_function_that_it_is() {
    let read = |class_name: &str, config: Value| -> ActivationFunction {
        serde_json::from_value(layer_of_keras(class_name, config)).unwrap()
    };
    let relu = json!({"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.2});
    let of_relu = ReluWith {
        negative_slope: 0.1,
        max_value: Some(1.5),
        threshold: 0.2,
    };
    assert_eq!(read("ReLU", relu.clone()), of_relu);
    let plain = json!({"max_value": null, "negative_slope": 0.0, "threshold": 0.0});
    assert_eq!(read("ReLU", plain), Relu);
    let leaky = |negative_slope| LeakyRelu { negative_slope };
    assert_eq!(
        read("LeakyReLU", json!({"negative_slope": 0.25})),
        leaky(0.25)
    );
    assert_eq!(
        read("LeakyReLU", json!({})),
        leaky(0.3),
        "the layer's default"
    );
    assert_eq!(read("ELU", json!({"alpha": 0.5})), Elu { alpha: 0.5 });
    assert_eq!(read("Softmax", json!({"axis": -1})), Softmax);
    assert_eq!(read("Softmax", json!({"axis": [-1]})), Softmax);
    assert_eq!(read("Activation", json!({"activation": "tanh"})), Tanh);
    let inner = layer_of_keras("ReLU", relu);
    assert_eq!(read("Activation", json!({"activation": inner})), of_relu);
    // A function of Python's, by its name.
    let function = json!({
        "module": "builtins", "class_name": "function", "config": "relu6",
        "registered_name": "function",
    });
    assert_eq!(activation(function), Ok(json!("relu6")));
}

#[test]
fn what_is_no_function_in_an_activations_place_is_named() {
    let error = |value: Value| activation(value).unwrap_err();
    let refused = |class_name: &str| {
        format!(
            "layer `Dense`: `config`: expected arguments of the class's types, got `activation`: \
             expected a function, or a layer that is one (Activation, ReLU, LeakyReLU, ELU, \
             Softmax), got the layer {class_name}: put it behind this one: write the arguments as \
             Keras does"
        )
    };
    let weights = json!({"alpha_initializer": "zeros", "shared_axes": null});
    assert_eq!(error(layer_of_keras("PReLU", weights)), refused("PReLU"));
    let mut own = layer_of_keras("ReLU", json!({}));
    (own["module"], own["registered_name"]) = (Value::Null, json!("my>ReLU"));
    assert_eq!(error(own), refused("my>ReLU"));
    for (class_name, argument) in [
        ("LeakyReLU", "negative_slope"),
        ("ReLU", "negative_slope"),
        ("ReLU", "threshold"),
    ] {
        let text = error(layer_of_keras(class_name, json!({argument: -0.3})));
        assert!(
            text.contains("expected a slope and a threshold of at least 0"),
            "{text}"
        );
    }
    let text = error(layer_of_keras("Softmax", json!({"axis": 1})));
    assert!(
        text.contains("`axis` of the activation Softmax: expected -1, the last one, got 1"),
        "{text}"
    );
    let text = error(layer_of_keras("ELU", json!({"beta": 1})));
    assert!(text.contains("elu has no argument `beta`"), "{text}");
    let text = error(layer_of_keras("Activation", json!({"beta": 1})));
    assert!(text.contains("Activation has no argument `beta`"), "{text}");
    let function = json!({
        "module": "builtins", "class_name": "function", "config": "my>act",
        "registered_name": "function",
    });
    let text = error(function);
    assert!(
        text.contains("there is no activation `my>act`: expected one of `linear`"),
        "{text}"
    );
    assert!(text.contains("; one of your own is a layer"), "{text}");
    assert!(error(json!({"class_name": "ReLU", "config": 3})).contains("got {"));
}
