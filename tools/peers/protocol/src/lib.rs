//! How a program is driven: its task is the first argument, commands come on standard input, and
//! replies, one JSON object a line, go to the file that the task names. Standard output stays free
//! for the progress that a user would see.

use anyhow::{Context, bail};
use serde::Deserialize;
pub use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

/// What to train, and on how much.
#[derive(Debug, Clone, Deserialize)]
pub struct Task {
    /// The folder with MNIST's four files.
    pub data: PathBuf,
    /// Where replies go.
    pub replies: PathBuf,
    /// Units of the hidden layers.
    pub widths: Vec<usize>,
    /// Samples in a step.
    pub batch: usize,
    /// `sgd` or `adam`.
    pub optimizer: String,
    /// The first so many images are trained on,
    pub samples: usize,
    /// and the last so many are validated on after each epoch.
    pub validation: usize,
    /// Each epoch waits for its `go`.
    pub epochs: usize,
}

/// The way to the driver.
pub struct Driver {
    /// What it asked for.
    pub task: Task,
    replies: File,
}

impl Driver {
    /// Reads the task from the first argument.
    ///
    /// # Errors
    /// When there is none, or its file for replies cannot be opened.
    pub fn new() -> anyhow::Result<Self> {
        let text = std::env::args()
            .nth(1)
            .context("expected the task as an argument")?;
        let task: Task = serde_json::from_str(&text)?;
        let replies = OpenOptions::new().write(true).open(&task.replies)?;
        Ok(Self { task, replies })
    }

    /// Sends one reply.
    ///
    /// # Errors
    /// When the driver is gone.
    pub fn reply(&mut self, reply: &Value) -> std::io::Result<()> {
        writeln!(self.replies, "{reply}")
    }

    /// Waits until the next epoch may start.
    ///
    /// # Errors
    /// When anything but `go` comes.
    pub fn wait_for_go(&self) -> anyhow::Result<()> {
        match command()?.as_deref() {
            Some("go") => Ok(()),
            other => bail!("expected go, got {other:?}"),
        }
    }
}

/// The next command, or `None` when the driver has closed the pipe.
///
/// # Errors
/// When reading fails.
pub fn command() -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim().to_string()))
}

/// A command and its number, 0 where there is none: `predict 32`.
///
/// # Errors
/// When the number is none.
pub fn split(command: &str) -> anyhow::Result<(&str, usize)> {
    match command.split_once(' ') {
        None => Ok((command, 0)),
        Some((name, number)) => Ok((name, number.parse()?)),
    }
}

/// Runs `work` again and again for about a fifth of a second, so that short work is measured well;
/// gives the median of its seconds, and its last result.
///
/// # Errors
/// Those of `work`.
pub fn measured<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    const LONG_ENOUGH: Duration = Duration::from_millis(200);
    let begun = Instant::now();
    let mut seconds = Vec::new();
    loop {
        let started = Instant::now();
        let result = work()?;
        seconds.push(started.elapsed().as_secs_f64());
        if begun.elapsed() > LONG_ENOUGH {
            seconds.sort_by(f64::total_cmp);
            return Ok((seconds[seconds.len() / 2], result));
        }
    }
}
