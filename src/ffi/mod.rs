//! wsabi: WebSocket (RFC 6455), client and server, behind a C interface.
//!
//! This header is the manual. A client in short:
//!
//! ```c
//! wsabi_options options;
//! wsabi_socket socket;
//! wsabi_options_new(&options);
//! wsabi_options_on_open(options, on_open);
//! wsabi_options_on_message(options, on_message);
//! wsabi_options_on_close(options, on_close);
//! if (wsabi_socket_connect(WSABI_DEFAULT_RUNTIME, "ws://localhost/",
//!                          WSABI_NUL_TERMINATED, options, NULL,
//!                          &socket) != WSABI_OK)
//!   fprintf(stderr, "%s\n", wsabi_last_error());
//! ```
//!
//! A server is made with such options, too, by wsabi_server_listen. In its
//! handlers, event->handle is the socket that something has happened to.
//!
//! CONVENTIONS, which hold for every function
//!
//! Threads: every function may be called on any thread, at any time, also
//! inside a handler. Nothing waits, unless its text says so. No lock of the
//! library is held while code of the application runs. A thread that calls
//! needs a stack of 128 KiB, besides what its own functions and handlers
//! use. Threads of the library have one of 2 MiB, and block every signal.
//!
//! Handles: runtimes, options, sockets, servers and requests are numbers,
//! not addresses. They are never 0 and have at most 53 bits, so that they
//! survive a double. A handle that has ended, one of another type, 0, and
//! any other number give WSABI_ERR_HANDLE and do nothing; only
//! WSABI_DEFAULT_RUNTIME and WSABI_DEFAULT_OPTIONS are 0 and stand for
//! something. A handle number is not used again.
//!
//! Text is UTF-8, given as pointer and length in bytes; WSABI_NUL_TERMINATED
//! as the length means: up to the NUL. Text and bytes may be NULL only where
//! the length is 0. What goes in is copied before the call returns. Text and
//! payloads that come out are followed by a NUL byte that the length does
//! not count.
//!
//! Results: an int32_t is WSABI_OK or a count, or one of WSABI_ERR_*, all of
//! which are negative; an int64_t is an amount or a length, or one of
//! WSABI_ERR_*. After a failure wsabi_last_error has a sentence about it. A
//! call that fails has done nothing and taken nothing. Results that are
//! returned through a pointer (*_out) are written last, and only on success;
//! a handle is there before any handler can run that might look.
//! Any function may return WSABI_ERR_ARGUMENT (a NULL where none is allowed,
//! a number out of range, text that is not UTF-8), WSABI_ERR_HANDLE,
//! WSABI_ERR_FORKED, WSABI_ERR_RESOURCE and WSABI_ERR_INTERNAL; a function's
//! text names what it may return besides.
//!
//! Handlers: functions of the application that the library calls. They must
//! return. A C++ exception that leaves one, or the end of its thread by
//! pthread_exit, ends the process with a sentence on standard error. A
//! longjmp out of one cannot be told from a coroutine that goes on while the
//! handler waits, and counts as that: the handler is running for ever. Where
//! wsabi_runtime_poll was calling it, later polls of that runtime get
//! WSABI_ERR_STATE, its sockets tell nothing more, and it can only be freed,
//! by the same thread, while another that frees it waits for ever. What the
//! handler was lent stays lent. A handler that is slow holds up its socket,
//! and the others that share its thread. What a handler changes of its
//! thread, such as errno, the signal mask, or how floating point numbers are
//! rounded, disturbs nothing, and stays as it is: for the handlers that
//! follow there, and for whoever polls.
//!
//! user_data: a pointer that the library hands to handlers and never reads.
//! The function given to wsabi_options_on_release gets each one back, once.
//!
//! Growth: wsabi_event and wsabi_stats begin with their size and grow only
//! at the end; wsabi_message stays as it is. Kinds, codes and flags are only
//! added: ignore those that you do not know.
//!
//! fork: in the child, handles from before fork() give WSABI_ERR_FORKED;
//! what they stand for lives on in the parent only. The child can make its
//! own, and begins without a log handler. One that was forked by a handler
//! may not return from it: it ends there, with a sentence on standard error.
//!
//! dlclose: does not unload the library on Linux and other systems with ELF,
//! and is harmless at any time. What is open goes on.

// What stands above is the beginning of include/wsabi.h. The public modules are its sections, in
// this order, which the empty lines protect from rustfmt.
#![expect(unsafe_code, reason = "the C interface is made of pointers")]
#![expect(non_camel_case_types, reason = "the names of types are those of C")]

pub mod library;

pub mod status;

pub mod event;

pub mod runtime;

pub mod polling;

pub mod options;

pub mod settings;

pub mod limits;

pub mod compression;

pub mod tls;

pub mod socket;

pub mod facts;

pub mod server;

pub mod publish;

pub mod request;

mod callbacks;
mod current;
mod foreign;
mod guard;
mod handles;
mod input;
mod output;
mod pickle;
mod process;
mod table;
mod target;
mod user_data;

#[cfg(test)]
mod tests;
