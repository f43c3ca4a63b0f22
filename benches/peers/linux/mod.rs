//! What to run, and the roles of the processes.

mod blocking;
mod c;
mod channel;
mod idle;
mod meter;
mod own;
mod process;
mod raw;
mod report;
mod server;
mod sys;
mod wire;
mod workload;

use std::error::Error;
use std::path::Path;

use channel::Certificates;
use meter::Meter;
use process::{CLIENT, IDLE, SERVER, Server};
use report::Figures;
use workload::{Peer, WORKLOADS, Workload};

#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;

pub fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((mode, _)) if mode == SERVER => Ok(server::run()?),
        Some((mode, args)) if mode == CLIENT => run_client(args),
        Some((mode, args)) if mode == IDLE => run_idle(args),
        _ => compare(&args),
    }
}

fn run_client(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [peer, port, workload @ ..] = args else {
        return Err("a client needs its name and a port".into());
    };
    let peer: Peer = peer.parse().map_err(|()| "no such client")?;
    let port = port.parse()?;
    let workload = Workload::from_args(workload).ok_or("no such workload")?;
    // Handlers of another thread use it as long as there is a process.
    let meter: &Meter = Box::leak(Box::new(Meter::new(workload.warm_up(), workload.messages)));
    match peer {
        Peer::Raw => raw::run(&workload, port, meter)?,
        Peer::Tungstenite => blocking::run(&workload, port, meter)?,
        _ => {
            own::run(peer, &workload, port, meter)?;
        }
    }
    println!("{}", meter.sample().ok_or("the client ended early")?);
    Ok(())
}

fn run_idle(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [peer, connections, port] = args else {
        return Err("a client, a number of connections and a port are needed".into());
    };
    let peer = peer.parse().map_err(|()| "no such client")?;
    idle::run(peer, connections.parse()?, port.parse()?)
}

/// How much is measured.
struct Effort {
    rounds: usize,
    /// A part of each workload's messages.
    divisor: u64,
    connections: usize,
}

const FULL: Effort = Effort {
    rounds: 9,
    divisor: 2,
    connections: 2_000,
};
const QUICK: Effort = Effort {
    rounds: 2,
    divisor: 20,
    connections: 200,
};
/// The part of each workload's messages that is run under strace, which slows them down.
const TRACED: u64 = 150;

fn compare(args: &[String]) -> Result<(), Box<dyn Error>> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let effort = if quick { QUICK } else { FULL };
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    let is_wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let processors = std::thread::available_parallelism()?;
    println!(
        "{processors} processors; best of {} rounds; CPU is that of the client's process; \
         ratios are to the first line",
        effort.rounds
    );
    let certificates = Certificates::make().map_err(|error| error.to_string())?;
    for workload in WORKLOADS {
        if is_wanted(&workload.to_string()) {
            compare_in(&workload, &effort, &certificates)?;
        }
    }
    if is_wanted("memory") {
        print_memory(&effort, &certificates)?;
        print_size();
    }
    Ok(())
}

fn compare_in(
    workload: &Workload,
    effort: &Effort,
    certificates: &Certificates,
) -> Result<(), Box<dyn Error>> {
    let server = Server::start(certificates)?;
    let measured = workload.shortened(effort.divisor);
    let peers: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|peer| peer.takes_part(workload))
        .collect();
    let mut samples = vec![Vec::new(); peers.len()];
    for _ in 0..effort.rounds {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            samples.push(process::measure(*peer, &measured, &server)?);
        }
    }
    let traced = workload.shortened(TRACED);
    let figures: Vec<Figures> = peers
        .iter()
        .zip(&samples)
        .map(|(peer, samples)| {
            let calls = process::system_calls(*peer, &traced, &server);
            Figures::best_of(*peer, samples, calls)
        })
        .collect();
    report::print(workload, &figures);
    Ok(())
}

fn print_memory(effort: &Effort, certificates: &Certificates) -> Result<(), Box<dyn Error>> {
    let Effort { connections, .. } = effort;
    println!("\nmemory of an idle connection, {connections} of them");
    println!("  {:<18}{:>14}{:>18}", "", "heap, bytes", "resident, bytes");
    for peer in [Peer::Raw, Peer::Wsabi, Peer::Tungstenite] {
        let server = Server::start(certificates)?;
        let (heap, resident) = process::idle_memory(peer, *connections, &server)?;
        println!("  {:<18}{heap:>14}{resident:>18}", peer.name());
    }
    Ok(())
}

/// The library as `make` builds it, if it has.
fn print_size() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/libwsabi.so");
    match library.metadata() {
        Ok(file) => println!("\n{} bytes: {}", file.len(), library.display()),
        Err(_) => println!("\n{} is not built", library.display()),
    }
}
