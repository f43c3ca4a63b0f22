//! The ways to reach many, and what they cost.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wsabi::{Delivery, Event, Message, Options, Runtime, Server, Socket};

use super::guests::Guests;
use super::sys::cpu_seconds;

/// What is sent, and to how many.
struct Workload {
    len: usize,
    guests: usize,
    /// So many messages are sent before those before have arrived.
    burst: usize,
    rounds: usize,
}

/// Who sends.
enum Way {
    Publish(Runtime, Server),
    Sends(Runtime, Vec<Socket>),
    Raw(Vec<TcpStream>),
}

/// For each message that somebody gets, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

const NAMES: [&str; 3] = ["publish", "a send on each", "raw send() on each"];
/// How many messages are got in one measurement.
const DELIVERIES: [(usize, usize); 2] = [(64, 100_000), (16 << 10, 20_000)];

pub fn compare(is_quick: bool) -> Result<(), Box<dyn Error>> {
    let (repetitions, divisor) = if is_quick { (2, 10) } else { (5, 1) };
    println!(
        "ns for each message that somebody gets, best of {repetitions}; ratios to the raw one"
    );
    for (len, deliveries) in DELIVERIES {
        for guests in [100, 1000] {
            for burst in [1, 16] {
                let rounds = (deliveries / divisor / guests / burst).max(1);
                let workload = Workload {
                    len,
                    guests,
                    burst,
                    rounds,
                };
                workload.compare(repetitions)?;
            }
        }
    }
    Ok(())
}

impl Workload {
    fn compare(&self, repetitions: usize) -> Result<(), Box<dyn Error>> {
        let mut ways = Vec::new();
        for name in NAMES {
            ways.push(Way::open(name, self.guests)?);
        }
        let mut best = [Cost {
            cpu: f64::INFINITY,
            wall: f64::INFINITY,
        }; NAMES.len()];
        for _ in 0..repetitions {
            for ((way, guests), best) in ways.iter_mut().zip(&mut best) {
                let cost = self.measure(way, guests)?;
                best.cpu = best.cpu.min(cost.cpu);
                best.wall = best.wall.min(cost.wall);
            }
        }
        println!(
            "\n{} bytes to {}, {} at a time",
            self.len, self.guests, self.burst
        );
        let raw = best[NAMES.len() - 1];
        for (name, cost) in NAMES.iter().zip(best) {
            println!(
                "  {name:<20}{:>9.0} CPU ({:.2}){:>9.0} elapsed",
                cost.cpu,
                cost.cpu / raw.cpu,
                cost.wall
            );
        }
        Ok(())
    }

    fn measure(&self, way: &mut Way, guests: &mut Guests) -> Result<Cost, Box<dyn Error>> {
        let payload = vec![b'x'; self.len];
        let frame = frame(&payload);
        let bytes = (frame.len() * self.burst * self.guests) as u64;
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        for _ in 0..self.rounds {
            guests.expect(bytes)?;
            for _ in 0..self.burst {
                way.send(&payload, &frame)?;
            }
            guests.wait()?;
        }
        let got = (self.rounds * self.burst * self.guests) as f64 / 1e9;
        Ok(Cost {
            cpu: (cpu_seconds() - cpu) / got,
            wall: wall.elapsed().as_secs_f64() / got,
        })
    }
}

impl Way {
    fn open(name: &str, count: usize) -> Result<(Self, Guests), Box<dyn Error>> {
        if name == NAMES[2] {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let guests = Guests::start(listener.local_addr()?.port(), count)?;
            let streams = (0..count)
                .map(|_| admit(&listener))
                .collect::<Result<_, _>>()?;
            return Ok((Self::Raw(streams), guests));
        }
        let runtime = Runtime::new(1, Delivery::Threads)?;
        let (entering, entered) = channel();
        let entering = Mutex::new(entering);
        let mut options = Options::new();
        // The guests do not answer pings.
        options.set_ping_interval(Duration::ZERO);
        let server = Server::listen(&runtime, "ws://127.0.0.1:0/", &options, move |socket| {
            let (socket, entering) = (socket.clone(), entering.lock().unwrap().clone());
            let entering = Mutex::new(entering);
            Arc::new(move |event: Event<'_>| {
                if let Event::Open = event {
                    socket.subscribe("topic").unwrap();
                    entering.lock().unwrap().send(socket.clone()).unwrap();
                }
            })
        })?;
        let guests = Guests::start(server.port(), count)?;
        let sockets = entered.iter().take(count).collect();
        let way = if name == NAMES[0] {
            Self::Publish(runtime, server)
        } else {
            Self::Sends(runtime, sockets)
        };
        Ok((way, guests))
    }

    fn send(&mut self, payload: &[u8], frame: &[u8]) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Publish(_, server) => {
                server.publish(Some("topic"), Message::binary(payload))?;
            }
            Self::Sends(_, sockets) => {
                for socket in sockets {
                    socket.send_binary(payload)?;
                }
            }
            Self::Raw(streams) => {
                for stream in streams {
                    stream.write_all(frame)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Self::Publish(runtime, _) | Self::Sends(runtime, _) = self {
            runtime.free();
        }
    }
}

/// Accepts a connection, and answers its request with an empty line, which is enough for it.
fn admit(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"\r\n\r\n")?;
    Ok(stream)
}

/// The frame of a server.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(len).expect("a short one").to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
