//! Work shared among the processor's cores.
//!
//! A step of a small network is over in a tenth of a millisecond, and a dozen times within it work
//! is divided: a thread that sleeps in between wakes too late, and one that always spins takes its
//! core from other programs. A helper here spins for about as long as a step takes, then sleeps.
//!
//! Parts are cut by the shape of the work alone, never by the count of threads, and each writes what
//! no other does: results have the same bits on one thread and on many.

use std::{
    any::Any,
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
    let threads = (pool.helpers.len() + 1).min(parts.len());
    let late = pool.run(threads, &|thread| {
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

#[cfg(test)]
pub(super) fn is_alone() -> bool {
    ALONE.get()
}

/// Calls `body`, within which this thread does all parts itself if `alone`.
pub(super) fn with<R>(alone: bool, body: impl FnOnce() -> R) -> R {
    /// Puts back what was, after a panic as well: whoever catches it goes on with this thread.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _before = Before(ALONE.replace(alone));
    body()
}

/// How many threads work: `RAYON_NUM_THREADS`, by which candle goes as well, or one for each core
/// that the process may use.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(count_now)
}

fn count_now() -> usize {
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
    /// What the first helper that panicked panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
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

    /// Calls `task` on this thread, as number 0, and on each of `threads` in all that comes in time.
    /// Returns whether this one then waited for much longer than it had worked.
    fn run(&self, threads: usize, task: Task<'_>) -> bool {
        // SAFETY: only the lifetime changes. The task is called through `job` alone, which no
        // helper holds when this function returns or unwinds: a job that no helper has taken is
        // taken back, and the end of every one that was taken is waited for.
        #[allow(unsafe_code, reason = "helpers outlive every task")]
        let task = unsafe { std::mem::transmute::<Task<'_>, Task<'static>>(task) };
        let job = Job {
            task,
            caller: thread::current(),
            done: AtomicUsize::new(0),
            panic: Mutex::new(None),
        };
        let helpers = &self.helpers[..threads - 1];
        for helper in helpers {
            helper.give(&job);
        }
        let started = Instant::now();
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        let worked = started.elapsed();
        let away = helpers.iter().filter(|helper| !helper.take_back()).count();
        wait(LATE, || job.done.load(SeqCst) == away, thread::park);
        let helpers_panic = job
            .panic
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(panic) = own.err().or(helpers_panic) {
            resume_unwind(panic);
        }
        started.elapsed() > 4 * worked + LATE
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
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (job.task)(number))) {
                let mut first = job.panic.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(panic);
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
        let late = pool.run(pool.helpers.len() + 1, &|thread| {
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
    fn helpers_that_fell_asleep_are_woken() {
        let pool = Pool::new(2);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(20)); // longer than they spin
            let seen = Mutex::new(Vec::new());
            pool.run(pool.helpers.len() + 1, &|thread| {
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
