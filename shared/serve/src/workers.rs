//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection, what is done for its requests, and the connections to backends that they use all stay on one thread: nothing of a
//! request wakes another core, which costs more than most of what is done for it. What concerns all requests (the account, timers,
//! other ports) runs elsewhere, on the runtime of whoever starts these threads.

use std::cell::Cell;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

thread_local! {
    /// The number of the worker that this thread is.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Who serves connections. The threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Workers {
    all: Arc<[Worker]>,
    _end: Option<Arc<DropGuard>>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection's place with a worker; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// If the system gives no thread, or no file descriptors for a runtime.
    pub fn start(count: NonZero<usize>) -> io::Result<Self> {
        let end = CancellationToken::new();
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker { runtime: runtime.handle().clone(), connections: Arc::default() };
            let end = end.clone();
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(number, &runtime, &end))?;
            Ok(worker)
        };
        let all = (0..count.get()).map(start).collect::<io::Result<Arc<[Worker]>>>();
        // Where one does not start, the guard ends the others.
        let end = end.drop_guard();
        Ok(Self { all: all?, _end: Some(Arc::new(end)) })
    }

    /// The runtime that this is called in, in place of threads.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn here() -> Self {
        Self {
            all: Arc::new([Worker { runtime: Handle::current(), connections: Arc::default() }]),
            _end: None,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The one with the fewest connections gets one more.
    pub(crate) fn engage(&self) -> (&Handle, Place) {
        let fewest = self.all.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let worker = fewest.unwrap_or(&self.all[0]);
        worker.connections.fetch_add(1, Ordering::Relaxed);
        (&worker.runtime, Place(worker.connections.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(number: usize, runtime: &Runtime, end: &CancellationToken) {
    NUMBER.set(Some(number));
    runtime.block_on(end.cancelled());
}

/// Something that each worker has for itself, and all other threads together. Clones share it.
#[derive(Debug)]
pub struct PerWorker<T> {
    /// The workers' own in their order, then that of all others.
    all: Arc<[T]>,
}

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone() }
    }
}

impl<T> PerWorker<T> {
    /// One for each of `workers`, and one for all others.
    pub fn new(workers: &Workers, make: impl FnMut() -> T) -> Self {
        Self { all: std::iter::repeat_with(make).take(workers.count() + 1).collect() }
    }

    /// The one of the thread that asks.
    #[must_use]
    pub fn get(&self) -> &T {
        let others = self.all.len() - 1;
        &self.all[NUMBER.get().filter(|number| *number < others).unwrap_or(others)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_out_evenly_and_stay_where_they_are() {
        let workers = Workers::start(NonZero::new(3).unwrap()).unwrap();
        let own = PerWorker::new(&workers, AtomicUsize::default);
        let mut places = Vec::new();
        for _ in 0..9 {
            let (runtime, place) = workers.engage();
            places.push(place);
            let own = own.clone();
            runtime.spawn(async move { own.get().fetch_add(1, Ordering::Relaxed) }).await.unwrap();
        }
        own.get().fetch_add(7, Ordering::Relaxed);
        let counts: Vec<_> = own.all.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [3, 3, 3, 7]);
        // Whoever has let one go gets the next one.
        places.swap_remove(4);
        assert!(Arc::ptr_eq(&workers.engage().1.0, &workers.all[1].connections));
    }

    #[tokio::test]
    async fn threads_end_with_the_last_handle() {
        let workers = Workers::start(NonZero::new(1).unwrap()).unwrap();
        let runtime = workers.all[0].runtime.clone();
        let waits = runtime.spawn(std::future::pending::<()>());
        drop(workers);
        assert!(waits.await.unwrap_err().is_cancelled());
    }
}
