//! What blocks, on threads of its own: the system's resolver first of all.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::defects::{contain, place};
use crate::threads;

type Job = Box<dyn FnOnce() + Send>;

/// Looks names up, and does other work that blocks. Its threads start with the first, and end some
/// seconds after the last.
pub struct Resolver {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    threads: Arc<AtomicUsize>,
    /// Jobs that are waiting or running.
    load: Arc<AtomicUsize>,
}

/// A name server that does not answer holds a thread for half a minute.
const MOST_THREADS: usize = 16;
const IDLE: Duration = Duration::from_secs(5);

impl Resolver {
    /// Starts nothing yet.
    pub fn new() -> Self {
        let (jobs, queue) = unbounded();
        Self {
            jobs,
            queue,
            threads: Arc::default(),
            load: Arc::default(),
        }
    }

    /// Looks `host` up and calls `done`. After an error, `done` may still be called later.
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        done: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static,
    ) -> io::Result<()> {
        log::debug!("looking up {host}");
        let host = host.to_owned();
        self.run(move || {
            let addresses = contain(|| {
                place("look up");
                (host.as_str(), port).to_socket_addrs()
            });
            let addresses = addresses.unwrap_or_else(|defect| Err(io::Error::other(defect)));
            done(addresses.map(Iterator::collect));
        })
    }

    /// Runs `job`. After an error, it may still run later.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let load = self.load.fetch_add(1, Ordering::SeqCst) + 1;
        self.jobs
            .send(Box::new(job))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        // After the job is in the queue: a thread that ends looks there after it was counted out.
        let running = self.threads.load(Ordering::SeqCst);
        if load <= running || running >= MOST_THREADS {
            return Ok(());
        }
        match self.start_thread() {
            Err(error) if running == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn start_thread(&self) -> io::Result<()> {
        let queue = self.queue.clone();
        let threads = Arc::clone(&self.threads);
        let load = Arc::clone(&self.load);
        threads.fetch_add(1, Ordering::SeqCst);
        let started = threads::spawn_bare("wsabi-resolve", {
            let threads = Arc::clone(&threads);
            move || serve(&queue, &threads, &load)
        });
        if started.is_err() {
            threads.fetch_sub(1, Ordering::SeqCst);
        }
        started.map(drop)
    }
}

fn serve(queue: &Receiver<Job>, threads: &AtomicUsize, load: &AtomicUsize) {
    loop {
        let Ok(job) = queue.recv_timeout(IDLE) else {
            threads.fetch_sub(1, Ordering::SeqCst);
            // A job that was handed in while this thread still counted must not be left alone.
            match queue.try_recv() {
                Ok(job) => {
                    threads.fetch_add(1, Ordering::SeqCst);
                    run(job, load);
                    continue;
                }
                Err(_) => return,
            }
        };
        run(job, load);
    }
}

fn run(job: Job, load: &AtomicUsize) {
    // Who handed it in has been told, or does not need to be.
    let _ = contain(job);
    load.fetch_sub(1, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_looked_up_side_by_side() {
        let resolver = Resolver::new();
        let (sender, receiver) = unbounded();
        for port in 0..50 {
            let sender = sender.clone();
            resolver
                .resolve("127.0.0.1", port, move |it| {
                    sender.send((port, it)).unwrap();
                })
                .unwrap();
        }
        let mut ports: Vec<u16> = (0..50)
            .map(|_| {
                let (port, addresses) = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
                assert_eq!(
                    addresses.unwrap(),
                    [SocketAddr::from(([127, 0, 0, 1], port))]
                );
                port
            })
            .collect();
        ports.sort_unstable();
        assert!(ports.into_iter().eq(0..50));
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let resolver = Resolver::new();
        let (sender, receiver) = unbounded();
        // A label has at most 63 bytes, so that nobody has to ask the network about this one.
        let name = format!("{}.invalid", "x".repeat(64));
        resolver
            .resolve(&name, 80, move |it| {
                sender.send(it).unwrap();
            })
            .unwrap();
        assert!(
            receiver
                .recv_timeout(Duration::from_secs(20))
                .unwrap()
                .is_err()
        );
    }
}
