//! What an idle connection costs. It is told, and checked for being no multiple of that.

use std::sync::Arc;

use crate::bystander::plain;
use crate::crowds::as_many;
use crate::secure::SecureTarget;
use crate::support::tls::{ClientStream, ask};
use crate::support::wire::Peer;
use crate::support::{REQUEST, RawServer, read_head, tell};
use crate::target::Role;
use crate::victim::Victim;
use crate::{alone, scale};

/// Without pings, which go to all of them at a time.
const SETTINGS: &str = "quiet=1 ping_interval=0";

/// Tells what `connect` adds to the process for each of `count` connections, and fails if that is more
/// than `most` bytes.
fn measure<T>(
    what: &str,
    count: usize,
    most: u64,
    victim: &mut Victim,
    mut connect: impl FnMut(&mut Victim) -> T,
) {
    // What the first ones need besides.
    let mut connections: Vec<T> = (0..10).map(|_| connect(victim)).collect();
    let before = used(victim);
    connections.extend((0..count).map(|_| connect(victim)));
    expect_cost(what, count, most, before, used(victim));
}

/// Its heap, and the memory that no other process shares, which is what the system has to find.
fn used(victim: &mut Victim) -> [u64; 2] {
    [victim.heap(), victim.private_memory()]
}

#[track_caller]
fn expect_cost(what: &str, count: usize, most: u64, before: [u64; 2], after: [u64; 2]) {
    let [heap, private] = [0, 1].map(|at| after[at].saturating_sub(before[at]) / count as u64);
    tell(format_args!(
        "{what}: {heap} bytes of heap, {private} of private memory for each of {count} idle \
         connections"
    ));
    assert!(heap < most && private < most, "{heap}, {private} bytes");
}

#[test]
fn an_idle_connection_costs_little() {
    let _alone = alone();
    let count = as_many(10_000);
    let mut victim = Victim::start();
    let port = victim.listen(SETTINGS);
    measure("server, ws", count, 4 << 10, &mut victim, |_| plain(port));

    let hostile = RawServer::new();
    let mut victim = Victim::start();
    measure(
        "client, ws, and its recorder",
        count,
        4 << 10,
        &mut victim,
        |victim| {
            victim.connect(&hostile.url(), SETTINGS);
            let (stream, response) = hostile.accept();
            let mut peer = Peer::new(stream, false);
            peer.send_raw(&response);
            peer
        },
    );
}

#[test]
fn an_idle_secure_connection_costs_not_much_more() {
    let _alone = alone();
    let count = scale(300, 3_000);
    let mut target = SecureTarget::new(Role::Server, SETTINGS);
    let (port, client) = (target.port, Arc::clone(&target.client));
    measure("server, wss", count, 32 << 10, &mut target.victim, |_| {
        let stream: ClientStream = ask(crate::bystander::dial(port), Arc::clone(&client));
        let mut peer = Peer::over(stream, true);
        peer.send_raw(REQUEST);
        read_head(&mut peer.stream);
        peer
    });
    let mut target = SecureTarget::new(Role::Client, "ping_interval=0");
    let count = scale(300, 1_000);
    let mut peers = Vec::new();
    (0..10).for_each(|_| peers.push(target.peer()));
    let before = used(&mut target.victim);
    (0..count).for_each(|_| peers.push(target.peer()));
    let after = used(&mut target.victim);
    expect_cost(
        "client, wss, and its recorder",
        count,
        32 << 10,
        before,
        after,
    );
}
