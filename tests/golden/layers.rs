use super::{GiveOut, OPERATION, Report, Tolerance, Values, class_of, flat, load, part};
use candle_keras::{
    layers::{Layer, Normalization},
    losses::{Loss, Reduction},
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    adapt: Vec<AdaptCase>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    object: Value,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    weights: Vec<NamedValues>,
    training: bool,
    x: Values,
    y: Values,
    c: Values,
    gradient_x: Option<Values>,
    gradients: Vec<Values>,
    after: Option<Vec<NamedValues>>,
    penalty: Option<f32>,
}

#[derive(Deserialize)]
struct NamedValues {
    name: String,
    trainable: bool,
    #[serde(flatten)]
    values: Values,
}

#[derive(Deserialize)]
struct AdaptCase {
    name: String,
    object: Value,
    data: Values,
    mean: Values,
    variance: Values,
    count: Values,
    x: Values,
    y: Values,
}

/// Arguments that Keras writes and that say nothing here.
const WITHOUT_EFFECT: [&str; 3] = ["dtype", "build_config", "registered_name"];

/// Layers that drop or add at random while training, and do nothing otherwise: with outputs that
/// are compared in inference there are no gradients, as those are of a training step.
const RANDOM: [&str; 4] = [
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
];

pub(crate) fn compare(report: &mut Report) {
    let file: File = load("layers");
    for case in &file.cases {
        compare_configuration(case);
        // In f32, and in the plain formulation, which f64 takes.
        for dtype in [DType::F32, DType::F64] {
            Comparison::new(case, dtype).run(report);
        }
    }
    for case in &file.adapt {
        compare_adapted(report, case);
    }
}

/// What the layer writes is what Keras wrote.
fn compare_configuration(case: &Case) {
    let layer: Box<dyn Layer> = part(&case.name, &case.object);
    let written = serde_json::to_value(&*layer).unwrap();
    assert_same(&case.name, &written, &case.object);
}

/// The same configuration, where a `null` may be left out and a number be written in any way.
fn assert_same(place: &str, ours: &Value, keras: &Value) {
    match (ours, keras) {
        (Value::Object(ours), Value::Object(keras)) => {
            for key in ours.keys().chain(keras.keys()) {
                if !WITHOUT_EFFECT.contains(&key.as_str()) {
                    let value = |object: &Map<String, Value>| object.get(key).cloned();
                    let (ours, keras) = (value(ours), value(keras));
                    let (ours, keras) = (ours.unwrap_or_default(), keras.unwrap_or_default());
                    assert_same(&format!("{place}.{key}"), &ours, &keras);
                }
            }
        }
        (Value::Array(ours), Value::Array(keras)) if ours.len() == keras.len() => {
            for (ours, keras) in ours.iter().zip(keras) {
                assert_same(place, ours, keras);
            }
        }
        (Value::Number(ours), Value::Number(keras)) => {
            assert_eq!(ours.as_f64(), keras.as_f64(), "{place}");
        }
        _ => assert_eq!(ours, keras, "{place}"),
    }
}

/// The object without what it adds to the loss, of which Keras's gradients do not know.
fn without_penalties(object: &Value) -> Value {
    let mut object = object.clone();
    let is_penalty = class_of(&object) == "ActivityRegularization";
    for (key, value) in object["config"].as_object_mut().unwrap() {
        if key.ends_with("_regularizer") {
            *value = Value::Null;
        } else if is_penalty && ["l1", "l2"].contains(&key.as_str()) {
            *value = json!(0.0);
        }
    }
    object
}

/// A case, in one type of numbers.
struct Comparison<'a> {
    case: &'a Case,
    dtype: DType,
    key: (&'static str, &'a str),
}

impl<'a> Comparison<'a> {
    fn new(case: &'a Case, dtype: DType) -> Self {
        Self {
            case,
            dtype,
            key: ("layer", class_of(&case.object)),
        }
    }

    fn run(&self, report: &mut Report) {
        self.compare_outputs(report);
        self.compare_gradients(report);
        self.compare_penalty(report);
        if self.case.training {
            self.compare_changed_weights(report);
        }
    }

    fn check(&self, report: &mut Report, what: &str, got: &[f32], expected: &[f32]) {
        let what = format!("{} {:?} {what}", self.case.name, self.dtype);
        report.compare(self.key, &what, got, expected, tolerance(self.key.1));
    }

    fn compare_outputs(&self, report: &mut Report) {
        let mut run = self.built(&self.case.object);
        assert_eq!(
            run.model.output_shape(),
            self.case.output_shape,
            "{}",
            self.case.name
        );
        let y = if self.case.training {
            run.gradients();
            run.loss.seen()
        } else {
            run.model.predict(&run.x).unwrap()
        };
        assert_eq!(y.dims(), self.case.y.shape, "{}", self.case.name);
        self.check(report, "outputs", &flat(&y), &self.case.y.data);
        if !self.case.training {
            run.model.test_on_batch(&run.x, &run.c).unwrap();
            self.check(
                report,
                "outputs of a test",
                &flat(&run.loss.seen()),
                &self.case.y.data,
            );
        }
    }

    fn compare_gradients(&self, report: &mut Report) {
        let (case, class_name) = (self.case, self.key.1);
        if !case.training && RANDOM.contains(&class_name) {
            return;
        }
        let mut run = self.built(&without_penalties(&case.object));
        let mut expected: Vec<&Values> = case.gradient_x.iter().chain(&case.gradients).collect();
        if !case.training && class_name == "BatchNormalization" {
            // A training step goes by the batch unless the layer is frozen, and then gives the
            // inputs' gradient alone.
            let name = run.model.layers().last().unwrap().name().to_string();
            run.model.set_trainable(&name, false).unwrap();
            expected.truncate(1);
        }
        let gradients = run.gradients();
        assert_eq!(gradients.len(), expected.len(), "{}", case.name);
        for ((path, got), expected) in gradients.iter().zip(expected) {
            assert_eq!(got.dims(), expected.shape, "{} {path}", case.name);
            let what = format!("gradient of {path}");
            self.check(report, &what, &flat(got), &expected.data);
        }
    }

    fn compare_penalty(&self, report: &mut Report) {
        let Some(penalty) = self.case.penalty else {
            return;
        };
        let mut run = self.built(&self.case.object);
        // With no outputs in the loss there is nothing else.
        let none = run.c.zeros_like().unwrap();
        let logs = run.model.test_on_batch(&run.x, &none).unwrap();
        self.check(report, "penalty", &[logs["loss"] as f32], &[penalty]);
    }

    /// The weights that a training step changes without an optimizer.
    fn compare_changed_weights(&self, report: &mut Report) {
        let case = self.case;
        let mut run = self.built(&case.object);
        run.model.train_on_batch(&run.x, &run.c).unwrap();
        let before = case.weights.iter().filter(|weight| !weight.trainable);
        let expected: Vec<&NamedValues> = match &case.after {
            Some(after) => after.iter().collect(),
            None => before.collect(),
        };
        let layer = run.model.layers().last().unwrap();
        for expected in expected {
            let mut weights = layer.weights().iter();
            let weight = weights
                .find(|weight| weight.name() == expected.name)
                .unwrap();
            let what = format!("{} after a step", expected.name);
            self.check(report, &what, &flat(weight.value()), &expected.values.data);
        }
    }

    /// A model of a layer that gives out the case's inputs and the case's layer, of `object`, with
    /// the case's weights. Whole numbers, which have no gradient, are the model's own inputs.
    fn built(&self, object: &Value) -> Run {
        let case = self.case;
        let mut object = object.clone();
        if object["config"]["mask_zero"] == true {
            // The loss here is one of all steps of a sample, which a mask of steps does not fit.
            object["config"]["mask_zero"] = false.into();
        }
        let layer: Box<dyn Layer> = part(&case.name, &object);
        let inputs = case.x.tensor();
        assert_eq!(case.x.shape[1..], case.input_shape, "{}", case.name);
        let (x, model) = match case.gradient_x {
            Some(_) => {
                let x = Tensor::zeros((case.x.shape[0], 1), DType::F32, &Device::Cpu).unwrap();
                let give_out = GiveOut(case.x.clone());
                (x, Sequential::new().add(Input::new(1)).add(give_out))
            }
            None => {
                let input = Input::new(&case.input_shape[..]);
                (inputs, Sequential::new().add(input))
            }
        };
        let model = model.add(layer).dtype(self.dtype);
        let mut model = model
            .build(&Device::Cpu)
            .unwrap_or_else(|error| panic!("{error}"));
        let layer = model.layers().last().unwrap();
        let of_layer = layer.weights().iter();
        let paths: Vec<String> = of_layer.map(|weight| weight.path().to_string()).collect();
        assert_eq!(paths.len(), case.weights.len(), "{}", case.name);
        for (weight, expected) in layer.weights().iter().zip(&case.weights) {
            assert_eq!(weight.name(), expected.name, "{}", case.name);
            let trainable = expected.trainable;
            assert_eq!(
                weight.trainable(),
                trainable,
                "{} {}",
                case.name,
                expected.name
            );
        }
        for (path, expected) in paths.iter().zip(&case.weights) {
            let values = expected.values.tensor();
            model
                .set_weight(path, &values)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        let loss = SumOfProducts::default();
        model.compile(Sgd::new(0.0), loss.clone(), ()).unwrap();
        Run {
            model,
            loss,
            x,
            c: case.c.tensor(),
        }
    }
}

/// A layer in a compiled model, and what goes in.
struct Run {
    model: Sequential,
    loss: SumOfProducts,
    x: Tensor,
    c: Tensor,
}

impl Run {
    fn gradients(&mut self) -> Vec<(String, Tensor)> {
        let gradients = self.model.gradients(&self.x, &self.c);
        gradients.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Σ c·y over a batch, with c for targets; it remembers the outputs y.
#[derive(Debug, Clone, Default)]
struct SumOfProducts(Arc<Mutex<Option<Tensor>>>);

impl SumOfProducts {
    fn seen(&self) -> Tensor {
        self.0.lock().unwrap().take().unwrap()
    }
}

impl Loss for SumOfProducts {
    fn name(&self) -> &str {
        "sum_of_products"
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> candle_keras::Result<Tensor> {
        *self.0.lock().unwrap() = Some(y_pred.detach());
        let samples = y_pred.dim(0)?;
        Ok((y_true * y_pred)?.reshape((samples, ()))?.sum(1)?)
    }

    fn given_reduction(&self) -> Reduction {
        Reduction::Sum
    }

    fn check(&self, _: &Data, _: &[usize]) -> candle_keras::Result<()> {
        Ok(())
    }
}

/// What numbers of a class may be off.
fn tolerance(class_name: &str) -> Tolerance {
    match class_name {
        // Sums of products of size 1, and tanh's 1 - y²: they lose as many digits as they are
        // smaller than their parts, of which each is off by up to 1.2e-7.
        "Activation" | "Dense" => Tolerance {
            absolute: 5e-7,
            ..OPERATION
        },
        // Keras computes γ·(x - m)·r + β as x·(γ·r) + (β - m·(γ·r)): of numbers near their mean m it
        // keeps the digits of m·r alone, which is 31 in the case of a constant row.
        "BatchNormalization" | "GroupNormalization" => Tolerance {
            absolute: 1e-6,
            ..OPERATION
        },
        "LayerNormalization" => Tolerance {
            absolute: 4e-6,
            ..OPERATION
        },
        _ => OPERATION,
    }
}

fn compare_adapted(report: &mut Report, case: &AdaptCase) {
    let key = ("layer", "Normalization");
    let layer: Normalization = part(&case.name, &case.object["config"]);
    let layer = layer.adapt(case.data.tensor()).unwrap();
    let model = Sequential::new()
        .add(Input::new(&case.data.shape[1..]))
        .add(layer)
        .build(&Device::Cpu)
        .unwrap();
    let expected = [&case.mean, &case.variance, &case.count];
    for (weight, expected) in model.weights().zip(expected) {
        let what = format!("{} {}", case.name, weight.name());
        assert_eq!(weight.value().dims(), expected.shape, "{what}");
        report.compare(key, &what, &flat(weight.value()), &expected.data, OPERATION);
    }
    let y = model.predict(case.x.tensor()).unwrap();
    report.compare(key, &case.name, &flat(&y), &case.y.data, OPERATION);
}

#[test]
fn layers_their_gradients_weights_and_penalties_are_those_of_keras() {
    compare(&mut Report::default());
}
