use super::{Report, Tolerance, Values, flat, load, part};
use candle_keras::{
    Batch, callbacks::Callback, layers::Layer, losses::Loss, metrics::Metric, metrics::Weighted,
    optimizers::Optimizer, prelude::*,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct File {
    programs: Vec<Program>,
}

#[derive(Deserialize)]
struct Program {
    name: String,
    input_shape: Vec<usize>,
    layers: Vec<Value>,
    optimizer: Value,
    loss: Value,
    metrics: Vec<Value>,
    weighted_metrics: Vec<Value>,
    fit: Options,
    x: Values,
    y: Values,
    sample_weight: Option<Values>,
    validation_data: Option<Validation>,
    initial_weights: Vec<WeightValues>,
    final_weights: Vec<WeightValues>,
    batches: Vec<Running>,
    epochs: Vec<Numbers>,
    evaluate: Numbers,
    predict: Values,
}

/// A loss and metrics, each one number or several.
type Numbers = BTreeMap<String, Value>;

#[derive(Deserialize)]
struct Options {
    batch_size: usize,
    epochs: usize,
    #[serde(default)]
    validation_split: f64,
    class_weight: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    initial_epoch: usize,
    steps_per_epoch: Option<usize>,
    validation_batch_size: Option<usize>,
    validation_steps: Option<usize>,
    validation_freq: usize,
}

#[derive(Deserialize)]
struct Validation {
    x: Values,
    y: Values,
    sample_weight: Option<Values>,
}

#[derive(Deserialize)]
struct WeightValues {
    layer: usize,
    name: String,
    data: Vec<f32>,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Running {
    running: Numbers,
}

/// Notes the running means after every batch.
struct Noted(Vec<Logs>);

impl Callback for Noted {
    fn on_train_batch_end(
        &mut self,
        _batch: usize,
        model: &mut Sequential,
    ) -> candle_keras::Result<()> {
        self.0.push(model.running_logs()?);
        Ok(())
    }
}

/// What three epochs of roundings may make of a loss or a metric.
const TRAINED: Tolerance = Tolerance {
    relative: 1e-5,
    absolute: 1e-6,
};

/// What they may make of a weight.
const WEIGHT: Tolerance = Tolerance {
    relative: 1e-4,
    absolute: 1e-5,
};

/// A metric from what `compile` was given: an object, or a name that it then bears.
fn metric(program: &str, given: &Value) -> Box<dyn Metric> {
    match given {
        Value::String(name) if name != "accuracy" => part(
            program,
            &json!({"class_name": name, "config": {"name": name}}),
        ),
        other => part(program, other),
    }
}

impl Program {
    fn model(&self) -> Sequential {
        let layers = self
            .layers
            .iter()
            .map(|layer| part::<Box<dyn Layer>>(&self.name, layer));
        let start = Sequential::new().add(Input::new(&self.input_shape[..]));
        let model = layers.fold(start, Sequential::add);
        let mut model = model.build(&Device::Cpu).unwrap();
        let names = model.layer_names().into_iter().map(str::to_string);
        let names: Vec<String> = names.collect();
        for weight in &self.initial_weights {
            let path = format!("{}/{}", names[weight.layer], weight.name);
            let values = Tensor::from_vec(weight.data.clone(), &weight.shape[..], &Device::Cpu);
            model.set_weight(&path, &values.unwrap()).unwrap();
        }
        let mut metrics: Vec<Box<dyn Metric>> = Vec::new();
        metrics.extend(self.metrics.iter().map(|given| metric(&self.name, given)));
        for given in &self.weighted_metrics {
            metrics.push(Box::new(Weighted(metric(&self.name, given))));
        }
        let optimizer: Box<dyn Optimizer> = part(&self.name, &self.optimizer);
        let loss: Box<dyn Loss> = part(&self.name, &self.loss);
        model.compile(optimizer, loss, metrics).unwrap();
        model
    }

    fn options<'a>(&self, noted: &'a mut Noted) -> Fit<'a> {
        let given = &self.fit;
        let mut options = Fit::new()
            .batch_size(given.batch_size)
            .epochs(given.epochs)
            .initial_epoch(given.initial_epoch)
            .validation_freq(given.validation_freq)
            .shuffle(false)
            .verbose(0)
            .callback(noted);
        if given.validation_split > 0.0 {
            options = options.validation_split(given.validation_split);
        }
        if let Some(weights) = &given.class_weight {
            let weight =
                |(class, weight): (&String, &f64)| (class.parse::<i64>().unwrap(), *weight);
            options = options.class_weight(weights.iter().map(weight));
        }
        if let Some(steps) = given.steps_per_epoch {
            options = options.steps_per_epoch(steps);
        }
        if let Some(steps) = given.validation_steps {
            options = options.validation_steps(steps);
        }
        if let Some(batch_size) = given.validation_batch_size {
            options = options.validation_batch_size(batch_size);
        }
        if let Some(weights) = &self.sample_weight {
            options = options.sample_weight(weights.tensor());
        }
        if let Some(data) = &self.validation_data {
            let mut batch = Batch::new(data.x.tensor(), data.y.tensor());
            if let Some(weights) = &data.sample_weight {
                batch = batch.sample_weight(weights.tensor());
            }
            options = options.validation_batch(batch);
        }
        options
    }
}

/// One number, or all of a metric that has several.
fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(numbers) => numbers.iter().flat_map(numbers_of_one).collect(),
        number => numbers_of_one(number).collect(),
    }
}

fn numbers_of_one(value: &Value) -> impl Iterator<Item = f32> {
    value.as_f64().into_iter().map(|number| number as f32)
}

fn compare_logs(report: &mut Report, what: &str, got: &Logs, expected: &Numbers) {
    let names: Vec<&str> = got.iter().map(|(name, _)| name).collect();
    let expected_names: Vec<&String> = expected.keys().collect();
    assert_eq!(names, expected_names, "{what}");
    for (name, expected) in expected {
        let got: Vec<f32> = got
            .values(name)
            .unwrap()
            .iter()
            .map(|x| *x as f32)
            .collect();
        let what = format!("{what} {name}");
        report.compare(
            ("program", "loss and metrics"),
            &what,
            &got,
            &numbers(expected),
            TRAINED,
        );
    }
}

fn compare_program(report: &mut Report, program: &Program) {
    let name = &program.name;
    let mut model = program.model();
    let mut noted = Noted(Vec::new());
    let (x, y) = (program.x.tensor(), program.y.tensor());
    let history = model.fit(&x, &y, program.options(&mut noted)).unwrap();

    assert_eq!(noted.0.len(), program.batches.len(), "{name}");
    for (index, (got, batch)) in noted.0.iter().zip(&program.batches).enumerate() {
        compare_logs(
            report,
            &format!("{name} batch {index}"),
            got,
            &batch.running,
        );
    }
    compare_history(report, program, &history);
    assert_eq!(
        model.weights().count(),
        program.final_weights.len(),
        "{name}"
    );
    for (weight, expected) in model.weights().zip(&program.final_weights) {
        let what = format!("{name} {}", weight.path());
        let got = flat(weight.value());
        report.compare(
            ("program", "final weights"),
            &what,
            &got,
            &expected.data,
            WEIGHT,
        );
    }
    let mut options = Evaluate::new()
        .batch_size(program.fit.batch_size)
        .verbose(0);
    if let Some(weights) = &program.sample_weight {
        options = options.sample_weight(weights.tensor());
    }
    let scores = model.evaluate_with(&x, &y, options).unwrap();
    compare_logs(
        report,
        &format!("{name} evaluate"),
        &scores,
        &program.evaluate,
    );
    let rows = program.predict.shape[0];
    let outputs = model.predict(x.narrow(0, 0, rows).unwrap()).unwrap();
    let what = format!("{name} predict");
    report.compare(
        ("program", "outputs"),
        &what,
        &flat(&outputs),
        &program.predict.data,
        WEIGHT,
    );
}

/// Every epoch's numbers; those of the validation have no row for an epoch without one.
fn compare_history(report: &mut Report, program: &Program, history: &History) {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (epoch, expected) in program.epochs.iter().enumerate() {
        for (name, expected) in expected {
            let expected = numbers(expected);
            let mean = expected.iter().sum::<f32>() / expected.len() as f32;
            let row = rows.entry(name).or_default();
            let got = history.get(name).unwrap()[*row] as f32;
            *row += 1;
            let what = format!("{} epoch {epoch} {name}", program.name);
            report.compare(
                ("program", "loss and metrics"),
                &what,
                &[got],
                &[mean],
                TRAINED,
            );
        }
    }
}

pub(crate) fn compare(report: &mut Report) {
    for program in load::<File>("programs").programs {
        compare_program(report, &program);
    }
}

#[test]
fn whole_programs_train_step_by_step_as_in_keras() {
    compare(&mut Report::default());
}
