//! Threads of the store's own for what blocks: reads of record files and of the index.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

use super::{BoxFuture, StoreError};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

/// Threads for blocking reads, started when they are first needed.
pub(super) struct IoPool {
    state: Arc<(Mutex<PoolState>, Condvar)>,
    most_threads: usize,
}

impl IoPool {
    pub(super) fn new(most_threads: usize) -> Self {
        IoPool { state: Arc::default(), most_threads: most_threads.max(1) }
    }

    /// Runs `job` on a thread of the pool.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<Result<T, StoreError>> {
        self.run_then(|| (job(), None::<fn()>))
    }

    /// Runs `job` on a thread of the pool, and what it asks for besides once its result is on its way.
    pub(super) fn run_then<T: Send + 'static, N: FnOnce()>(
        &self,
        job: impl FnOnce() -> (Result<T, StoreError>, Option<N>) + Send + 'static,
    ) -> BoxFuture<Result<T, StoreError>> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            let (result, then) = job();
            // Nobody may be waiting any more.
            let _ = sender.send(result);
            if let Some(then) = then {
                then();
            }
        });
        let (lock, wake) = &*self.state;
        let mut state = lock.lock();
        if state.closed {
            return Box::pin(async { Err(StoreError::Closed) });
        }
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads.len() < self.most_threads {
            let shared = self.state.clone();
            match std::thread::Builder::new().name("store-read".into()).spawn(move || serve(&shared)) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => {
                    state.jobs.pop_back();
                    let error = StoreError::Io { file: "store-read thread".into(), what: error.to_string() };
                    return Box::pin(async { Err(error) });
                }
                Err(_) => {}
            }
        }
        wake.notify_one();
        drop(state);
        Box::pin(async move { receiver.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// Lets queued jobs finish and ends the threads.
    pub(super) fn stop(&self) {
        let threads = {
            let mut state = self.state.0.lock();
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.state.1.notify_all();
        let own = std::thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &(Mutex<PoolState>, Condvar)) {
    let (lock, wake) = shared;
    let mut state = lock.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            job();
            state = lock.lock();
        } else if state.closed {
            return;
        } else {
            state.idle += 1;
            wake.wait(&mut state);
            state.idle -= 1;
        }
    }
}
