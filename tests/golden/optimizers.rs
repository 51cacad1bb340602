use super::{OPERATION, Report, Tolerance, Values, class_of, flat, load, part};
use candle_keras::{
    optimizers::{Optimization, Optimizer},
    prelude::*,
    weights::Weight,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    object: Value,
    variables: Vec<Variable>,
    gradients: Vec<Vec<Values>>,
    weights: Vec<Vec<Values>>,
    finalized: Option<Vec<Values>>,
    #[serde(default)]
    exclude_from_weight_decay: Vec<String>,
}

#[derive(Deserialize)]
struct Variable {
    path: String,
    initial: Values,
}

pub(crate) fn compare(report: &mut Report) {
    for case in load::<File>("optimizers").cases {
        // In f32, and in the plain formulation, which f64 takes.
        for dtype in [DType::F32, DType::F64] {
            compare_case(report, &case, dtype);
        }
    }
}

fn compare_case(report: &mut Report, case: &Case, dtype: DType) {
    let key = ("optimizer", class_of(&case.object));
    let mut optimizer: Box<dyn Optimizer> = part(&case.name, &case.object);
    if !case.exclude_from_weight_decay.is_empty() {
        let settings = optimizer.settings().clone();
        let names = case.exclude_from_weight_decay.clone();
        *optimizer.settings_mut() = settings.exclude_from_weight_decay(names);
    }
    let tensor = |values: &Values| values.tensor().to_dtype(dtype).unwrap();
    let weight = |variable: &Variable| Weight::new(&variable.path, &tensor(&variable.initial));
    let weights: Vec<Weight> = case.variables.iter().map(|v| weight(v).unwrap()).collect();
    let mut optimization = Optimization::new(optimizer, &weights).unwrap();
    let mut check = |what: &str, expected: &[Values]| {
        for ((weight, variable), expected) in weights.iter().zip(&case.variables).zip(expected) {
            let what = format!("{} {dtype:?} {what} {}", case.name, weight.path());
            let got = flat(weight.value());
            let tolerance = tolerance(&variable.initial, expected);
            report.compare(key, &what, &got, &expected.data, tolerance);
        }
    };
    // `fit` need not scale the loss, nor its gradients back.
    let scale = case.object["config"]["loss_scale_factor"].as_f64();
    let unscaled = |values: &Values| (tensor(values) / scale.unwrap_or(1.0)).unwrap();
    for (step, (gradients, expected)) in case.gradients.iter().zip(&case.weights).enumerate() {
        let gradients = gradients.iter().map(unscaled).collect();
        optimization.apply(&weights, gradients).unwrap();
        check(&format!("step {step}"), expected);
    }
    if let Some(expected) = &case.finalized {
        optimization.finalize(&weights).unwrap();
        check("finalized", expected);
    }
}

/// One operation's, or as much of the way that the weight's numbers have come: some steps here are
/// larger than the numbers that they lead to.
fn tolerance(initial: &Values, now: &Values) -> Tolerance {
    let ways = initial
        .data
        .iter()
        .zip(&now.data)
        .map(|(a, b)| (a - b).abs());
    let longest = ways.fold(0.0, f32::max);
    Tolerance {
        absolute: OPERATION.absolute.max(OPERATION.relative * longest),
        ..OPERATION
    }
}

#[test]
fn weights_after_every_step_of_every_optimizer_are_those_of_keras() {
    compare(&mut Report::default());
}
