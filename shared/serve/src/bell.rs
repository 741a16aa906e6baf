//! Wakes the task that polls a connection, but for what that task brings about itself.
//!
//! A body's two ends stand in one task where the one who reads it polls the connection too. Taking a piece wakes the connection, as if it
//! were asleep elsewhere, and the task is polled once more for nothing.

use futures_util::task::AtomicWaker;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// The bell that this thread has muted.
    static MUTED: Cell<*const Bell> = const { Cell::new(ptr::null()) };
    /// Whether that one has been rung.
    static MISSED: Cell<bool> = const { Cell::new(false) };
}

/// Whom a connection wakes.
#[derive(Debug, Default)]
pub struct Bell {
    task: AtomicWaker,
}

impl Bell {
    /// Does something that wakes the connection by what it does, and by nothing else: nobody is woken for that. Also tells whether anybody
    /// would have been; then the connection is to be polled before this task rests, unless it has nothing to do. Wakes from other threads
    /// count all the same.
    pub fn mute<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> (T, bool) {
        let _before = Muted::begin(self);
        let done = work();
        (done, MISSED.get())
    }

    /// Nobody is to be woken from now on.
    pub fn rest(&self) {
        self.task.take();
    }
}

/// As long as it is there, a bell is mute on this thread. Then what was before is again, also where a panic has ended it.
struct Muted {
    bell: *const Bell,
    missed: bool,
}

impl Muted {
    fn begin(bell: &Arc<Bell>) -> Self {
        Self { bell: MUTED.replace(Arc::as_ptr(bell)), missed: MISSED.replace(false) }
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        MUTED.set(self.bell);
        MISSED.set(self.missed);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if ptr::eq(MUTED.get(), Arc::as_ptr(self)) {
            MISSED.set(true);
        } else {
            self.task.wake();
        }
    }
}

/// A connection that wakes by a bell whoever polls it.
#[derive(Debug)]
pub struct Belled<C> {
    connection: C,
    bell: Arc<Bell>,
    /// What the connection knows the bell by.
    waker: Waker,
}

impl<C> Belled<C> {
    /// `connection`, which must be polled by nobody else, with this bell.
    pub fn new(connection: C, bell: Arc<Bell>) -> Self {
        let waker = Waker::from(bell.clone());
        Self { connection, bell, waker }
    }

    /// Its bell.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl<C: Future + Unpin> Future for Belled<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let Self { connection, bell, waker } = &mut *self;
        bell.task.register(cx.waker());
        Pin::new(connection).poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_what_its_own_task_brings_about_is_not_heard() {
        let (bell, heard) = (Arc::new(Bell::default()), Arc::new(Count::default()));
        let known = RefCell::new(Waker::noop().clone());
        let asleep = poll_fn(|cx| {
            known.replace(cx.waker().clone());
            Poll::<()>::Pending
        });
        let mut connection = Belled::new(asleep, bell.clone());
        let task = Waker::from(heard.clone());
        let mut wakes_after = |ring: &dyn Fn(&Waker)| {
            let before = heard.0.load(Ordering::Relaxed);
            assert!(Pin::new(&mut connection).poll(&mut Context::from_waker(&task)).is_pending());
            ring(&known.borrow());
            heard.0.load(Ordering::Relaxed) - before
        };
        assert_eq!(wakes_after(&Waker::wake_by_ref), 1);
        assert_eq!(wakes_after(&|waker| assert!(bell.mute(|| waker.wake_by_ref()).1)), 0);
        let by_a_panic = |waker: &Waker| {
            let muted = || bell.mute(|| panic!("while it is mute"));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(muted)).unwrap_err();
            waker.wake_by_ref();
        };
        assert_eq!(wakes_after(&by_a_panic), 1);
        let elsewhere = |waker: &Waker| {
            let ring = || std::thread::scope(|scope| drop(scope.spawn(|| waker.wake_by_ref()).join()));
            assert!(!bell.mute(ring).1);
        };
        assert_eq!(wakes_after(&elsewhere), 1);
        let other = Arc::new(Bell::default());
        assert_eq!(wakes_after(&|waker| assert!(!other.mute(|| waker.wake_by_ref()).1)), 1);
        let ring_nobody = |waker: &Waker| {
            bell.rest();
            waker.wake_by_ref();
        };
        assert_eq!(wakes_after(&ring_nobody), 0);
    }
}
