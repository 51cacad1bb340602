use super::{OPERATION, Report, Values, class_of, flat, load, part};
use candle_keras::constraints::Constraint;
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
    result: Values,
}

pub(crate) fn compare(report: &mut Report) {
    for case in load::<File>("constraints").cases {
        let constraint: Box<dyn Constraint> = part(&case.name, &case.object);
        let key = ("constraint", class_of(&case.object));
        let got = flat(&constraint.call(&case.w.tensor()).unwrap());
        report.compare(key, &case.name, &got, &case.result.data, OPERATION);
    }
}

#[test]
fn constrained_weights_are_those_of_keras() {
    compare(&mut Report::default());
}
