//! Whether a step is done on one thread or on all.

use super::threads;
use std::time::{Duration, Instant};

/// Does steps of one kind on one thread or on all, as is faster, which it tries out again and again.
///
/// Where it takes long from core to core (they may lie on two chips, and a virtual machine's change
/// their places), or where cores are two in name only, a small step is faster on one thread.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    mode: Mode,
    /// Whether `mode` is only tried.
    trying: bool,
    /// Steps in this mode since it was taken, and the time that they took.
    steps: u32,
    time: Duration,
    /// The time of a step in the mode before.
    other: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Mode {
    #[default]
    Together,
    Alone,
}

impl Mode {
    fn other(self) -> Self {
        match self {
            Self::Together => Self::Alone,
            Self::Alone => Self::Together,
        }
    }
}

/// How long a mode is tried, in time and steps at least, and how much longer one is kept.
const TRIAL: Duration = Duration::from_millis(2);
const TRIAL_STEPS: u32 = 2;
const KEPT: u32 = 50;

/// Steps that take so long are done on all threads without a trial: what cores exchange in them takes
/// far less, and on many cores even a few steps alone would be felt.
const LONG: Duration = Duration::from_millis(3);

impl Pace {
    /// Does a step.
    pub(crate) fn step<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let result = threads::with(self.mode == Mode::Alone, step);
        self.count(started.elapsed());
        result
    }

    fn count(&mut self, time: Duration) {
        self.steps += 1;
        self.time += time;
        let first = self.other.is_none();
        let times = if self.trying || first { 1 } else { KEPT };
        if self.steps < TRIAL_STEPS * times || self.time < TRIAL * times {
            return;
        }
        let each = self.time / self.steps;
        if self.mode == Mode::Together && each >= LONG {
            (self.steps, self.time) = (0, Duration::ZERO);
            return;
        }
        // A trial ends with the choice; what was kept is compared with a new trial of the other.
        let stays = self.trying && self.other.is_some_and(|other| each < other);
        self.trying = !self.trying;
        if !stays {
            self.mode = self.mode.other();
            self.other = Some(each);
        }
        (self.steps, self.time) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        thread,
    };

    #[test]
    fn steps_go_on_in_the_faster_mode_and_the_other_is_tried_again() {
        let mut pace = Pace::default();
        let mut alone_in = |together: u64, alone: u64| {
            let mut count = 0;
            for step in 0..4000 {
                let micros = match pace.mode {
                    Mode::Together => together,
                    Mode::Alone => alone,
                };
                count += u32::from(step >= 1000 && pace.mode == Mode::Alone);
                pace.count(Duration::from_micros(micros));
            }
            count
        };
        // Of the last 3000 steps in each state of the machine, all but a few trials.
        assert!(alone_in(300, 500) < 120);
        assert!(alone_in(500, 300) > 2880);
        assert!(alone_in(300, 500) < 120);
        // Long steps are not tried alone, even where that were faster.
        assert_eq!(alone_in(3500, 3400), 0);
    }

    #[test]
    fn a_step_alone_is_done_on_the_thread_that_calls_which_is_then_as_before() {
        let mut pace = Pace {
            mode: Mode::Alone,
            ..Pace::default()
        };
        let own = thread::current().id();
        pace.step(|| threads::each(vec![(); 64], |()| assert_eq!(thread::current().id(), own)));
        assert!(!threads::is_alone());
        let panics = AssertUnwindSafe(|| pace.step(|| panic!("a step is wrong")));
        assert!(catch_unwind(panics).is_err());
        assert!(!threads::is_alone());
    }

    #[test]
    fn steps_alone_and_together_have_the_same_bits() -> crate::Result<()> {
        use crate::{prelude::*, seed::Stream};
        // Widths of which the first product is cut along the features, the second and the gradients
        // in blocks; with zeros that are skipped and without.
        for zeros in [0.0, 0.8] {
            let trained = |mode: fn(u32) -> Mode| -> crate::Result<Vec<u32>> {
                let mut model = Sequential::new()
                    .seed(3)
                    .add(Input::new(784))
                    .add(Dense::new(128).activation(Tanh))
                    .add(Dense::new(300).activation(Relu))
                    .add(Dense::new(10).activation(Softmax))
                    .build(&Device::Cpu)?;
                let loss = SparseCategoricalCrossentropy::new();
                model.compile(Adam::new(0.001), loss, [Accuracy])?;
                let mut stream = Stream::new(1, "pixels", 0);
                for step in 0..12 {
                    let mut pixel = || match stream.uniform() < zeros {
                        true => 0.0,
                        false => stream.uniform(),
                    };
                    let x: Vec<f32> = (0..64 * 784).map(|_| pixel()).collect();
                    let x = Tensor::from_vec(x, (64, 784), &Device::Cpu)?;
                    let y = Tensor::from_iter((0..64).map(|i| (i % 10) as f32), &Device::Cpu)?;
                    let mut pace = Pace {
                        mode: mode(step),
                        ..Pace::default()
                    };
                    pace.step(|| model.train_on_batch(&x, &y))?;
                }
                let mut bits = Vec::new();
                for weight in model.weights() {
                    let numbers: Vec<f32> = weight.copy()?.flatten_all()?.to_vec1()?;
                    bits.extend(numbers.into_iter().map(f32::to_bits));
                }
                Ok(bits)
            };
            let alone = trained(|_| Mode::Alone)?;
            let together = trained(|_| Mode::Together)?;
            let changing = trained(|step| match step % 2 {
                0 => Mode::Together,
                _ => Mode::Alone,
            })?;
            assert!(alone == together, "together, {zeros} of the inputs 0");
            assert!(alone == changing, "changing, {zeros} of the inputs 0");
        }
        Ok(())
    }
}
