use super::{Report, Tolerance, Values, flat, load, part};
use candle_core::Var;
use candle_keras::{
    activations::ActivationFunction,
    layers::{Forward, Layer},
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    function: String,
    arguments: Value,
    x: Values,
    y: Values,
    c: Values,
    gradient: Values,
}

/// One operation in f32. Where the value itself is a difference of numbers near 1 (1 - y², y - Σ),
/// as many digits are lost as it is smaller than 1.
const TOLERANCE: Tolerance = Tolerance {
    relative: 1e-6,
    absolute: 2e-7,
};

impl Case {
    /// Whether this number is compared: docs/parity.md says why the others are not.
    fn compared(&self, index: usize) -> bool {
        let x = self.x.data[index];
        match self.function.as_str() {
            // Both of Keras's parts count at 0.
            "celu" => x != 0.0,
            // Keras subtracts the root from numbers of its own size.
            "squareplus" => x > -20.0,
            // Keras sums up sums, so that its outputs do not sum up to 1 where two or more stay.
            "sparsemax" => {
                let width = *self.y.shape.last().unwrap();
                let row = &self.y.data[index / width * width..][..width];
                (row.iter().sum::<f32>() - 1.0).abs() < 1e-6
            }
            _ => true,
        }
    }

    /// Compares numbers with Keras's where they are compared.
    fn check(&self, report: &mut Report, what: &str, got: &[f32], expected: &Values) {
        let key = ("activation", self.function.as_str());
        let compared = |numbers: &[f32]| -> Vec<f32> {
            let numbers = numbers.iter().enumerate();
            let wanted = numbers.filter(|(index, _)| self.compared(*index));
            wanted.map(|(_, number)| *number).collect()
        };
        assert_eq!(got.len(), expected.data.len(), "{} {what}", self.name);
        let what = format!("{} {what}", self.name);
        let absolute = match self.function.as_str() {
            // Keras adds 1 to a tanh near -1, and multiplies what is left of its digits by x³.
            "gelu" => 1e-6,
            // Its gradients far from 0 are small and have all their digits.
            "softsign" => 0.0,
            _ => TOLERANCE.absolute,
        };
        let tolerance = Tolerance {
            absolute,
            ..TOLERANCE
        };
        report.compare(
            key,
            &what,
            &compared(got),
            &compared(&expected.data),
            tolerance,
        );
    }
}

pub(crate) fn compare(report: &mut Report) {
    for case in load::<File>("activations").cases {
        let object = json!({"class_name": case.function, "config": case.arguments});
        let function: ActivationFunction = part(&case.name, &object);
        compare_fused(report, &case, function);
        compare_plain(report, &case, function);
    }
}

/// A layer of the model, and its own gradient.
fn compare_fused(report: &mut Report, case: &Case, function: ActivationFunction) {
    let x = case.x.tensor();
    let model = Sequential::new()
        .add(Input::new(*case.x.shape.last().unwrap()))
        .add(Activation::new(function))
        .build(&Device::Cpu)
        .unwrap();
    let y = model.predict(&x).unwrap();
    case.check(report, "fused", &flat(&y), &case.y);
    let layer = Activation::new(function);
    let step = Forward::new(&x, &y);
    let layer = layer.backward().unwrap();
    let gradients = layer.gradients(&step, &case.c.tensor()).unwrap();
    let got = flat(&gradients.inputs.unwrap());
    case.check(report, "fused gradient", &got, &case.gradient);
}

/// candle's operations, and its autograd.
fn compare_plain(report: &mut Report, case: &Case, function: ActivationFunction) {
    let x = Var::from_tensor(&case.x.tensor()).unwrap();
    let y = function.call(&x).unwrap();
    case.check(report, "plain", &flat(&y), &case.y);
    let sum = (y * case.c.tensor()).unwrap().sum_all().unwrap();
    let store = sum.backward().unwrap();
    let got = flat(store.get(&x).unwrap());
    case.check(report, "plain gradient", &got, &case.gradient);
}

#[test]
fn activations_and_their_gradients_are_those_of_keras() {
    compare(&mut Report::default());
}
