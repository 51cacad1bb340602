//! The walkthrough as a careful user of candle writes it: candle-nn's layers and autograd, the
//! loss from the logits, momentum by hand.

mod mnist;
mod network;

use candle_core::{DType, Device, Tensor};
use network::Network;
use peers_protocol::{Driver, json};
use rand::seq::SliceRandom;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let mut driver = Driver::new()?;
    let task = driver.task.clone();
    anyhow::ensure!(task.optimizer == "sgd", "this loop knows SGD alone");
    let started = Instant::now();
    let (images, labels) = mnist::load(&task.data)?;
    let reading = started.elapsed().as_secs_f64();
    let (x, y) = (
        images.narrow(0, 0, task.samples)?,
        labels.narrow(0, 0, task.samples)?,
    );
    let held_back = images.dim(0)? - task.validation;
    let mut network = Network::new(&task.widths)?;
    driver.reply(&json!({"reading": reading, "versions": {}}))?;
    for _ in 0..task.epochs {
        driver.wait_for_go()?;
        let started = Instant::now();
        let accuracy = epoch(&mut network, &x, &y, task.batch)?;
        let val_accuracy = match task.validation {
            0 => None,
            count => Some(accuracy_on(
                &network,
                &images.narrow(0, held_back, count)?,
                &labels.narrow(0, held_back, count)?,
            )?),
        };
        let seconds = started.elapsed().as_secs_f64();
        driver.reply(
            &json!({"seconds": seconds, "accuracy": accuracy, "val_accuracy": val_accuracy}),
        )?;
    }
    Ok(())
}

/// One epoch in a new order; gives the accuracy on the way.
fn epoch(network: &mut Network, x: &Tensor, y: &Tensor, batch: usize) -> anyhow::Result<f32> {
    let count = x.dim(0)?;
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.shuffle(&mut rand::rng());
    let order = Tensor::new(order, &Device::Cpu)?;
    let (mut right, mut loss) = (0.0, 0.0);
    for start in (0..count).step_by(batch) {
        let length = batch.min(count - start);
        let rows = order.narrow(0, start, length)?;
        let step = network.step(&x.index_select(&rows, 0)?, &y.index_select(&rows, 0)?)?;
        right += step.right;
        loss += step.loss * length as f32;
    }
    println!(
        "accuracy: {} - loss: {}",
        right / count as f32,
        loss / count as f32
    );
    Ok(right / count as f32)
}

fn accuracy_on(network: &Network, x: &Tensor, y: &Tensor) -> candle_core::Result<f32> {
    let right = network::right(&network.logits(x)?, y)?;
    right.to_dtype(DType::F32)?.mean_all()?.to_scalar()
}
