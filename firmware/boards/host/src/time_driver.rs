//! The monotonic clock behind `embassy-time` on a PC: the link's timers of every simulated node, in real time.
//!
//! One entry per waiting task, the earliest moment it asked for: a task that is woken asks again for the rest. So the
//! queue is as long as there are nodes, and a timer that was dropped costs at most one wake-up too many.

use embassy_time_driver::{Driver, TICK_HZ};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Longest sleep of the waking thread: bounds the arithmetic, nothing else.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

struct TimeDriver {
    origin: OnceLock<Instant>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// By the task's address, which is its own while the waker lives.
    tasks: BTreeMap<usize, (u64, Waker)>,
    order: BTreeSet<(u64, usize)>,
    has_thread: bool,
}

embassy_time_driver::time_driver_impl!(static DRIVER: TimeDriver = TimeDriver {
    origin: OnceLock::new(),
    queue: Mutex::new(Queue { tasks: BTreeMap::new(), order: BTreeSet::new(), has_thread: false }),
    changed: Condvar::new(),
});

impl Driver for TimeDriver {
    fn now(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the monotonic clock of simulated boards")]
        let now = || Instant::now();
        let elapsed = now().saturating_duration_since(*self.origin.get_or_init(now));
        // Microseconds, as TICK_HZ says; 584 000 years fit.
        const { assert!(TICK_HZ == 1_000_000) };
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let mut queue = self.lock();
        if !queue.has_thread {
            queue.has_thread = std::thread::Builder::new()
                .name("node-timers".to_owned())
                .spawn(|| DRIVER.wake_for_ever())
                .is_ok();
        }
        if queue.insert(at, waker) {
            self.changed.notify_one();
        }
    }
}

impl TimeDriver {
    fn wake_for_ever(&self) {
        let mut queue = self.lock();
        loop {
            let now = self.now();
            // Outside the lock a waker may run anything, the scheduling of the next timer included.
            let due = queue.take_due(now);
            if !due.is_empty() {
                drop(queue);
                due.into_iter().for_each(Waker::wake);
                queue = self.lock();
                continue;
            }
            let sleep = queue
                .order
                .first()
                .map_or(SLEEP_MAX, |&(at, _)| Duration::from_micros(at.saturating_sub(now)).min(SLEEP_MAX));
            let waited = self.changed.wait_timeout(queue, sleep);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Gives whether the waking thread has to look again.
    fn insert(&mut self, at: u64, waker: &Waker) -> bool {
        let key = waker.data().addr();
        if let Some((known, _)) = self.tasks.get(&key) {
            if *known <= at {
                return false;
            }
            self.order.remove(&(*known, key));
        }
        self.tasks.insert(key, (at, waker.clone()));
        self.order.insert((at, key));
        self.order.first() == Some(&(at, key))
    }

    fn take_due(&mut self, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(&(at, key)) = self.order.first()
            && at <= now
        {
            self.order.pop_first();
            due.extend(self.tasks.remove(&key).map(|(_, waker)| waker));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_has_one_entry_the_earliest() {
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::new(Count(AtomicU32::new(0)))).collect();
        let wakers: Vec<Waker> = counts.iter().map(|count| Waker::from(Arc::clone(count))).collect();
        let mut queue = Queue::default();
        for at in [500, 300, 400] {
            for waker in &wakers {
                queue.insert(at, waker);
            }
        }
        assert_eq!((queue.tasks.len(), queue.order.len()), (3, 3));
        assert!(queue.take_due(299).is_empty());
        queue.take_due(300).into_iter().for_each(Waker::wake);
        assert!(counts.iter().all(|count| count.0.load(Ordering::SeqCst) == 1));
        assert!(queue.tasks.is_empty() && queue.order.is_empty());
    }
}
