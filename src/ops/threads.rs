//! Work shared among the processor's cores.
//!
//! A step of a small network is over in a tenth of a millisecond, and a dozen times within it work
//! is divided: a thread that sleeps in between wakes too late, and one that always spins takes its
//! core from other programs. A helper here spins for about as long as a step takes, then sleeps.
//!
//! Parts are cut by the shape of the work alone, never by the count of threads, and each writes what
//! no other does: results have the same bits on one thread and on many.

use std::{
    cell::Cell,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{
        Mutex, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long a helper looks for work before it sleeps. Waking it takes 5 to 10 µs, on a virtual machine
/// more, and within a step the next piece of work is always nearer than this.
const IDLE: Duration = Duration::from_micros(200);

/// How long a caller looks for the end of a part before it sleeps. Parts are of much the same
/// length: a helper that needs so much longer has lost its core.
const LATE: Duration = Duration::from_micros(100);

/// Calls `work` with every part, on as many threads as there are, in no fixed order. Returns when
/// all are done. Within another `each`, the parts are done on the thread that calls.
pub(crate) fn each<T: Send>(parts: Vec<T>, work: impl Fn(T) + Sync) {
    let count = parts.len() as f64;
    let places = (0..parts.len()).map(|index| index as f64 / count).collect();
    each_at(places, parts, work);
}

/// The same for parts with ascending places from 0 to 1. A thread begins with those in its own range
/// of places, whose memory its cache holds if it had them the last time. Those of place 1 are nobody's
/// own, and even out the rest.
pub(crate) fn each_at<T: Send>(places: Vec<f64>, parts: Vec<T>, work: impl Fn(T) + Sync) {
    static POOL: OnceLock<Pool> = OnceLock::new();
    if parts.len() <= 1 || ALONE.get() {
        return parts.into_iter().for_each(work);
    }
    let pool = POOL.get_or_init(|| Pool::new(count() - 1));
    let turn = match pool.turn.try_lock() {
        Ok(turn) => Some(turn),
        Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
        // The helpers work for another thread, or for what this call is itself a part of.
        Err(TryLockError::WouldBlock) => None,
    };
    let turn = turn.filter(|turn| !pool.helpers.is_empty() && !turn.rests());
    let Some(mut turn) = turn else {
        return parts.into_iter().for_each(work);
    };
    let parts: Vec<Mutex<Option<T>>> = parts
        .into_iter()
        .map(|part| Mutex::new(Some(part)))
        .collect();
    let threads = pool.helpers.len() + 1;
    let late = pool.run(&|thread| {
        let [start, end, owned] = [thread, thread + 1, threads].map(|bound| {
            let bound = bound as f64 / threads as f64;
            places.partition_point(|place| *place < bound)
        });
        let own = parts[start..end].iter().chain(&parts[owned..]);
        let others = parts[end..owned].iter().chain(&parts[..start]);
        for part in own.chain(others) {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(part) = part {
                work(part);
            }
        }
    });
    if late {
        turn.rest();
    }
}

thread_local! {
    /// Whether this thread does all parts itself.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

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

impl Pace {
    /// Does a step.
    pub(crate) fn step<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let before = ALONE.replace(self.mode == Mode::Alone);
        let result = catch_unwind(AssertUnwindSafe(step));
        ALONE.set(before); // after a panic as well: whoever catches it goes on with this thread
        let result = result.unwrap_or_else(|panic| resume_unwind(panic));
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

/// How many threads work: `RAYON_NUM_THREADS`, by which candle goes as well, or one for each core
/// that the process may use.
fn count() -> usize {
    let asked = std::env::var("RAYON_NUM_THREADS").ok();
    let asked = asked.and_then(|count| count.parse().ok());
    asked
        .filter(|count| *count > 0)
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// What every thread calls, with its number.
type Task<'a> = &'a (dyn Fn(usize) + Sync);

struct Pool {
    helpers: Vec<&'static Helper>,
    /// Held while the helpers work for one caller.
    turn: Mutex<Turn>,
}

/// When helpers are not called, because they would be waited for: another program has their cores,
/// and a helper that lost its core in the middle of a part gets it back after milliseconds.
#[derive(Debug, Default)]
struct Turn {
    rest: Option<(Instant, Duration)>,
}

/// The shortest and the longest rest.
const RESTS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(320)];

impl Turn {
    fn rests(&self) -> bool {
        self.rest
            .is_some_and(|(start, length)| start.elapsed() < length)
    }

    /// A helper was late. If it was soon after the last rest, the next is longer.
    fn rest(&mut self) {
        let [shortest, longest] = RESTS;
        let length = match self.rest {
            Some((start, length)) if start.elapsed() < 4 * length => longest.min(2 * length),
            _ => shortest,
        };
        self.rest = Some((Instant::now(), length));
    }
}

/// A thread that waits for jobs.
struct Helper {
    /// What it is to do next, or null: put there by the caller, taken by the helper, or taken back.
    job: AtomicPtr<Job>,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// A task that is being done; it lies on the stack of the caller.
struct Job {
    task: Task<'static>,
    caller: Thread,
    /// How many helpers took it and are done.
    done: AtomicUsize,
    panicked: AtomicBool,
}

impl Pool {
    /// A pool of this many helpers, or of as many as the system starts.
    fn new(helpers: usize) -> Self {
        let start = |number: usize| {
            let helper: &Helper = Box::leak(Box::new(Helper {
                job: AtomicPtr::new(ptr::null_mut()),
                asleep: AtomicBool::new(false),
                thread: OnceLock::new(),
            }));
            let builder = thread::Builder::new().name(format!("candle-keras {number}"));
            let started = builder.spawn(move || helper.work(number)).ok()?;
            helper.thread.set(started.thread().clone()).ok()?;
            Some(helper)
        };
        Self {
            helpers: (1..=helpers).map_while(start).collect(),
            turn: Mutex::default(),
        }
    }

    /// Calls `task` on every thread that comes in time, and on this one, as number 0. Returns
    /// whether this one then waited longer than it had worked.
    fn run(&self, task: Task<'_>) -> bool {
        // SAFETY: only the lifetime changes. The task is called through `job` alone, which no
        // helper holds when this function returns or unwinds: a job that no helper has taken is
        // taken back, and the end of every one that was taken is waited for.
        #[allow(unsafe_code, reason = "helpers outlive every task")]
        let task = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        let job = Job {
            task,
            caller: thread::current(),
            done: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        };
        for helper in &self.helpers {
            helper.give(&job);
        }
        let started = Instant::now();
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        let worked = started.elapsed();
        let away = self
            .helpers
            .iter()
            .filter(|helper| !helper.take_back())
            .count();
        wait(LATE, || job.done.load(SeqCst) == away, thread::park);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!job.panicked.load(SeqCst), "a helper's part panicked");
        started.elapsed() > worked + worked.max(LATE)
    }
}

impl Helper {
    fn give(&self, job: &Job) {
        self.job.store(ptr::from_ref(job).cast_mut(), SeqCst);
        if self.asleep.load(SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Takes a job back that the helper has not taken; false where it has.
    fn take_back(&self) -> bool {
        !self.job.swap(ptr::null_mut(), SeqCst).is_null()
    }

    fn work(&self, number: usize) -> ! {
        loop {
            wait(IDLE, || !self.job.load(SeqCst).is_null(), || self.sleep());
            let job = self.job.swap(ptr::null_mut(), SeqCst);
            // SAFETY: a job that is not null was put there by `run` and not taken back, so that
            // `run` waits, and the job lives, until `done` counts this helper.
            #[allow(unsafe_code, reason = "a job lies on its caller's stack")]
            let Some(job) = (unsafe { job.as_ref() }) else {
                continue;
            };
            if catch_unwind(AssertUnwindSafe(|| (job.task)(number))).is_err() {
                job.panicked.store(true, SeqCst);
            }
            let caller = job.caller.clone();
            job.done.fetch_add(1, SeqCst); // from here on the job may be gone
            caller.unpark();
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, SeqCst);
        // A job given before `asleep` was seen is here now, and one given later wakes this thread.
        if self.job.load(SeqCst).is_null() {
            thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

/// Returns when `ready`: looks for a while, calls `sleep`, and looks again.
fn wait(spin: Duration, ready: impl Fn() -> bool, sleep: impl Fn()) {
    loop {
        let started = Instant::now();
        // Looked at before the clock is: a thread that was kept from running since then must not
        // sleep without having looked.
        loop {
            for _ in 0..64 {
                if ready() {
                    return;
                }
                spin_loop();
            }
            if started.elapsed() > spin {
                break;
            }
        }
        sleep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_by_any_count_of_callers() {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for length in 0..200 {
                        let mut numbers = vec![0; length];
                        each(
                            numbers.iter_mut().enumerate().collect(),
                            |(index, number)| {
                                *number += index + 1;
                            },
                        );
                        assert_eq!(numbers, (1..=length).collect::<Vec<_>>());
                    }
                });
            }
        });
    }

    #[test]
    fn parts_may_have_parts() {
        let sum = AtomicUsize::new(0);
        each((0..8).collect(), |outer| {
            each((0..8).collect(), |inner| {
                sum.fetch_add(outer * 8 + inner, SeqCst);
            });
        });
        assert_eq!(sum.into_inner(), 63 * 64 / 2);
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_the_pool_works_on() {
        for wrong in 0..4 {
            let outcome = catch_unwind(|| {
                each((0..4).collect(), |part| {
                    thread::sleep(std::time::Duration::from_millis(1));
                    assert!(part != wrong, "part {part} is wrong");
                });
            });
            assert!(outcome.is_err());
        }
        let done = AtomicUsize::new(0);
        each(vec![1; 9], |part| {
            done.fetch_add(part, SeqCst);
        });
        assert_eq!(done.into_inner(), 9);
    }

    #[test]
    fn helpers_that_are_late_rest_for_a_while_and_longer_if_they_are_late_again() {
        let pool = Pool::new(1);
        let started = Instant::now();
        let come = AtomicBool::new(false);
        let late = pool.run(&|thread| {
            if thread == 1 {
                come.store(true, SeqCst);
                thread::sleep(Duration::from_millis(100));
            } else {
                while !come.load(SeqCst) {
                    thread::yield_now();
                }
            }
        });
        // Unless this thread was itself kept from running for long before the helper came.
        assert!(late || started.elapsed() > Duration::from_millis(150));
        let mut turn = Turn::default();
        assert!(!turn.rests());
        let lengths = [(); 7].map(|()| {
            turn.rest();
            assert!(turn.rests());
            turn.rest.map(|(_, length)| length.as_millis())
        });
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 320].map(Some));
    }

    #[test]
    fn steps_go_on_in_the_faster_mode_and_the_other_is_tried_again() {
        let of_mode = |mode, together, alone| match mode {
            Mode::Together => Duration::from_millis(together),
            Mode::Alone => Duration::from_millis(alone),
        };
        let mut pace = Pace::default();
        let mut shares = Vec::new();
        for (together, alone) in [(3, 5), (5, 3), (3, 5)] {
            let mut alone_count = 0;
            for step in 0..1000 {
                if step >= 200 {
                    alone_count += u32::from(pace.mode == Mode::Alone);
                }
                pace.count(of_mode(pace.mode, together, alone));
            }
            shares.push(alone_count);
        }
        // Of 800 steps in each pace of the machine, all but a few trials are in the faster mode.
        assert!(
            shares[0] < 40 && shares[1] > 760 && shares[2] < 40,
            "{shares:?}"
        );
    }

    #[test]
    fn a_step_alone_is_done_on_the_thread_that_calls_which_is_then_as_before() {
        let mut pace = Pace {
            mode: Mode::Alone,
            ..Pace::default()
        };
        let own = thread::current().id();
        pace.step(|| each(vec![(); 64], |()| assert_eq!(thread::current().id(), own)));
        assert!(!ALONE.get());
        let panics = AssertUnwindSafe(|| pace.step(|| panic!("a step is wrong")));
        assert!(catch_unwind(panics).is_err());
        assert!(!ALONE.get());
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
                    pace.step(|| model.train_step(&x, &y))?;
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

    #[test]
    fn helpers_that_fell_asleep_are_woken() {
        let pool = Pool::new(2);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(20)); // longer than they spin
            let seen = Mutex::new(Vec::new());
            pool.run(&|thread| {
                seen.lock().unwrap().push(thread);
                let all = || seen.lock().unwrap().len() == 3;
                while !all() {
                    thread::yield_now(); // until every thread has come
                }
            });
            let mut seen = seen.into_inner().unwrap();
            seen.sort();
            assert_eq!(seen, [0, 1, 2]);
        }
    }
}
