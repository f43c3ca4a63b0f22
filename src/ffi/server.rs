//! Server: accepts connections, each of which becomes a socket.
//!
//! Without a handler of REQUEST every valid upgrade request is accepted. Its
//! subprotocol is the first of wsabi_options_add_subprotocol that the client
//! offers. Pages of any site can then connect from a browser: a server that
//! knows its users by cookies or by their network has to look at Origin, in
//! a handler of REQUEST.
//!
//! What is no valid upgrade request (RFC 6455 section 4.2.1) gets an HTTP
//! answer with a sentence, and no event: 426 if it asks for no WebSocket, as
//! a browser does that looks for a page, or for another version than 13; 405
//! if its method is not GET; 505 if it is not of HTTP/1; 431 if its head is
//! over 16384 bytes or 100 fields; 503 if wsabi_options_set_max_connections
//! is reached; and 400 if it makes no sense. The request has to be complete
//! within the time of wsabi_options_set_connect_timeout_ms, TLS included.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use crate::delivery::{Event, Handler};
use crate::ffi::callbacks::Callbacks;
use crate::ffi::guard::{guard, guard_value};
use crate::ffi::handles::Reservation;
use crate::ffi::options::{snapshot, wsabi_options};
use crate::ffi::output::Out;
use crate::ffi::request::Asking;
use crate::ffi::runtime::{find_runtime, wsabi_runtime};
use crate::ffi::socket::{attach, end_if_freed};
use crate::ffi::target::Target;
use crate::ffi::user_data::UserData;
use crate::ffi::{handles, input};
use crate::runtime::Runtime;
use crate::server::{Bound, Server};
use crate::socket::Socket;

/// The handle of a server, made by wsabi_server_listen and ended by
/// wsabi_server_close.
pub type wsabi_server = u64;

/// Opens a port and accepts connections from then on. Each is a socket as
/// soon as its handshake is done: its OPEN event has the handle. They are
/// dealt out to the runtime's threads in turn. The first event may come
/// before this returns, but server_out has the handle by then.
///
/// - url: ws://address:port/, such as ws://127.0.0.1:9001/ or
///   ws://0.0.0.0:9001/, or ws+unix:///path/of/socket. wss:// in place of
///   ws:// is TLS. Port 0: the system chooses one, see wsabi_server_port;
///   without a port it is 80, or 443 for wss://. [::] is every address of
///   IPv6 and of IPv4, whose clients are seen with addresses of IPv4; on
///   OpenBSD it is IPv6 alone. A name is looked up, for which this waits,
///   and its first address is taken. A path of a Unix socket is free, or is
///   a socket that a process has left there when it died. Whatever path a
///   client asks for is served: WSABI_FACT_URL has it.
/// - options: the handlers and settings of the sockets, which are copied.
///   wss:// needs wsabi_options_set_tls_identity; with
///   wsabi_options_set_tls_client_ca, clients have to show a certificate,
///   too. wsabi_server_set_tls changes both.
/// - user_data: what the handlers of all of them are called with, until
///   wsabi_socket_set_user_data gives one its own. It is given back when the
///   server and the last of them have ended, unless this fails.
///
/// WSABI_ERR_URL: the URL cannot be used. WSABI_ERR_ARGUMENT: wss:// without
/// an identity. WSABI_ERR_CONNECT: the address, port or path cannot be had.
///
/// # Safety
///
/// `len` says how much can be read at `url`; `server_out` can be written to. The handlers of
/// `options` can be called with `user_data` on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_server_listen(
    runtime: wsabi_runtime,
    url: *const c_char,
    len: usize,
    options: wsabi_options,
    user_data: *mut c_void,
    server_out: *mut wsabi_server,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let server_out = unsafe { Out::new("server_out", server_out) }?;
        // SAFETY: as above.
        let url = unsafe { input::setting("url", url, len) }?;
        let owner = find_runtime(runtime)?;
        let options = snapshot(options)?;
        let reservation = Reservation::<Arc<ServerEntry>>::new()?;
        let handle = reservation.handle;

        let user_data = UserData::new(user_data, options.callbacks.release);
        let door = Arc::new(Door {
            runtime,
            owner: owner.clone(),
            callbacks: options.callbacks,
            user_data: user_data.clone(),
        });
        let settings = &options.settings;
        let bound = if door.callbacks.are_asked() {
            Bound::asking(&owner, url, settings, move |request| {
                Asking::about(request, Arc::clone(&door))
            })
        } else {
            Bound::new(&owner, url, settings, move |socket| door.admit(socket))
        };
        let bound = bound.inspect_err(|_| user_data.give_back())?;
        let server = bound.server.clone();
        reservation.fill(Arc::new(ServerEntry { server, runtime }));
        // Handlers may look there.
        let accepting = bound.accept_after(|| server_out.write(handle));
        if accepting.is_err() || owner.is_freed() {
            // That may have missed this server.
            drop(handles::remove::<Arc<ServerEntry>>(handle));
        }
        accepting.map(drop).inspect_err(|_| user_data.give_back())
    })
}

/// Returns the port on which a server accepts connections; 0 for a Unix
/// socket.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_server_port(server: wsabi_server) -> i32 {
    guard_value(|| {
        Ok(handles::find::<Arc<ServerEntry>>(server)?
            .server
            .port()
            .into())
    })
}

/// Has a server of wss:// be somebody else from now on, such as when its
/// certificate has been renewed: what wsabi_options_set_tls_identity,
/// _client_ca, _resumption and _key_log have set in options takes the place
/// of what it had. Everything else in options is left alone.
///
/// It holds for the connections that are accepted from now on. Those that
/// there are go on as they are. No session is resumed that was begun with
/// other options, so that a client that comes back sees the new certificate
/// and is judged by the new authorities.
///
/// WSABI_ERR_ARGUMENT: options without an identity. WSABI_ERR_STATE: the
/// server is one of ws:// or a Unix socket. Either leaves it as it was.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_server_set_tls(server: wsabi_server, options: wsabi_options) -> i32 {
    guard(|| {
        let server = handles::find::<Arc<ServerEntry>>(server)?;
        server.server.set_tls(&snapshot(options)?.settings)
    })
}

/// Stops accepting connections, gives the port or path back to the system,
/// closes the server's sockets with code 1001, and ends the handle. CLOSE
/// comes for each socket, as always, within the time of
/// wsabi_options_set_close_timeout_ms. Connections that are not yet sockets
/// are dropped, and those that wait for an answer of the application get
/// status 503.
///
/// When this returns, the same port or path can be listened on again.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_server_close(server: wsabi_server) -> i32 {
    guard(|| {
        handles::remove::<Arc<ServerEntry>>(server)?.server.close();
        Ok(())
    })
}

/// What the handle of a server stands for.
pub(super) struct ServerEntry {
    pub(super) runtime: wsabi_runtime,
    pub(super) server: Server,
}

/// What every socket of a server gets when it comes in.
pub(super) struct Door {
    pub(super) runtime: wsabi_runtime,
    pub(super) owner: Runtime,
    pub(super) callbacks: Arc<Callbacks>,
    pub(super) user_data: Arc<UserData>,
}

impl Door {
    fn admit(&self, socket: &Socket) -> Arc<dyn Handler> {
        let reservation = match Reservation::new() {
            Ok(reservation) => reservation,
            Err(error) => {
                log::error!("a connection is dropped: {error}");
                socket.abort();
                return Arc::new(|_: Event<'_>| {});
            }
        };
        let handle = reservation.handle;
        let target = Target::new(handle, self.callbacks.clone(), self.user_data.clone(), true);
        let handler = attach(reservation, socket, target, self.runtime);
        end_if_freed(&self.owner, handle);
        handler
    }
}
