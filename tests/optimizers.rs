//! What every optimizer of the crate must do, from one table of them.

mod common;

use candle_keras::{
    catalogue,
    initializers::Ones,
    optimizers::{
        Adadelta, Adafactor, Adagrad, AdamW, Adamax, Ftrl, Lamb, Lion, Muon, Nadam, Optimization,
        Optimizer, RMSprop, Step, schedules::ExponentialDecay,
    },
    prelude::*,
    weights::Weight,
};
use common::{assert_close, flat, hash_of, numbers, run_apart};
use serde::Deserialize;
use serde_json::{Value, json};

/// Every optimizer of the crate by its class, in forms that take every branch of its rule.
fn optimizers() -> Vec<(&'static str, Box<dyn Optimizer>)> {
    let rmsprop = || RMSprop::new(0.01).rho(0.8);
    let strengths = |ftrl: Ftrl| {
        let ftrl = ftrl.l1_regularization_strength(0.05);
        let ftrl = ftrl.l2_regularization_strength(0.1);
        ftrl.l2_shrinkage_regularization_strength(0.1)
    };
    let schedule = ExponentialDecay::new(0.01, 2, 0.5);
    vec![
        ("Adadelta", Adadelta::new(1.0).rho(0.9).into()),
        ("Adafactor", Adafactor::new(0.01).into()),
        ("Adafactor", Adafactor::new(0.9).clip_threshold(0.5).into()),
        ("Adagrad", Adagrad::new(0.1).into()),
        ("Adam", Adam::new(0.01).into()),
        ("Adam", Adam::new(0.01).beta_1(0.5).beta_2(0.9).into()),
        ("Adam", Adam::new(0.01).beta_1(0.0).epsilon(0.1).into()),
        ("Adam", Adam::new(0.01).beta_2(0.5).amsgrad(true).into()),
        ("Adam", Adam::new(schedule).weight_decay(0.1).into()),
        ("AdamW", AdamW::new(0.01).into()),
        ("AdamW", AdamW::new(0.01).beta_2(0.5).amsgrad(true).into()),
        ("Adamax", Adamax::new(0.01).beta_2(0.5).into()),
        ("Ftrl", Ftrl::new(0.1).into()),
        ("Ftrl", strengths(Ftrl::new(0.1)).beta(0.2).into()),
        ("Ftrl", Ftrl::new(0.1).learning_rate_power(-0.7).into()),
        ("Lamb", Lamb::new(0.01).into()),
        ("Lion", Lion::new(0.01).weight_decay(0.1).into()),
        ("Muon", Muon::new(0.01).into()),
        (
            "Muon",
            Muon::new(0.01).nesterov(false).rms_rate(None).into(),
        ),
        ("Muon", Muon::new(0.01).exclude_layers(["dense"]).into()),
        ("Nadam", Nadam::new(0.01).beta_1(0.8).into()),
        ("RMSprop", rmsprop().into()),
        ("RMSprop", rmsprop().momentum(0.9).into()),
        ("RMSprop", rmsprop().centered(true).into()),
        ("RMSprop", rmsprop().momentum(0.5).centered(true).into()),
        ("SGD", Sgd::new(0.1).into()),
        ("SGD", Sgd::new(0.1).momentum(0.9).into()),
        ("SGD", Sgd::new(0.1).momentum(0.9).nesterov(true).into()),
        ("SGD", Sgd::new(0.1).nesterov(true).clipnorm(0.5).into()),
        (
            "SGD",
            Sgd::new(0.1)
                .use_ema(true)
                .ema_overwrite_frequency(2)
                .into(),
        ),
        ("SGD", Sgd::new(0.1).gradient_accumulation_steps(2).into()),
    ]
}

/// The optimizer that a configuration describes.
fn made(object: &Value) -> Box<dyn Optimizer> {
    Box::deserialize(object).unwrap_or_else(|error| panic!("{object}: {error}"))
}

#[test]
fn every_optimizer_of_the_catalogue_is_tested_here() {
    let (_, classes) = catalogue()
        .into_iter()
        .find(|(kind, _)| *kind == "optimizer")
        .unwrap();
    let mut tested: Vec<_> = optimizers().iter().map(|(class, _)| *class).collect();
    tested.dedup();
    assert_eq!(tested, classes);
}

#[test]
fn an_optimizer_made_of_a_configuration_has_the_same_configuration() {
    for (class_name, optimizer) in optimizers() {
        let object = serde_json::to_value(&*optimizer).unwrap();
        assert_eq!(object["class_name"], class_name);
        assert_eq!(object["module"], "keras.optimizers");
        let again = made(&object);
        assert_eq!(serde_json::to_value(&*again).unwrap(), object);
        assert_eq!(format!("{again:?}"), format!("{optimizer:?}"));
    }
}

#[test]
fn the_name_of_a_class_alone_stands_for_its_defaults() {
    for (class_name, _) in optimizers() {
        let object = serde_json::to_value(&*made(&json!(class_name))).unwrap();
        assert_eq!(object["class_name"], class_name);
        let rate = object["config"]["learning_rate"].as_f64().unwrap();
        assert_eq!(rate, if class_name == "SGD" { 0.01 } else { 0.001 });
        let lower = made(&json!(class_name.to_lowercase()));
        assert_eq!(serde_json::to_value(&*lower).unwrap(), object);
    }
}

/// The numbers of a weight after five steps.
fn after_five_steps(object: &Value, dims: &[usize], dtype: DType) -> Vec<f64> {
    let start = numbers(dims, "weight").to_dtype(dtype).unwrap();
    let weights = [Weight::new("dense/kernel", &start).unwrap()];
    let mut optimization = Optimization::new(made(object), &weights).unwrap();
    for step in 1..=5 {
        let gradient = numbers(dims, &format!("gradient {step}"));
        let gradient = gradient.to_dtype(dtype).unwrap();
        optimization.apply(&weights, vec![gradient]).unwrap();
    }
    flat(weights[0].value())
}

#[test]
fn a_fused_optimizer_step_in_f32_is_the_plain_one_in_f64() {
    for (_, optimizer) in optimizers() {
        let object = serde_json::to_value(&*optimizer).unwrap();
        for dims in [&[1][..], &[7], &[1000], &[17, 33], &[3, 4, 5]] {
            let what = format!("{optimizer:?} of {dims:?}");
            let fused = after_five_steps(&object, dims, DType::F32);
            let plain = after_five_steps(&object, dims, DType::F64);
            // Five steps of f32's 6e-8, on numbers of about 1.
            assert_close(&what, &fused, &plain, 1e-6, 1e-6);
            let start = flat(&numbers(dims, "weight"));
            // Nearly all, by more than what is allowed: of some, the steps go back and forth.
            let moved = |(a, b): &(&f64, &f64)| (*a - *b).abs() > 1e-5;
            let count = fused.iter().zip(&start).filter(moved).count();
            assert!(count * 10 > start.len() * 9, "{what}: {count}");
        }
    }
}

#[test]
fn every_rule_for_single_numbers_is_fused() {
    let step = Step {
        number: 1,
        learning_rate: 0.01,
    };
    for (class_name, optimizer) in optimizers() {
        // Those look at a weight as a whole.
        let whole = ["Adafactor", "Lamb", "Muon"].contains(&class_name);
        assert_eq!(optimizer.elementwise(step).is_none(), whole, "{class_name}");
    }
}

#[test]
#[ignore = "run by the next test in processes of their own"]
fn prints_the_hashes_of_the_weights_of_every_optimizer() {
    println!("BEGIN");
    for (class_name, optimizer) in optimizers() {
        let object = serde_json::to_value(&*optimizer).unwrap();
        let weight = after_five_steps(&object, &[300, 100], DType::F32);
        println!("{class_name} {:x}", hash_of(weight.into_iter()));
    }
    println!("END");
}

#[test]
fn steps_have_the_same_bits_whatever_the_threads() {
    let hashes = |threads| {
        let variables = [("RAYON_NUM_THREADS", threads)];
        run_apart(
            "prints_the_hashes_of_the_weights_of_every_optimizer",
            &variables,
        )
    };
    let one = hashes("1");
    assert_eq!(one.lines().count(), optimizers().len());
    for threads in ["2", "3"] {
        assert_eq!(hashes(threads), one, "{threads} threads against 1");
    }
}

#[test]
fn a_nadam_of_many_steps_is_adam_with_nesterovs_momentum_grown_whole() {
    // The product of the momenta is next to nothing after some hundred steps, and the last step is not longer to
    // compute than the first.
    let nadam = Nadam::new(0.01);
    let step = Step {
        number: u64::MAX,
        learning_rate: 0.01,
    };
    let (mut weight, mut m, mut v) = ([1f32], [0.5f32], [0.25f32]);
    let rule = nadam.elementwise(step).unwrap();
    rule(&mut weight, &[0.5], &mut [&mut m, &mut v]);
    // n = 0.9·0.5 + 0.1·0.5, over √0.25.
    assert!((weight[0] - 0.99).abs() < 1e-6, "{weight:?}");
}

/// The first number of every weight, 1 at first, after a step of `fit` in which no gradient but only
/// the weight decay moves one: of hidden/kernel, hidden/bias, dense_bias/kernel and dense_bias/bias.
fn decayed(optimizer: impl Into<Box<dyn Optimizer>>) -> Vec<f64> {
    let ones = |name: &str| {
        let dense = Dense::new(2).name(name).kernel_initializer(Ones);
        dense.bias_initializer(Ones)
    };
    let model = Sequential::new().add(Input::new(2));
    let model = model.add(ones("hidden")).add(ones("dense_bias"));
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(optimizer, MeanSquaredError::new(), ())
        .unwrap();
    let x = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
    let y = model.predict(&x).unwrap();
    model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    let weights = model.weights().map(|weight| flat(weight.value())[0]);
    weights.collect()
}

#[test]
fn weights_are_excluded_from_the_decay_by_their_path_and_for_muon_by_their_name_as_in_keras() {
    // Keras 3.15.1 on TensorFlow, in fit: 1 - 0.1·0.5, and 1 - 0.1·0.25 for Muon's Adam.
    let (by_muon, by_adam) = (0.949999988079071, 0.9750000238418579);
    let decayed_to = by_muon;
    for (name, expected, of_muon) in [
        (
            "hidden",
            [1.0, 1.0, decayed_to, decayed_to],
            [by_muon, by_adam, by_muon, by_adam],
        ),
        (
            "bias",
            [decayed_to, 1.0, 1.0, 1.0],
            [by_muon, 1.0, by_muon, 1.0],
        ),
        (
            "kernel",
            [1.0, decayed_to, 1.0, decayed_to],
            [1.0, by_adam, 1.0, by_adam],
        ),
        (
            "hidden/bias",
            [decayed_to, 1.0, decayed_to, decayed_to],
            [by_muon, by_adam, by_muon, by_adam],
        ),
    ] {
        let sgd = Sgd::new(0.1).weight_decay(0.5);
        assert_eq!(decayed(sgd.exclude_from_weight_decay([name])), expected);
        let adam_w = AdamW::new(0.1).weight_decay(0.5);
        assert_eq!(decayed(adam_w.exclude_from_weight_decay([name])), expected);
        let muon = Muon::new(0.1).weight_decay(0.5).adam_weight_decay(0.25);
        assert_eq!(decayed(muon.exclude_from_weight_decay([name])), of_muon);
    }
}

#[test]
fn the_average_of_a_weight_that_is_trained_from_a_later_step_on_begins_with_its_value() {
    let dense = |name: &str| {
        let dense = Dense::new(1).name(name).use_bias(false);
        dense.kernel_initializer(Ones)
    };
    let model = Sequential::new().add(Input::new(1));
    let model = model.add(dense("base").trainable(false)).add(dense("head"));
    let mut model = model.build(&Device::Cpu).unwrap();
    let optimizer = Sgd::new(0.1).use_ema(true).ema_momentum(0.9);
    model
        .compile(optimizer, MeanSquaredError::new(), ())
        .unwrap();
    let (x, y) = (numbers(&[4, 1], "x"), numbers(&[4, 1], "y"));
    model.fit(&x, &y, Fit::new().epochs(3).verbose(0)).unwrap();
    model.set_trainable("base", true).unwrap();
    let gradients = model.gradients(&x, &y).unwrap();
    let step = 0.1 * flat(&gradients[0].1)[0];
    model.fit(&x, &y, Fit::new().verbose(0)).unwrap();
    let base = flat(&model.weight("base/kernel").unwrap());
    // 0.9 of what it was and 0.1 of what the step made of it.
    assert_close("base", &base, &[0.9 + 0.1 * (1.0 - step)], 1e-6, 0.0);
}

#[test]
fn a_gradient_that_is_not_a_number_is_seen_in_the_weights_of_every_optimizer() {
    for (_, optimizer) in optimizers() {
        let object = serde_json::to_value(&*optimizer).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let start = numbers(&[2, 2], "weight").to_dtype(dtype).unwrap();
            let weights = [Weight::new("dense/kernel", &start).unwrap()];
            let mut optimization = Optimization::new(made(&object), &weights).unwrap();
            let gradient = Tensor::new(&[[f32::NAN, 0.5], [0.5, 0.5]], &Device::Cpu);
            let gradient = gradient.unwrap().to_dtype(dtype).unwrap();
            // Two steps: some add the first gradient up only.
            for _ in 0..2 {
                let gradients = vec![gradient.clone()];
                optimization.apply(&weights, gradients).unwrap();
            }
            let first = flat(weights[0].value())[0];
            assert!(first.is_nan(), "{optimizer:?} in {dtype:?}: {first}");
        }
    }
}

#[test]
fn muon_takes_the_steps_of_adam_for_what_is_no_matrix_or_excluded() {
    let slots = |muon: Muon, path: &str, dims: &[usize]| {
        let weight = Weight::new(path, &numbers(dims, "weight")).unwrap();
        muon.slots(&weight).len()
    };
    let muon = || Muon::new(0.01);
    assert_eq!(slots(muon(), "dense/kernel", &[2, 3]), 1);
    assert_eq!(slots(muon(), "dense/bias", &[3]), 2);
    assert_eq!(slots(muon(), "conv2d/kernel", &[2, 2, 3, 4]), 2);
    assert_eq!(slots(muon(), "My_Embedding/table", &[2, 3]), 2);
    let with_embeddings = muon().exclude_embeddings(false);
    assert_eq!(slots(with_embeddings, "embedding/embeddings", &[2, 3]), 1);
    assert_eq!(
        slots(muon().exclude_layers(["last"]), "last/kernel", &[2, 3]),
        2
    );
}

#[test]
fn adafactor_keeps_means_of_rows_and_columns_of_what_has_them() {
    let shapes = |dims: &[usize]| -> Vec<Option<Vec<usize>>> {
        let weight = Weight::new("w", &numbers(dims, "weight")).unwrap();
        let slots = Adafactor::new(0.01).slots(&weight);
        slots.into_iter().map(|slot| slot.shape).collect()
    };
    assert_eq!(shapes(&[5]), [Some(vec![]), Some(vec![]), None]);
    assert_eq!(shapes(&[5, 4]), [Some(vec![5]), Some(vec![4]), None]);
    assert_eq!(
        shapes(&[3, 5, 4]),
        [Some(vec![3, 5]), Some(vec![3, 4]), None]
    );
}

#[test]
fn a_clipped_gradient_whose_length_is_not_finite_leaves_no_number_that_is() {
    let tensor = |values: &[f32; 2]| Tensor::new(values, &Device::Cpu).unwrap();
    for (optimizer, gradient) in [
        (Sgd::new(0.1).clipnorm(1.0), [f32::NAN, 1.0]),
        (Sgd::new(0.1).global_clipnorm(1.0), [f32::NAN, 1.0]),
        (Sgd::new(0.1).global_clipnorm(1.0), [f32::INFINITY, 1.0]),
    ] {
        let weights = [Weight::new("w", &tensor(&[1.0, 1.0])).unwrap()];
        let mut optimization = Optimization::new(optimizer, &weights).unwrap();
        optimization
            .apply(&weights, vec![tensor(&gradient)])
            .unwrap();
        assert!(flat(weights[0].value()).iter().all(|x| x.is_nan()));
    }
}

/// The error of an optimizer that cannot begin.
fn refused(optimizer: impl Into<Box<dyn Optimizer>>) -> String {
    Optimization::new(optimizer, &[]).unwrap_err().to_string()
}

#[test]
fn fractions_out_of_range_are_errors() {
    let check = |optimizer: Box<dyn Optimizer>, argument: &str, usual: &str| {
        let expected = format!(
            "`{argument}`: expected a number from 0 up to, but not including, 1, got 1: {usual} is \
             usual"
        );
        assert_eq!(refused(optimizer), expected);
    };
    check(Adadelta::new(1.0).rho(1.0).into(), "rho", "0.95");
    check(Adam::new(0.1).beta_1(1.0).into(), "beta_1", "0.9");
    check(Adam::new(0.1).beta_2(1.0).into(), "beta_2", "0.999");
    check(AdamW::new(0.1).beta_1(1.0).into(), "beta_1", "0.9");
    check(AdamW::new(0.1).beta_2(1.0).into(), "beta_2", "0.999");
    check(Adamax::new(0.1).beta_1(1.0).into(), "beta_1", "0.9");
    check(Adamax::new(0.1).beta_2(1.0).into(), "beta_2", "0.999");
    check(Lamb::new(0.1).beta_1(1.0).into(), "beta_1", "0.9");
    check(Lamb::new(0.1).beta_2(1.0).into(), "beta_2", "0.999");
    check(Lion::new(0.1).beta_2(1.0).into(), "beta_2", "0.99");
    check(Muon::new(0.1).adam_beta_1(1.0).into(), "adam_beta_1", "0.9");
    check(
        Muon::new(0.1).adam_beta_2(1.0).into(),
        "adam_beta_2",
        "0.999",
    );
    check(Muon::new(0.1).momentum(1.0).into(), "momentum", "0.95");
    check(Nadam::new(0.1).beta_1(1.0).into(), "beta_1", "0.9");
    check(Nadam::new(0.1).beta_2(1.0).into(), "beta_2", "0.999");
    check(RMSprop::new(0.1).rho(1.0).into(), "rho", "0.9");
    check(RMSprop::new(0.1).momentum(1.0).into(), "momentum", "0.9");
    check(Sgd::new(0.1).momentum(1.0).into(), "momentum", "0.9");
}

#[test]
fn an_epsilon_that_is_not_above_0_is_an_error() {
    let optimizers: [Box<dyn Optimizer>; 9] = [
        Adadelta::new(0.1).epsilon(0.0).into(),
        Adagrad::new(0.1).epsilon(0.0).into(),
        Adam::new(0.1).epsilon(0.0).into(),
        AdamW::new(0.1).epsilon(0.0).into(),
        Adamax::new(0.1).epsilon(0.0).into(),
        Lamb::new(0.1).epsilon(0.0).into(),
        Muon::new(0.1).epsilon(0.0).into(),
        Nadam::new(0.1).epsilon(0.0).into(),
        RMSprop::new(0.1).epsilon(0.0).into(),
    ];
    for optimizer in optimizers {
        let expected =
            "`epsilon`: expected a finite number above 0, got 0: Keras's default is 1e-7";
        assert_eq!(refused(optimizer), expected);
    }
}

#[test]
fn strengths_and_initial_values_below_0_are_errors() {
    let check = |optimizer: Box<dyn Optimizer>, argument: &str, usual: &str| {
        let expected = format!(
            "`{argument}`: expected a finite number of at least 0, got -1: {usual} is usual"
        );
        assert_eq!(refused(optimizer), expected);
    };
    let (adagrad, ftrl, muon) = (|| Adagrad::new(0.1), || Ftrl::new(0.1), || Muon::new(0.1));
    let initial = "initial_accumulator_value";
    check(
        adagrad().initial_accumulator_value(-1.0).into(),
        initial,
        "0.1",
    );
    check(
        ftrl().initial_accumulator_value(-1.0).into(),
        initial,
        "0.1",
    );
    let l1 = ftrl().l1_regularization_strength(-1.0);
    check(l1.into(), "l1_regularization_strength", "0");
    let l2 = ftrl().l2_regularization_strength(-1.0);
    check(l2.into(), "l2_regularization_strength", "0");
    let shrinkage = ftrl().l2_shrinkage_regularization_strength(-1.0);
    check(
        shrinkage.into(),
        "l2_shrinkage_regularization_strength",
        "0",
    );
    check(ftrl().beta(-1.0).into(), "beta", "0");
    check(
        Adafactor::new(0.1).epsilon_2(-1.0).into(),
        "epsilon_2",
        "0.001",
    );
    check(
        muon().adam_weight_decay(-1.0).into(),
        "adam_weight_decay",
        "0.004",
    );
    check(muon().adam_lr_ratio(-1.0).into(), "adam_lr_ratio", "1");
    check(muon().rms_rate(-1.0).into(), "rms_rate", "0.2");
    check(
        AdamW::new(0.1).weight_decay(-1.0).into(),
        "weight_decay",
        "0.004",
    );
}

#[test]
fn other_arguments_out_of_range_are_errors() {
    assert_eq!(
        refused(Ftrl::new(0.0)),
        "`learning_rate`: expected a number above 0, got 0: Ftrl divides by it; 0.001 is Keras's \
         default"
    );
    assert_eq!(
        refused(Ftrl::new(0.1).learning_rate_power(0.5)),
        "`learning_rate_power`: expected a finite number of at most 0, got 0.5: -0.5 is usual"
    );
    assert_eq!(
        refused(Lion::new(0.1).beta_1(0.0)),
        "`beta_1`: expected a number above 0 and up to 1, got 0: 0.9 is usual"
    );
    assert_eq!(
        refused(Adafactor::new(0.1).beta_2_decay(0.0)),
        "`beta_2_decay`: expected a finite number below 0, got 0: -0.8 is usual"
    );
    assert_eq!(
        refused(Adafactor::new(0.1).epsilon_1(0.0)),
        "`epsilon_1`: expected a finite number above 0, got 0: Keras's default is 1e-30"
    );
    assert_eq!(
        refused(Adafactor::new(0.1).clip_threshold(0.0)),
        "`clip_threshold`: expected a finite number above 0, got 0: 1 is usual"
    );
    for (name, muon) in [
        ("muon_a", Muon::new(0.1).muon_a(f64::NAN)),
        ("muon_b", Muon::new(0.1).muon_b(f64::NAN)),
        ("muon_c", Muon::new(0.1).muon_c(f64::NAN)),
    ] {
        let expected =
            format!("`{name}`: expected a finite number, got NaN: leave it out for Keras's");
        assert_eq!(refused(muon), expected);
    }
    let without = json!({"class_name": "AdamW", "config": {"weight_decay": null}});
    assert_eq!(
        refused(made(&without)),
        "`weight_decay`: expected a number, got none: 0.004 is Keras's default; Adam goes without"
    );
}
