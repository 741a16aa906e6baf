//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection, what is done for its requests, and the connections to backends that they use all stay on one thread: nothing of a
//! request wakes another core, which costs more than most of what is done for it. What concerns all requests (the account, timers,
//! other ports) runs elsewhere, on the runtime of whoever starts these threads.

use crate::batched;
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

    /// The runtimes of those that are threads of their own.
    fn threads(&self) -> Arc<[Handle]> {
        let threads = if self._end.is_some() { &*self.all } else { &[] };
        threads.iter().map(|worker| worker.runtime.clone()).collect()
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
    runtime.spawn(batched::write_for_all());
    runtime.block_on(end.cancelled());
}

/// Something that each worker has for itself, and all other threads together. Clones share it.
#[derive(Debug)]
pub struct PerWorker<T> {
    /// The workers' own in their order, then that of all others.
    all: Arc<[T]>,
    /// The workers' runtimes.
    runtimes: Arc<[Handle]>,
}

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), runtimes: self.runtimes.clone() }
    }
}

impl<T> PerWorker<T> {
    /// One for each of `workers`, and one for all others.
    pub fn new(workers: &Workers, make: impl FnMut() -> T) -> Self {
        let runtimes = workers.threads();
        Self { all: std::iter::repeat_with(make).take(runtimes.len() + 1).collect(), runtimes }
    }

    /// The one of the thread that asks.
    #[must_use]
    pub fn get(&self) -> &T {
        let others = self.all.len() - 1;
        &self.all[NUMBER.get().filter(|number| *number < others).unwrap_or(others)]
    }
}

impl<T: Clone + Send + 'static> PerWorker<T> {
    /// What each of `workers` makes for itself on its own thread, so that what is spawned there stays there; `others` is that of all
    /// other threads.
    ///
    /// # Errors
    /// The first error of those that make theirs.
    pub async fn made_there<E, F>(workers: &Workers, others: T, make: impl Fn() -> F) -> Result<Self, E>
    where
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let shared = Self::new(workers, || others.clone());
        let mut all = shared.on_each_thread(|_| make()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        // A worker that has ended needs none.
        all.resize(shared.runtimes.len(), others.clone());
        all.push(others);
        Ok(Self { all: all.into(), ..shared })
    }

    /// Does something with each worker's own on its thread, and with that of all others on this one. Workers that have ended do
    /// nothing.
    pub async fn on_each<R, F>(&self, work: impl Fn(T) -> F) -> Vec<R>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let others = work(self.all[self.runtimes.len()].clone());
        let (mut done, last) = futures_util::future::join(self.on_each_thread(work), others).await;
        done.push(last);
        done
    }

    async fn on_each_thread<R, F>(&self, work: impl Fn(T) -> F) -> Vec<R>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let each = self.runtimes.iter().zip(self.all.iter());
        let working: Vec<_> = each.map(|(runtime, own)| runtime.spawn(work(own.clone()))).collect();
        futures_util::future::join_all(working).await.into_iter().flatten().collect()
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
    async fn each_makes_its_own_on_its_thread() {
        let workers = Workers::start(NonZero::new(2).unwrap()).unwrap();
        let made = PerWorker::made_there(&workers, None, || async { Result::<_, ()>::Ok(NUMBER.get()) });
        let made = made.await.unwrap();
        assert_eq!(*made.all, [Some(0), Some(1), None]);
        let there = made.on_each(|own| async move { (own, NUMBER.get()) }).await;
        assert!(there.len() == 3 && there.iter().all(|(own, number)| own == number), "{there:?}");
        let refused = PerWorker::made_there(&workers, 0, || async { Err("none") });
        assert_eq!(refused.await.unwrap_err(), "none");
        let here = Workers::here();
        let made = PerWorker::made_there(&here, 7, || async { Result::<_, ()>::Ok(1) }).await;
        assert_eq!(*made.unwrap().all, [7]);
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
