//! What an idle connection costs. It is printed, and checked for being no multiple of that.

use std::sync::Arc;

use crate::bystander::plain;
use crate::crowds::as_many;
use crate::secure::SecureTarget;
use crate::support::tls::{ClientStream, ask};
use crate::support::wire::Peer;
use crate::support::{REQUEST, RawServer, read_head};
use crate::target::Role;
use crate::victim::Victim;
use crate::{alone, scale};

/// Without pings, which go to all of them at a time.
const SETTINGS: &str = "quiet=1 ping_interval=0";

/// Prints what `connect` adds to the heap of the process for each of `count` connections.
fn measure<T>(
    what: &str,
    count: usize,
    most: u64,
    victim: &mut Victim,
    mut connect: impl FnMut(&mut Victim) -> T,
) {
    // What the first ones need besides.
    let mut connections: Vec<T> = (0..10).map(|_| connect(victim)).collect();
    let before = victim.heap();
    connections.extend((0..count).map(|_| connect(victim)));
    let each = (victim.heap() - before) / count as u64;
    println!("{what}: {each} bytes of heap for each of {count} idle connections");
    assert!(each < most, "{each} bytes");
}

#[test]
fn an_idle_connection_costs_little() {
    let _alone = alone();
    let count = as_many(scale(2_000, 10_000));
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
    let before = target.victim.heap();
    (0..count).for_each(|_| peers.push(target.peer()));
    let each = (target.victim.heap() - before) / count as u64;
    println!(
        "client, wss, and its recorder: {each} bytes of heap for each of {count} idle connections"
    );
    assert!(each < 32 << 10, "{each} bytes");
}
