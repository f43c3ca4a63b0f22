//! tungstenite's blocking client, used as it is fastest: several messages for each flush where
//! the workload allows it.

use tungstenite::{Bytes, Error, Message, WebSocket};

use super::channel::Channel;
use super::meter::Meter;
use super::workload::{Flow, Workload};

pub fn run(workload: &Workload, port: u16, meter: &Meter) -> Result<(), Error> {
    let mut client = connect(port, &workload.target(), workload.secure)?;
    match workload.flow {
        Flow::Echo => echo(&mut client, workload, meter),
        Flow::Receive => loop {
            std::hint::black_box(client.read()?);
            if meter.step() {
                return Ok(());
            }
        },
        Flow::Send => {
            send(&mut client, workload, workload.warm_up())?;
            meter.begin();
            send(&mut client, workload, workload.messages)?;
            meter.end();
            Ok(())
        }
    }
}

/// A connection whose handshake is done.
pub fn connect(port: u16, target: &str, secure: bool) -> Result<WebSocket<Channel>, Error> {
    let stream = Channel::client(port, secure)?;
    match tungstenite::client(format!("ws://127.0.0.1:{port}{target}"), stream) {
        Ok((client, _)) => Ok(client),
        Err(error) => Err(std::io::Error::other(error.to_string()).into()),
    }
}

fn echo(client: &mut WebSocket<Channel>, workload: &Workload, meter: &Meter) -> Result<(), Error> {
    let payload = Bytes::from(vec![b'x'; workload.len]);
    for _ in 0..workload.window {
        client.write(Message::Binary(payload.clone()))?;
    }
    // Half of the messages under way are answered together, while the other half keeps the
    // server busy.
    let batch = workload.window.div_ceil(2);
    let mut replies = Vec::with_capacity(batch as usize);
    let mut done = false;
    while !done {
        client.flush()?;
        for _ in 0..batch {
            replies.push(client.read()?);
            done |= meter.step();
        }
        for reply in replies.drain(..) {
            client.write(reply)?;
        }
    }
    Ok(())
}

/// Sends so many messages, and waits until the server has got them.
fn send(client: &mut WebSocket<Channel>, workload: &Workload, messages: u64) -> Result<(), Error> {
    let payload = Bytes::from(vec![b'x'; workload.len]);
    for _ in 0..messages {
        client.write(Message::Binary(payload.clone()))?;
    }
    client.flush()?;
    client.read()?;
    Ok(())
}
