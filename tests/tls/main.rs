//! wss:// through the C interface, against peers that speak TLS by other means. Those whose names
//! begin with g_ are attacks; tests/attacks says what has to hold under them, and has those that
//! need a process of their own.

#[path = "../abi/mod.rs"]
mod abi;
mod certificates;
mod ends;
mod impostors;
#[path = "../missing/mod.rs"]
mod missing;
mod nginx;
mod openssl;
mod programs;
mod reload;
mod renegotiation;
mod server;
mod settings;
mod stream;
#[path = "../support/mod.rs"]
mod support;

#[test]
fn tls_is_the_same_in_every_delivery() {
    abi::in_every_other_delivery("tls_is_the_same_in_every_delivery");
}
