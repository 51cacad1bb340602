use super::{OPERATION, Report, Values, class_of, flat, load, part};
use candle_core::Var;
use candle_keras::{activations::ActivationFunction, initializers, losses::Loss, prelude::*};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    fused: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    object: Value,
    /// Arguments that Keras forgets to write into `object`.
    missing_from_config: Option<Map<String, Value>>,
    activation: Option<String>,
    y_true: Values,
    y_pred: Option<Values>,
    z: Option<Values>,
    sample_weight: Option<Values>,
    per_sample: Values,
    value: f32,
    gradient: Values,
}

impl Case {
    /// The loss of the object, with all its arguments.
    fn loss(&self) -> Box<dyn Loss> {
        let mut object = self.object.clone();
        for (name, value) in self.missing_from_config.iter().flatten() {
            object["config"][name] = value.clone();
        }
        part(&self.name, &object)
    }

    fn loses_logits(&self) -> bool {
        LOSING_LOGITS.contains(&&self.name[..])
    }

    fn activation(&self) -> Option<ActivationFunction> {
        Some(match self.activation.as_deref()? {
            "sigmoid" => Sigmoid,
            "softmax" => Softmax,
            other => panic!("{}: {other}", self.name),
        })
    }
}

/// Keras drops the last axis of outputs (4, 3, 1) before it compares them with targets (4, 3), loses
/// the logits with it, and clips the probabilities. Here the logits stay, and with them the gradient.
const LOSING_LOGITS: [&str; 1] = ["bce_sigmoid_squeezed_extreme"];

pub(crate) fn compare(report: &mut Report) {
    let file: File = load("losses");
    for case in file.cases.iter().chain(&file.fused) {
        compare_formulas(report, case);
        if !case.loses_logits() {
            compare_training(report, case);
        }
    }
}

/// The losses of every sample, by the loss's own gradient and by candle's.
fn compare_formulas(report: &mut Report, case: &Case) {
    let key = ("loss", class_of(&case.object));
    let mut loss = case.loss();
    let mut y_pred = case.y_pred.as_ref().or(case.z.as_ref()).unwrap().tensor();
    if let Some(activation) = case.activation() {
        match loss.fused_with(activation) {
            Some(of_logits) if !case.loses_logits() => loss = of_logits,
            _ => y_pred = activation.call(&y_pred).unwrap(),
        }
    }
    let y_true = case.y_true.tensor();
    let mut check = |way: &str, losses: &Tensor| {
        let what = format!("{} {way}", case.name);
        report.compare(key, &what, &flat(losses), &case.per_sample.data, OPERATION);
        assert_eq!(losses.dims(), case.per_sample.shape, "{what}");
    };
    check("alone", &loss.values(&y_true, &y_pred).unwrap());
    if let Some((losses, _)) = loss.losses_and_gradient(&y_true, &y_pred).unwrap() {
        check("fused", &losses);
    }
    let y_pred = Var::from_tensor(&y_pred).unwrap();
    check("plain", &loss.call(&y_true, &y_pred).unwrap());
}

/// The batch's loss and its gradient, with weights and reduction, as a model that gives out numbers
/// has them.
fn compare_training(report: &mut Report, case: &Case) {
    let key = ("loss", class_of(&case.object));
    let y_pred = case.y_pred.as_ref().or(case.z.as_ref()).unwrap();
    let samples = y_pred.shape[0];
    let mut model = Sequential::new()
        .add(Input::new(1))
        .add(Shifted(y_pred.clone()));
    if let Some(activation) = case.activation() {
        model = model.add(Activation::new(activation));
    }
    let mut model = model.build(&Device::Cpu).unwrap();
    model.compile(Sgd::new(1.0), case.loss(), ()).unwrap();
    let x = Tensor::zeros((samples, 1), DType::F32, &Device::Cpu).unwrap();
    let y = case.y_true.tensor();
    let mut batch = candle_keras::OnBatch::new();
    if let Some(weights) = &case.sample_weight {
        batch = batch.sample_weight(for_each_sample(weights, samples));
    }
    let mut compare = |what: &str, got: &[f32], expected: &[f32]| {
        report.compare(
            key,
            &format!("{} {what}", case.name),
            got,
            expected,
            OPERATION,
        );
    };
    let logs = model.test_on_batch_with(&x, &y, batch.clone()).unwrap();
    compare("reduced", &[logs["loss"] as f32], &[case.value]);
    // The weight was 0, so that a step of 1 leaves minus its gradient.
    model.train_on_batch_with(&x, &y, batch).unwrap();
    let weight = model.weights().next().unwrap().value();
    compare(
        "gradient",
        &flat(&weight.neg().unwrap()),
        &case.gradient.data,
    );
}

/// Weights of samples; Keras takes one number for all of them as well.
fn for_each_sample(weights: &Values, samples: usize) -> Tensor {
    let weights = weights.tensor();
    if weights.rank() == 0 {
        return weights.broadcast_as(samples).unwrap();
    }
    weights
}

/// Outputs that are these numbers and a weight of 0, whatever goes in: the loss's gradient is the
/// weight's.
#[derive(Debug)]
struct Shifted(Values);

impl candle_keras::layers::Layer for Shifted {
    fn class_name(&self) -> &str {
        "Shifted"
    }
    fn build(
        &mut self,
        _: &[usize],
        weights: &mut candle_keras::weights::WeightBuilder<'_>,
    ) -> candle_keras::Result<()> {
        weights.add("added", &self.0.shape, &initializers::Zeros)
    }
    fn output_shape(&self, _: &[usize]) -> candle_keras::Result<Vec<usize>> {
        Ok(self.0.shape[1..].to_vec())
    }
    fn forward(
        &self,
        _: &Tensor,
        pass: &mut candle_keras::layers::Pass<'_>,
    ) -> candle_keras::Result<Tensor> {
        Ok((pass.weight("added")? + self.0.tensor())?)
    }
}

#[test]
fn losses_their_reductions_and_gradients_are_those_of_keras() {
    compare(&mut Report::default());
}
