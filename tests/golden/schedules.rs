use super::{OPERATION, Report, class_of, load, part};
use candle_keras::optimizers::schedules::Schedule;
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
    steps: Vec<u64>,
    values: Vec<f32>,
}

pub(crate) fn compare(report: &mut Report) {
    for case in load::<File>("schedules").cases {
        let schedule: Box<dyn Schedule> = part(&case.name, &case.object);
        let key = ("schedule", class_of(&case.object));
        let rates = case.steps.iter().map(|step| schedule.learning_rate(*step));
        let rates: Vec<f32> = rates.map(|rate| rate as f32).collect();
        report.compare(key, &case.name, &rates, &case.values, OPERATION);
    }
}

#[test]
fn learning_rates_of_every_step_are_those_of_keras() {
    compare(&mut Report::default());
}
