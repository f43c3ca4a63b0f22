//! The figures as a table.

use super::meter::Sample;
use super::workload::{Peer, Workload};

/// What is known of one peer in one workload: the best of all rounds, since whatever else the
/// machine does only adds to a figure.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub peer: Peer,
    /// Wall-clock time for each message.
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub allocations: f64,
    pub system_calls: Option<f64>,
}

impl Figures {
    pub fn best_of(peer: Peer, samples: &[Sample], system_calls: Option<f64>) -> Self {
        let best = |of: fn(&Sample) -> f64| {
            let each = samples.iter().map(|it| of(it) / it.messages as f64);
            each.fold(f64::INFINITY, f64::min)
        };
        Self {
            peer,
            seconds: best(|it| it.seconds),
            cpu_seconds: best(|it| it.cpu_seconds),
            allocations: best(|it| it.allocations as f64),
            system_calls,
        }
    }
}

/// Prints the peers of one workload; the first is what the others are compared to.
pub fn print(workload: &Workload, figures: &[Figures]) {
    println!("\n{workload}");
    println!(
        "  {:<18}{:>12}{:>12}{:>12}{:>12}{:>12}{:>10}{:>10}",
        "", "messages/s", "us each", "CPU us", "sys calls", "allocs", "rate", "CPU"
    );
    let Some(base) = figures.first() else { return };
    for it in figures {
        let calls = it
            .system_calls
            .map_or("-".to_owned(), |calls| format!("{calls:.3}"));
        println!(
            "  {:<18}{:>12.0}{:>12.3}{:>12.3}{:>12}{:>12.3}{:>9.2}x{:>9.2}x",
            it.peer.name(),
            1.0 / it.seconds,
            it.seconds * 1e6,
            it.cpu_seconds * 1e6,
            calls,
            it.allocations,
            base.seconds / it.seconds,
            it.cpu_seconds / base.cpu_seconds,
        );
    }
}
