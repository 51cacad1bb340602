use super::{OPERATION, Report, Values, class_of, load, part};
use candle_keras::metrics::Metric;
use candle_keras::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct File {
    automatic: Vec<Automatic>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Automatic {
    name: String,
    /// The class that Keras takes for the string.
    chosen: String,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    object: Value,
    /// Arguments that Keras forgets to write into `object`.
    #[serde(default)]
    missing_from_config: Option<Map<String, Value>>,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    y_true: Values,
    y_pred: Values,
    #[serde(default)]
    sample_weight: Option<Values>,
    result: Value,
}

impl Batch {
    /// One number, or one for each class or threshold.
    fn result(&self) -> Vec<f32> {
        let numbers = match &self.result {
            Value::Array(numbers) => numbers.clone(),
            number => vec![number.clone()],
        };
        // Keras's NaN is written as null.
        let number = |x: &Value| x.as_f64().map_or(f32::NAN, |x| x as f32);
        numbers.iter().map(number).collect()
    }
}

pub(crate) fn compare(report: &mut Report) {
    let file: File = load("metrics");
    for case in &file.automatic {
        let key = ("metric", "accuracy");
        compare_case(report, key, &case.name, &Accuracy, &case.batches);
        check_choice(case);
    }
    for case in &file.cases {
        let mut object = case.object.clone();
        for (name, value) in case.missing_from_config.iter().flatten() {
            object["config"][name] = value.clone();
        }
        let metric: Box<dyn Metric> = part(&case.name, &object);
        let key = ("metric", class_of(&case.object));
        compare_case(report, key, &case.name, &metric, &case.batches);
    }
}

/// Of the classes that "accuracy" may stand for, the chosen one alone counts what it counts.
fn check_choice(case: &Automatic) {
    let counted = |metric: &dyn Metric| -> candle_keras::Result<Vec<f64>> {
        let mut counter = metric.counter();
        let mut count = |batch: &Batch| {
            counter.update(&batch.y_true.tensor(), &batch.y_pred.tensor(), None)?;
            counter.result()
        };
        case.batches.iter().map(&mut count).collect()
    };
    let expected = counted(&Accuracy).unwrap();
    for class_name in [
        "BinaryAccuracy",
        "CategoricalAccuracy",
        "SparseCategoricalAccuracy",
    ] {
        let object = serde_json::json!({"class_name": class_name, "config": {}});
        let metric: Box<dyn Metric> = part(&case.name, &object);
        let same = counted(&metric).is_ok_and(|numbers| numbers == expected);
        assert_eq!(
            same,
            class_name == case.chosen,
            "{} {class_name}",
            case.name
        );
    }
}

fn compare_case(
    report: &mut Report,
    key: (&'static str, &str),
    name: &str,
    metric: &dyn Metric,
    batches: &[Batch],
) {
    // In f32, and in the plain formulation, which f64 takes.
    for dtype in [DType::F32, DType::F64] {
        let mut counter = metric.counter();
        for batch in batches {
            let tensor = |values: &Values| values.tensor().to_dtype(dtype).unwrap();
            let weights = batch.sample_weight.as_ref().map(tensor);
            let (y_true, y_pred) = (tensor(&batch.y_true), tensor(&batch.y_pred));
            counter.update(&y_true, &y_pred, weights.as_ref()).unwrap();
            let got: Vec<f32> = counter
                .values()
                .unwrap()
                .iter()
                .map(|x| *x as f32)
                .collect();
            let what = format!("{name} {dtype:?}");
            report.compare(key, &what, &got, &batch.result(), OPERATION);
        }
    }
}

#[test]
fn metrics_over_several_batches_are_those_of_keras() {
    compare(&mut Report::default());
}
