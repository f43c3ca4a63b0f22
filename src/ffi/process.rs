//! What the C interface keeps for the whole process. A forked child gets its own: it cannot know
//! whether a thread that exists in the parent only held a lock of the inherited one.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use parking_lot::RwLock;

use crate::error::Result;
use crate::ffi::library::LogHandler;
use crate::ffi::options::{Contents, Template};
use crate::ffi::request::RequestEntry;
use crate::ffi::server::ServerEntry;
use crate::ffi::socket::SocketEntry;
use crate::ffi::table::Table;
use crate::runtime::Runtime;

/// The tables of handles, the default options, and the log handler.
pub(super) struct Process {
    pub(super) runtimes: Table<Runtime>,
    pub(super) options: Table<Arc<Template>>,
    pub(super) sockets: Table<Arc<SocketEntry>>,
    pub(super) servers: Table<Arc<ServerEntry>>,
    pub(super) requests: Table<Arc<RequestEntry>>,
    /// What options begin with. It is kept, since it shares what is loaded for TLS at first use.
    pub(super) defaults: Contents,
    pub(super) log: RwLock<Option<LogHandler>>,
    /// The value of `FORKS` in the process that this belongs to.
    forks: u32,
    /// What was inherited.
    #[expect(
        dead_code,
        reason = "it only stays reachable; its locks must not be touched"
    )]
    inherited: Option<&'static Process>,
}

impl Process {
    /// Whether this belongs to a process that forked this one.
    pub(super) fn is_inherited(&self) -> bool {
        self.forks != forks()
    }

    fn new(forks: u32, inherited: Option<&'static Process>) -> Self {
        // Slots go on where those of the parent end, so that a number says whose handle it is.
        let first = |end: fn(&Process) -> u32| inherited.map_or(0, end);
        Self {
            runtimes: Table::new(first(|parent| parent.runtimes.end())),
            options: Table::new(first(|parent| parent.options.end())),
            sockets: Table::new(first(|parent| parent.sockets.end())),
            servers: Table::new(first(|parent| parent.servers.end())),
            requests: Table::new(first(|parent| parent.requests.end())),
            defaults: Contents::default(),
            log: RwLock::new(None),
            forks,
            inherited,
        }
    }
}

/// The latest there is: this process's own, or an inherited one, or none if there never was one.
pub(super) fn latest() -> Option<&'static Process> {
    // SAFETY: what `CURRENT` points to was leaked by `current` and is never freed.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
}

/// A number that is another one in each forked child.
pub(super) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// This process's own, made at the first call.
pub(super) fn current() -> Result<&'static Process> {
    loop {
        let latest = latest();
        if let Some(process) = latest
            && !process.is_inherited()
        {
            return Ok(process);
        }
        if latest.is_none() {
            // Before anything is kept. Whoever loses the race below has registered it a second
            // time, which only makes the count go up by two.
            watch_forks()?;
        }
        let forks = forks();
        let made = Box::into_raw(Box::new(Process::new(forks, latest)));
        let expected = latest.map_or(ptr::null_mut(), |it| ptr::from_ref(it).cast_mut());
        let outcome = CURRENT.compare_exchange(expected, made, Ordering::AcqRel, Ordering::Acquire);
        if outcome.is_err() {
            // SAFETY: it came from `Box::into_raw` and was not published.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

#[cfg(all(unix, not(miri)))]
fn watch_forks() -> Result<()> {
    use crate::runtime::fork;

    extern "C" fn prepare() {
        fork::prepare();
    }

    extern "C" fn parent() {
        fork::done();
    }

    extern "C" fn child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        fork::done();
    }

    // SAFETY: `child` may run in a forked child, since it only touches an atomic and releases locks
    // that its own thread holds; all three are there as long as the library is loaded.
    let status = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    if status != 0 {
        return Err(crate::error::Error::Resource(
            "no memory to watch for fork()".into(),
        ));
    }
    Ok(())
}

#[cfg(not(all(unix, not(miri))))]
fn watch_forks() -> Result<()> {
    Ok(())
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
/// Changes in every forked child.
static FORKS: AtomicU32 = AtomicU32::new(0);
