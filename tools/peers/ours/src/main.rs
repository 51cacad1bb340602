//! The walkthrough with candle-keras, an epoch at a time.

use candle_keras::{
    Error, Result,
    callbacks::Callback,
    datasets::{Dataset, mnist},
    prelude::*,
};
use peers_protocol::{Driver, Task, Value, command, json, measured, split};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let mut driver = Driver::new()?;
    let task = driver.task.clone();
    let started = Instant::now();
    let mnist = mnist::load_from(&task.data)?;
    let reading = started.elapsed().as_secs_f64();
    let mut model = model(&task)?;
    driver.reply(&json!({"reading": reading, "versions": {}}))?;
    train(&mut model, &mnist, &mut driver)?;
    serve(&model, &mnist, &mut driver)
}

fn model(task: &Task) -> Result<Sequential> {
    let mut layers = Sequential::new().add(Input::new(784));
    for units in &task.widths {
        layers = layers.add(Dense::new(*units).activation(Relu));
    }
    let mut model = layers
        .add(Dense::new(10).activation(Softmax))
        .build(&Device::Cpu)?;
    let loss = CategoricalCrossentropy::new();
    match task.optimizer.as_str() {
        "adam" => model.compile(Adam::new(0.001), loss, [Accuracy])?,
        _ => model.compile(Sgd::new(0.01).momentum(0.9), loss, [Accuracy])?,
    }
    Ok(model)
}

fn train(model: &mut Sequential, mnist: &Dataset, driver: &mut Driver) -> anyhow::Result<()> {
    let task = driver.task.clone();
    let x = mnist.train_images.clone().flatten().scale(1.0 / 255.0)?;
    let y = to_categorical(&mnist.train_labels, 10)?;
    let mut options = Fit::new().epochs(task.epochs).batch_size(task.batch);
    if task.validation > 0 {
        let start = x.len() - task.validation;
        options = options.validation_data(
            x.narrow(0, start, task.validation)?,
            y.narrow(0, start, task.validation)?,
        );
    }
    let started = Instant::now();
    model.fit(
        &x.narrow(0, 0, task.samples)?,
        &y.narrow(0, 0, task.samples)?,
        options.callback(Clock { driver, started }),
    )?;
    Ok(())
}

/// Lets each epoch wait for the driver, and tells it how long the epoch took.
struct Clock<'a> {
    driver: &'a mut Driver,
    started: Instant,
}

impl Callback for Clock<'_> {
    fn on_epoch_begin(&mut self, _epoch: usize, _model: &mut Sequential) -> Result<()> {
        self.driver.wait_for_go().map_err(Error::callback)?;
        self.started = Instant::now();
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        _model: &mut Sequential,
    ) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        let val_accuracy = logs.get("val_accuracy");
        let reply =
            json!({"seconds": seconds, "accuracy": logs["accuracy"], "val_accuracy": val_accuracy});
        self.driver.reply(&reply).map_err(Error::callback)
    }
}

/// Predicts and evaluates as the driver asks.
fn serve(model: &Sequential, mnist: &Dataset, driver: &mut Driver) -> anyhow::Result<()> {
    let x = mnist.test_images.clone().flatten().scale(1.0 / 255.0)?;
    let y = to_categorical(&mnist.test_labels, 10)?;
    while let Some(command) = command()? {
        let reply = match split(&command)? {
            ("predict", batch_size) => predict(model, &x, &mnist.test_labels, batch_size)?,
            ("evaluate", batch_size) => evaluate(model, &x, &y, batch_size)?,
            ("one", _) => {
                let image = x.narrow(0, 0, 1)?;
                predict(model, &image, &mnist.test_labels.narrow(0, 0, 1)?, 32)?
            }
            (name, _) => anyhow::bail!("no command {name}"),
        };
        driver.reply(&reply)?;
    }
    Ok(())
}

fn predict(
    model: &Sequential,
    x: &Data,
    labels: &Tensor,
    batch_size: usize,
) -> anyhow::Result<Value> {
    let options = Predict::new().batch_size(batch_size).verbose(0);
    let (seconds, probabilities) = measured(|| Ok(model.predict_with(x, options.clone())?))?;
    let classes = probabilities.argmax(1)?.to_dtype(DType::U8)?;
    let right = classes.eq(labels)?.to_dtype(DType::F32)?.mean_all()?;
    Ok(json!({"seconds": seconds, "accuracy": right.to_scalar::<f32>()?}))
}

fn evaluate(model: &Sequential, x: &Data, y: &Tensor, batch_size: usize) -> anyhow::Result<Value> {
    let options = Evaluate::new().batch_size(batch_size).verbose(0);
    let (seconds, scores) = measured(|| Ok(model.evaluate_with(x, y, options.clone())?))?;
    Ok(json!({"seconds": seconds, "accuracy": scores["accuracy"]}))
}
