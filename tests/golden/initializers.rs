use super::{OPERATION, Report, Tolerance, Values, class_of, load, part};
use candle_keras::{initializers::Initializer, seed::Stream};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    orthogonal: Vec<Orthogonal>,
    scales: Vec<Scale>,
}

/// What Keras measured of one large draw, and numbers where they are not random.
#[derive(Deserialize)]
struct Case {
    name: String,
    object: Value,
    #[serde(default)]
    missing_from_config: Map<String, Value>,
    shape: Vec<usize>,
    mean: f64,
    variance: f64,
    min: f64,
    max: f64,
    values: Option<Values>,
}

#[derive(Deserialize)]
struct Orthogonal {
    name: String,
    object: Value,
    shape: Vec<usize>,
    gain: f32,
}

/// The standard deviation of what is drawn from.
#[derive(Deserialize)]
struct Scale {
    name: String,
    object: Value,
    shape: Vec<usize>,
    stddev: f64,
}

pub(crate) fn compare(report: &mut Report) {
    let file: File = load("initializers");
    for case in &file.cases {
        match &case.values {
            Some(values) => compare_values(report, case, values),
            None => compare_moments(report, case),
        }
    }
    for case in &file.orthogonal {
        compare_orthogonal(report, case);
    }
    for case in &file.scales {
        compare_scale(case);
    }
}

fn made(case: &Case) -> Box<dyn Initializer> {
    let mut object = case.object.clone();
    for (name, value) in &case.missing_from_config {
        object["config"][name] = value.clone();
    }
    part(&case.name, &object)
}

fn drawn(initializer: &dyn Initializer, shape: &[usize], position: u64) -> Vec<f32> {
    let mut stream = Stream::new(1, "golden", position);
    initializer.values(shape, &mut stream).unwrap()
}

fn compare_values(report: &mut Report, case: &Case, values: &Values) {
    let key = ("initializer", class_of(&case.object));
    let got = drawn(&*made(case), &values.shape, 0);
    report.compare(key, &case.name, &got, &values.data, OPERATION);
}

/// Mean and variance.
fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
    (mean, squares.sum::<f64>() / count)
}

/// Another generator draws other numbers: what they have in common is the distribution.
fn compare_moments(report: &mut Report, case: &Case) {
    let values = drawn(&*made(case), &case.shape, 0);
    let (mean, variance) = moments(&values);
    let (name, stddev) = (&case.name, case.variance.sqrt());
    // Of 100,000 numbers, the mean's deviation is 0.3% of a distribution's and the variance's at
    // most 0.45% of itself; the difference of two draws has √2 times as much, and four of those are
    // allowed. What an Orthogonal draws is less independent, and nearer.
    let difference = (mean - case.mean).abs() / stddev;
    assert!(
        difference < 0.018,
        "{name}: mean {mean}, Keras has {}",
        case.mean
    );
    let close = Tolerance {
        relative: 0.026,
        absolute: 0.0,
    };
    let key = ("initializer", class_of(&case.object));
    let (what, variances) = (format!("{name} variance"), [variance, case.variance]);
    let [got, expected] = variances.map(|variance| [variance as f32]);
    report.compare(key, &what, &got, &expected, close);
    let greatest = |values: &[f32]| values.iter().fold(f64::MIN, |a, x| a.max(f64::from(*x)));
    let negative: Vec<f32> = values.iter().map(|x| -x).collect();
    // The limits of what is cut, within 0.1% of a deviation; how far the tails of a whole normal
    // distribution reach depends on the draw.
    let tails = case.max - case.mean > 3.0 * stddev;
    let allowed = if tails { 1.5 } else { 0.003 } * stddev;
    for (what, got, expected) in [
        ("greatest", greatest(&values), case.max),
        ("least", -greatest(&negative), case.min),
    ] {
        let close = (got - expected).abs() < allowed;
        assert!(close, "{name}: {what} {got}, Keras has {expected}");
    }
}

fn compare_orthogonal(report: &mut Report, case: &Orthogonal) {
    let initializer: Box<dyn Initializer> = part(&case.name, &case.object);
    let values = drawn(&*initializer, &case.shape, 0);
    let columns = *case.shape.last().unwrap();
    let rows = values.len() / columns;
    let (count, length) = (rows.min(columns), rows.max(columns));
    let at = |vector: usize, index: usize| match rows < columns {
        true => values[vector * columns + index],
        false => values[index * columns + vector],
    };
    let product = |i: usize, j: usize| (0..length).map(|k| at(i, k) * at(j, k)).sum::<f32>();
    let pairs = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
    let (got, expected): (Vec<f32>, Vec<f32>) = pairs
        .map(|(i, j)| {
            let square = if i == j { case.gain * case.gain } else { 0.0 };
            (product(i, j), square)
        })
        .unzip();
    let key = ("initializer", "Orthogonal");
    // Sums of up to 6 products, each of numbers that are rounded to f32.
    let tolerance = Tolerance {
        relative: 1e-6,
        absolute: 1e-6,
    };
    report.compare(key, &case.name, &got, &expected, tolerance);
}

fn compare_scale(case: &Scale) {
    let initializer: Box<dyn Initializer> = part(&case.name, &case.object);
    let values = (0..1000).flat_map(|position| drawn(&*initializer, &case.shape, position));
    let (_, variance) = moments(&values.collect::<Vec<f32>>());
    let ratio = variance.sqrt() / case.stddev;
    // At least 20,000 numbers: a deviation of 0.5%.
    let (name, expected) = (&case.name, case.stddev);
    assert!(
        (ratio - 1.0).abs() < 0.02,
        "{name}: {ratio} of Keras's {expected}"
    );
}

#[test]
fn initializers_draw_from_the_distributions_of_keras() {
    compare(&mut Report::default());
}
