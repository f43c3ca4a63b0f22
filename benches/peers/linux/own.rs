//! wsabi through its C interface, with default options and one I/O thread. Answers are sent from
//! inside handlers unless said otherwise; a flood comes from a thread of the application.

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::c::{self, Event};
use super::channel;
use super::meter::Meter;
use super::workload::{Flow, Peer, Workload};

/// Messages for each call that sends several.
const BATCH: usize = 64;

pub fn run(
    peer: Peer,
    workload: &Workload,
    port: u16,
    meter: &'static Meter,
) -> Result<(), String> {
    let (sender, events) = channel();
    let state: &State = Box::leak(Box::new(State {
        payload: vec![b'x'; workload.len],
        window: workload.window,
        meter,
        sender: Mutex::new(sender),
    }));
    let handler = match (workload.flow, peer) {
        (Flow::Echo, Peer::Wsabi | Peer::WsabiPoll) => echo,
        (Flow::Receive, _) => receive,
        _ => tell,
    };
    let options = c::options(handler)?;
    if peer == Peer::WsabiBounded {
        c::bound(options, 1 << 20)?;
    }
    if workload.secure {
        let authority = channel::authority().map_err(|error| error.to_string())?;
        c::trust(options, &authority)?;
    }
    let runtime = c::runtime(u32::from(peer != Peer::WsabiPoll))?;
    let socket = c::connect(runtime, &workload.url(port), options, state)?;
    match (workload.flow, peer) {
        (Flow::Send, _) => {
            let many = peer == Peer::WsabiMany;
            wait_for(&events, Seen::Open);
            flood(socket, &state.payload, workload.warm_up(), many, &events)?;
            meter.begin();
            flood(socket, &state.payload, workload.messages, many, &events)?;
            meter.end();
        }
        (Flow::Echo, Peer::WsabiThread) => {
            wait_for(&events, Seen::Open);
            c::check(c::send(socket, &state.payload))?;
            wait_for(&events, Seen::Message);
            while !meter.step() {
                c::check(c::send(socket, &state.payload))?;
                wait_for(&events, Seen::Message);
            }
        }
        (_, Peer::WsabiPoll) => {
            while !events.try_iter().any(|it| it == Seen::End) {
                c::poll(runtime)?;
            }
        }
        _ => wait_for(&events, Seen::End),
    }
    Ok(())
}

/// What handlers work with.
pub struct State {
    payload: Vec<u8>,
    window: u64,
    meter: &'static Meter,
    sender: Mutex<Sender<Seen>>,
}

/// What the main thread hears of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Open,
    Message,
    /// The last message has come.
    End,
    /// What was refused fits again.
    Drain,
}

impl State {
    fn tell(&self, seen: Seen) {
        // The main thread may be past listening.
        let _ = self.sender.lock().unwrap().send(seen);
    }
}

/// Waits for an event of that kind.
pub fn wait_for(events: &Receiver<Seen>, awaited: Seen) {
    while events.recv().expect("handlers never end") != awaited {}
}

/// A state and its events, for handlers that only tell what happens.
pub fn telling(meter: &'static Meter) -> (&'static State, Receiver<Seen>) {
    let (sender, events) = channel();
    let state = State {
        payload: Vec::new(),
        window: 0,
        meter,
        sender: Mutex::new(sender),
    };
    (Box::leak(Box::new(state)), events)
}

unsafe extern "C-unwind" fn echo(event: *const Event, user_data: *mut c_void) {
    // SAFETY: the event lives during the call, and the state for ever.
    let (event, state) = unsafe { (&*event, &*user_data.cast::<State>()) };
    match event.kind {
        c::OPEN => {
            for _ in 0..state.window {
                assert_eq!(c::send(event.socket, &state.payload), 0);
            }
        }
        c::MESSAGE => {
            if state.meter.step() {
                state.tell(Seen::End);
            }
            assert_eq!(c::send(event.socket, payload(event)), 0);
        }
        _ => report(event),
    }
}

unsafe extern "C-unwind" fn receive(event: *const Event, user_data: *mut c_void) {
    // SAFETY: as in `echo`.
    let (event, state) = unsafe { (&*event, &*user_data.cast::<State>()) };
    match event.kind {
        c::MESSAGE => {
            std::hint::black_box(payload(event));
            if state.meter.step() {
                state.tell(Seen::End);
            }
        }
        _ => report(event),
    }
}

/// A handler that only says what happens.
pub unsafe extern "C-unwind" fn tell(event: *const Event, user_data: *mut c_void) {
    // SAFETY: as in `echo`.
    let (event, state) = unsafe { (&*event, &*user_data.cast::<State>()) };
    match event.kind {
        c::OPEN => state.tell(Seen::Open),
        c::MESSAGE => state.tell(Seen::Message),
        c::DRAIN => state.tell(Seen::Drain),
        _ => report(event),
    }
}

fn payload(event: &Event) -> &[u8] {
    // SAFETY: by the library's contract.
    unsafe { std::slice::from_raw_parts(event.data.cast(), event.len) }
}

fn report(event: &Event) {
    if event.kind == c::ERROR {
        eprintln!("wsabi: {}", String::from_utf8_lossy(payload(event)));
    }
}

/// Sends so many messages, waiting where the library says that they do not fit, and then for the
/// server to have them.
fn flood(
    socket: u64,
    payload: &'static [u8],
    messages: u64,
    many: bool,
    events: &Receiver<Seen>,
) -> Result<(), String> {
    let batch = [c::Message::binary(payload); BATCH];
    let mut left = messages;
    while left > 0 {
        let sent = if many {
            c::send_many(socket, &batch[..BATCH.min(left as usize)])
        } else {
            c::send(socket, payload)
        };
        match sent {
            c::BUFFER_FULL => wait_for(events, Seen::Drain),
            0 if !many => left -= 1,
            sent => left -= c::check(sent)? as u64,
        }
    }
    wait_for(events, Seen::Message);
    Ok(())
}
