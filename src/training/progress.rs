//! What is shown while a model trains: Keras's bar in a terminal, lines of plain text elsewhere.

use super::Logs;
use crate::{Error, Result, printing::say, python};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verbosity {
    Silent,
    Bar,
    Line,
}

impl Verbosity {
    /// Keras's numbers: 0 silent, 1 a bar, 2 a line an epoch.
    pub(crate) fn new(verbose: u8) -> Result<Self> {
        match verbose {
            0 => Ok(Self::Silent),
            1 => Ok(Self::Bar),
            2 => Ok(Self::Line),
            _ => Err(Error::argument(
                "verbose",
                "0, 1 or 2",
                verbose,
                "0 shows nothing, 1 a bar, 2 a line for each epoch",
            )),
        }
    }
}

/// Often enough for the eye, too seldom to cost.
const REDRAW: Duration = Duration::from_millis(100);

/// What ends sooner is not worth a bar where none was asked for.
const LONG: Duration = Duration::from_secs(1);

/// The progress of one epoch, or of an evaluation.
pub(crate) struct Progress {
    verbosity: Verbosity,
    bar: Option<ProgressBar>,
    steps: Option<usize>,
    /// Steps that another process has done.
    skipped: usize,
    done: usize,
    started: Instant,
    drawn: Instant,
}

impl Progress {
    /// Of so many steps, where their number is known.
    pub(crate) fn new(verbosity: Verbosity, steps: Option<usize>) -> Self {
        let live = verbosity == Verbosity::Bar && std::io::stdout().is_terminal();
        Self {
            verbosity,
            // indicatif hides the bar on a terminal that cannot redraw a line.
            bar: live
                .then(|| bar(steps, ProgressDrawTarget::stdout_with_hz(10)))
                .filter(|bar| !bar.is_hidden()),
            steps,
            skipped: 0,
            done: 0,
            started: Instant::now(),
            drawn: Instant::now(),
        }
    }

    /// A bar that is seen only in a terminal and while long work lasts, and leaves nothing behind.
    pub(crate) fn of_long_work(verbosity: Verbosity, steps: Option<usize>) -> Self {
        let shown = match verbosity {
            Verbosity::Silent => Verbosity::Silent,
            Verbosity::Bar | Verbosity::Line => Verbosity::Bar,
        };
        let mut progress = Self::new(shown, steps);
        progress.drawn += LONG;
        progress
    }

    /// Takes the bar away.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// `Epoch 1/5`, where there are several.
    pub(crate) fn epoch_begin(&mut self, epoch: usize, epochs: usize) {
        if self.verbosity != Verbosity::Silent && epochs > 1 {
            say(&format!("Epoch {}/{epochs}", epoch + 1));
        }
    }

    /// These steps of the epoch were done in another process.
    pub(crate) fn skip(&mut self, steps: usize) {
        self.skipped = steps;
    }

    /// A batch is done; `logs` is asked only when it is time to draw.
    pub(crate) fn batch_end(&mut self, logs: impl FnOnce() -> Result<Logs>) -> Result<()> {
        self.done += 1;
        let Some(bar) = &self.bar else {
            return Ok(());
        };
        if self.drawn.elapsed() < REDRAW || Some(self.skipped + self.done) == self.steps {
            return Ok(());
        }
        self.drawn = Instant::now();
        let step = self.started.elapsed() / self.done as u32;
        // The time that is left, or where that cannot be known, the time so far.
        let time = match self.steps {
            Some(steps) => step * steps.saturating_sub(self.skipped + self.done) as u32,
            None => self.started.elapsed(),
        };
        let text = format!(
            "{} {}",
            clock(time),
            numbers(step, &logs()?, self.verbosity)
        );
        bar.set_position((self.skipped + self.done) as u64);
        bar.set_message(text);
        Ok(())
    }

    /// All batches are done; `logs` has the epoch's numbers.
    pub(crate) fn epoch_end(&mut self, logs: &Logs) {
        let elapsed = self.started.elapsed();
        let all = self.skipped + self.done;
        let step = elapsed / self.done.max(1) as u32;
        match &self.bar {
            Some(bar) => {
                bar.set_length(all as u64);
                bar.set_position(all as u64);
                let numbers = numbers(step, logs, self.verbosity);
                let text = format!("{} {numbers}", clock(elapsed));
                bar.finish_with_message(text);
            }
            None if self.verbosity == Verbosity::Silent => {}
            None => say(&format!(
                "{all}/{all} - {} - {}",
                clock(elapsed),
                numbers(step, logs, self.verbosity),
            )),
        }
    }
}

/// Keras's bar: `12/844 ━━━━────── 3s 4ms/step - accuracy: 0.8123 - loss: 0.6012`.
///
/// Without the number of steps: `12/Unknown 3s 4ms/step - ..`.
fn bar(steps: Option<usize>, target: ProgressDrawTarget) -> ProgressBar {
    let template = match steps {
        Some(steps) => {
            let width = steps.to_string().len();
            format!("{{pos:>{width}}}/{{len}} {{bar:20.green/dim}} {{msg}}")
        }
        None => "{pos}/Unknown {msg}".to_string(),
    };
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(steps.map(|steps| steps as u64), target)
        .with_style(style.progress_chars("━━─"))
}

/// `4ms/step - accuracy: 0.8123 - loss: 0.6012`.
fn numbers(step: Duration, logs: &Logs, verbosity: Verbosity) -> String {
    let mut text = format!("{}/step", short(step));
    for (name, value) in logs.iter() {
        text.push_str(&format!(" - {name}: {}", number(value, verbosity)));
    }
    text
}

/// Four decimals, or an exponent for what is too small for them, as Keras prints numbers: in its
/// line for an epoch, unlike in its bar, what is below 0 is too small.
fn number(value: f64, verbosity: Verbosity) -> String {
    let size = match verbosity {
        Verbosity::Line => value,
        Verbosity::Bar | Verbosity::Silent => value.abs(),
    };
    if size > 1e-3 {
        return python::fixed(value, 4);
    }
    python::scientific(value, 4)
}

/// A step's time: `3s`, `4ms`, `52us`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds:.0}s")
    } else if seconds >= 1e-3 {
        format!("{:.0}ms", seconds * 1e3)
    } else {
        format!("{:.0}us", seconds * 1e6)
    }
}

/// A longer time: `12s`, `2:05`, `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{:02}", seconds % 60)
    } else if minutes > 0 {
        format!("{minutes}:{:02}", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::{InMemoryTerm, TermLike};

    #[test]
    fn numbers_and_times_read_as_in_keras() {
        // Keras 3.15.1's Progbar, with verbose 1 and 2.
        for (value, bar, line) in [
            (0.97123, "0.9712", "0.9712"),
            (0.00012345, "1.2345e-04", "1.2345e-04"),
            (-2.5, "-2.5000", "-2.5000e+00"),
            (12345.678, "12345.6780", "12345.6780"),
            (0.0, "0.0000e+00", "0.0000e+00"),
            (f64::NAN, "nan", "nan"),
            (f64::INFINITY, "inf", "inf"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            assert_eq!(number(value, Verbosity::Bar), bar);
            assert_eq!(number(value, Verbosity::Line), line);
        }
        assert_eq!(short(Duration::from_micros(493)), "493us");
        assert_eq!(short(Duration::from_millis(52)), "52ms");
        assert_eq!(short(Duration::from_millis(2100)), "2s");
        assert_eq!(clock(Duration::from_secs(12)), "12s");
        assert_eq!(clock(Duration::from_secs(125)), "2:05");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
    /// A progress of ten steps on a terminal of this width that is drawn at every batch.
    fn shown(width: u16) -> (Progress, InMemoryTerm) {
        let terminal = InMemoryTerm::new(10, width);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut progress = Progress::new(Verbosity::Silent, Some(10));
        progress.bar = Some(bar(Some(10), target));
        progress.drawn = Instant::now() - REDRAW;
        (progress, terminal)
    }

    /// What the terminal shows, with its rows put together.
    fn text(terminal: &InMemoryTerm) -> String {
        let width = usize::from(terminal.width());
        let rows = terminal.contents();
        let rows = rows.lines().map(|row| format!("{row:<width$}"));
        rows.collect::<String>().trim_end().to_string()
    }

    fn logs(loss: f64) -> Logs {
        let mut logs = Logs::default();
        logs.insert("accuracy", 0.8125);
        logs.insert("loss", loss);
        logs
    }

    #[test]
    fn the_bar_shows_step_total_loss_and_metrics_and_its_last_line_stays() {
        for width in [60, 100] {
            let (mut progress, terminal) = shown(width);
            progress.batch_end(|| Ok(logs(0.5))).unwrap();
            let running = text(&terminal);
            assert!(running.starts_with(" 1/10 ━━━──"), "{running}");
            assert!(
                running.ends_with("/step - accuracy: 0.8125 - loss: 0.5000"),
                "{running}"
            );
            progress.done = 10;
            progress.epoch_end(&logs(0.25));
            drop(progress);
            let finished = text(&terminal);
            let full = format!("10/10 {} 0s ", "━".repeat(20));
            assert!(finished.starts_with(&full), "{finished}");
            assert!(
                finished.ends_with("/step - accuracy: 0.8125 - loss: 0.2500"),
                "{finished}"
            );
            assert!(!finished.contains("0.5000"), "{finished}");
        }
    }

    #[test]
    fn a_bar_that_is_cleared_leaves_nothing() {
        for width in [60, 100] {
            let (mut progress, terminal) = shown(width);
            progress.batch_end(|| Ok(logs(0.5))).unwrap();
            assert_ne!(text(&terminal), "");
            progress.clear();
            assert_eq!(text(&terminal), "");
        }
    }
}
