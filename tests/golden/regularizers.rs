use super::{OPERATION, Report, Values, class_of, flat, load, part};
use candle_keras::regularizers::Regularizer;
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
    w: Values,
    penalty: f32,
    gradient: Values,
}

pub(crate) fn compare(report: &mut Report) {
    for case in load::<File>("regularizers").cases {
        let regularizer: Box<dyn Regularizer> = part(&case.name, &case.object);
        let key = ("regularizer", class_of(&case.object));
        let w = case.w.tensor();
        let penalty = flat(&regularizer.penalty(&w).unwrap());
        report.compare(key, &case.name, &penalty, &[case.penalty], OPERATION);
        let gradient = flat(&regularizer.gradient(&w).unwrap());
        let what = format!("{} gradient", case.name);
        report.compare(key, &what, &gradient, &case.gradient.data, OPERATION);
    }
}

#[test]
fn penalties_and_their_gradients_are_those_of_keras() {
    compare(&mut Report::default());
}
