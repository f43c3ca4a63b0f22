/* ======================================================================
 * wsabi: WebSocket (RFC 6455), client and server, behind a C interface.
 *
 * This header is the manual. A client in short:
 *
 *     wsabi_options options;
 *     wsabi_socket socket;
 *     wsabi_options_new(&options);
 *     wsabi_options_on_open(options, on_open);
 *     wsabi_options_on_message(options, on_message);
 *     wsabi_options_on_close(options, on_close);
 *     if (wsabi_socket_connect(WSABI_DEFAULT_RUNTIME, "ws://localhost/",
 *                              WSABI_NUL_TERMINATED, options, NULL,
 *                              &socket) != WSABI_OK)
 *       fprintf(stderr, "%s\n", wsabi_last_error());
 *
 * A server is made with such options, too, by wsabi_server_listen. In its
 * handlers, event->handle is the socket that something has happened to.
 *
 * CONVENTIONS, which hold for every function
 *
 * Threads: every function may be called on any thread, at any time, also
 * inside a handler. Nothing waits, unless its text says so. No lock of the
 * library is held while code of the application runs. A thread that calls
 * needs a stack of 128 KiB, besides what its own functions and handlers
 * use. Threads of the library have one of 2 MiB, and block every signal.
 *
 * Handles: runtimes, options, sockets, servers and requests are numbers,
 * not addresses. They are never 0 and have at most 53 bits, so that they
 * survive a double. A handle that has ended, one of another type, 0, and
 * any other number give WSABI_ERR_HANDLE and do nothing; only
 * WSABI_DEFAULT_RUNTIME and WSABI_DEFAULT_OPTIONS are 0 and stand for
 * something. A handle number is not used again.
 *
 * Text is UTF-8, given as pointer and length in bytes; WSABI_NUL_TERMINATED
 * as the length means: up to the NUL. Text and bytes may be NULL only where
 * the length is 0. What goes in is copied before the call returns. Text and
 * payloads that come out are followed by a NUL byte that the length does
 * not count.
 *
 * Results: an int32_t is WSABI_OK or a count, or one of WSABI_ERR_*, all of
 * which are negative; an int64_t is an amount or a length, or one of
 * WSABI_ERR_*. After a failure wsabi_last_error has a sentence about it. A
 * call that fails has done nothing and taken nothing. Results that are
 * returned through a pointer (*_out) are written last, and only on success;
 * a handle is there before any handler can run that might look.
 * Any function may return WSABI_ERR_ARGUMENT (a NULL where none is allowed,
 * a number out of range, text that is not UTF-8), WSABI_ERR_HANDLE,
 * WSABI_ERR_FORKED, WSABI_ERR_RESOURCE and WSABI_ERR_INTERNAL; a function's
 * text names what it may return besides.
 *
 * Handlers: functions of the application that the library calls. They must
 * return. A C++ exception that leaves one, or the end of its thread by
 * pthread_exit, ends the process with a sentence on standard error. A
 * longjmp out of one cannot be told from a coroutine that goes on while the
 * handler waits, and counts as that: the handler is running for ever. Where
 * wsabi_runtime_poll was calling it, later polls of that runtime get
 * WSABI_ERR_STATE, its sockets tell nothing more, and it can only be freed,
 * by the same thread, while another that frees it waits for ever. What the
 * handler was lent stays lent. A handler that is slow holds up its socket,
 * and the others that share its thread. What a handler changes of its
 * thread, such as errno, the signal mask, or how floating point numbers are
 * rounded, disturbs nothing, and stays as it is: for the handlers that
 * follow there, and for whoever polls.
 *
 * user_data: a pointer that the library hands to handlers and never reads.
 * The function given to wsabi_options_on_release gets each one back, once.
 *
 * Growth: wsabi_event and wsabi_stats begin with their size and grow only
 * at the end; wsabi_message stays as it is. Kinds, codes and flags are only
 * added: ignore those that you do not know.
 *
 * fork: in the child, handles from before fork() give WSABI_ERR_FORKED;
 * what they stand for lives on in the parent only. The child can make its
 * own, and begins without a log handler. One that was forked by a handler
 * may not return from it: it ends there, with a sentence on standard error.
 *
 * dlclose: does not unload the library on Linux and other systems with ELF,
 * and is harmless at any time. What is open goes on.
 * ====================================================================== */

#ifndef WSABI_H
#define WSABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================
 * Library: version, log, threads.
 * ====================================================================== */

/**
 * The version of the binary interface that this header describes. It
 * changes only when programs must be compiled anew.
 */
#define WSABI_ABI_VERSION 1

/** As the length of a text: it goes up to its NUL. */
#define WSABI_NUL_TERMINATED SIZE_MAX

/**
 * A function that is called with log records, on any thread, also on
 * several at the same time. What the library logs on the same thread
 * meanwhile is dropped.
 *
 * - level: 1 error, 2 warning, 3 information, 4 debugging, 5 trace.
 * - target: the part of the library, NUL-terminated.
 * - message, len: the text, and its length without the NUL behind it.
 *
 * The texts live until the function returns.
 */
typedef void (*wsabi_log_handler)(int32_t level,
                                  const char *target,
                                  const char *message,
                                  size_t len,
                                  void *user_data);

/**
 * Returns WSABI_ABI_VERSION of the library that is loaded. A program that
 * loads it at run time should refuse one with another number.
 */
uint32_t wsabi_abi_version(void);

/**
 * Returns the version of the library, such as "0.1.0". The text lives for
 * ever.
 */
const char *wsabi_version(void);

/**
 * Sets the function that is called with log records, for the whole process.
 * NULL: none, which is the default.
 *
 * - max_level: 0 nothing, 1 errors, 2 also warnings, 3 also information, 4
 *   also debugging, 5 everything.
 * - user_data: not released by the library. A call of the earlier function
 *   that is under way on another thread may end after this has returned.
 *
 * WSABI_ERR_STATE: the program is written in Rust and has another logger.
 */
int32_t wsabi_set_log_handler(int32_t max_level,
                              wsabi_log_handler handler,
                              void *user_data);

/**
 * Sets functions that run first and last on every thread that a runtime
 * starts from now on, which are those that handlers run on: to attach it to
 * a virtual machine, to keep an interpreter's state for it, or to name it
 * for a profiler.
 *
 * start returns before any handler runs on the thread, and no handler runs
 * on it after stop was called. Either may be NULL, the default. user_data
 * is not released by the library. Threads of a runtime that is not freed
 * when the process ends never call stop. After fork() the child has the
 * same functions.
 *
 * They do not run on the threads on which a runtime looks names up and
 * reads certificates, and which may outlive it: of the application, only
 * the function of wsabi_set_log_handler can be called there.
 */
int32_t wsabi_set_thread_hooks(void (*start)(void *user_data),
                               void (*stop)(void *user_data),
                               void *user_data);

/* ======================================================================
 * Status: what a call returns, or an ERROR event carries.
 * ====================================================================== */

/** Success. */
#define WSABI_OK 0

/**
 * An argument is NULL, out of range, not UTF-8 or not allowed, such as a
 * header value with a line break.
 */
#define WSABI_ERR_ARGUMENT -1

/** A handle has ended, is of another type, is 0, or never was one. */
#define WSABI_ERR_HANDLE -2

/** The call is not allowed in this state, such as a send before OPEN. */
#define WSABI_ERR_STATE -3

/** A send on a socket that is closing or closed. */
#define WSABI_ERR_CLOSED -4

/** The URL is malformed, or its scheme is not supported. */
#define WSABI_ERR_URL -5

/**
 * The message was refused whole, since the unsent data would exceed the
 * limit of wsabi_options_set_max_buffered. A DRAIN event follows.
 */
#define WSABI_ERR_BUFFER_FULL -6

/**
 * The peer's message is larger than wsabi_options_set_max_message allows.
 */
#define WSABI_ERR_TOO_BIG -7

/** The host name could not be resolved. */
#define WSABI_ERR_DNS -10

/** No address of the host could be reached. */
#define WSABI_ERR_CONNECT -11

/** The proxy refused or failed. */
#define WSABI_ERR_PROXY -12

/**
 * TLS failed. The sentence says how, and begins with one of these, which
 * stay as they are:
 *
 * - "certificate expired:", "certificate not yet valid:"
 * - "certificate for another host:" and the names that it is for
 * - "certificate of unknown issuer:" no authority that is trusted here
 * - "certificate revoked:", "certificate not pinned:"
 * - "certificate refused:" anything else that is wrong with it
 * - "certificate missing:" the peer has shown none
 * - "certificate demanded:" the peer wants one, and there is none
 * - "own certificate refused:" the peer does not take this end's
 * - "not TLS:" the peer speaks something else, such as plain HTTP
 * - "nothing in common:" no version or cipher suite that both know
 * - "no HTTP/1.1:" the server wants another protocol
 * - "alert received:" the peer gives up, for the reason that it names
 * - "truncated:" the stream ended without saying so
 * - "TLS violated:" the peer broke the rules, or somebody interfered
 * - "TLS failed:" anything else, such as no trusted authority at all
 */
#define WSABI_ERR_TLS -13

/**
 * The server answered, but not with 101: see wsabi_socket_response_status,
 * wsabi_socket_response_header and WSABI_FACT_RESPONSE_BODY.
 */
#define WSABI_ERR_HTTP -14

/**
 * The server answered with 101, but wrongly (RFC 6455 section 4.1): its
 * head is malformed, or the accept key, an extension or the subprotocol is
 * wrong.
 */
#define WSABI_ERR_HANDSHAKE -15

/** The peer broke RFC 6455 or RFC 7692. */
#define WSABI_ERR_PROTOCOL -16

/**
 * The peer sent text or a close reason that is not UTF-8, or data that
 * cannot be inflated.
 */
#define WSABI_ERR_ENCODING -17

/**
 * A time ran out. Of an ERROR event: the one of
 * wsabi_options_set_connect_timeout_ms, wsabi_options_set_close_timeout_ms,
 * wsabi_options_set_pong_timeout_ms or wsabi_options_set_idle_timeout_ms.
 * Of wsabi_runtime_shutdown: its own.
 */
#define WSABI_ERR_TIMEOUT -18

/** The connection was reset, or ended without a Close frame. */
#define WSABI_ERR_IO -19

/**
 * The application dropped the connection: by wsabi_socket_abort, by
 * wsabi_socket_close before OPEN, or by the end of the runtime.
 */
#define WSABI_ERR_ABORTED -20

/**
 * The system refused memory, threads or descriptors. For messages, handles
 * and connections, that is: where it refuses the few bytes of anything
 * else, the process ends with a sentence on standard error.
 */
#define WSABI_ERR_RESOURCE -21

/** The handle was made before fork(), by the parent of this process. */
#define WSABI_ERR_FORKED -22

/**
 * A defect of the library. Please report the sentence of wsabi_last_error.
 */
#define WSABI_ERR_INTERNAL -99

/**
 * Returns the name of a status, such as "WSABI_ERR_TLS", and "unknown
 * status" for any other number. Never NULL; the text lives for ever.
 */
const char *wsabi_status_name(int32_t status);

/**
 * Returns a sentence about the latest failed call of this thread, which
 * names the value that was wrong; "" if none has failed yet. Never NULL.
 *
 * The text lives until the next call on this thread fails, or the thread
 * ends. Calls that succeed do not change it.
 */
const char *wsabi_last_error(void);

/* ======================================================================
 * Events: what happens to a socket, as its handlers are told.
 *
 * For one socket: OPEN, then MESSAGE, PING, PONG and DRAIN as they come,
 * then at most one ERROR, then CLOSE.
 *
 * - With wsabi_options_set_reconnect, a connection that is lost or cannot
 *   be made gives RECONNECT in place of ERROR and CLOSE, and then OPEN or
 *   RECONNECT again. ERROR and CLOSE still come in the end.
 * - CLOSE comes exactly once for every socket that wsabi_socket_connect
 *   returned or that a server opened, and is the last event. It comes at
 *   the latest a close timeout after the end began. If connecting fails,
 *   ERROR and CLOSE are the only events.
 * - An end that both sides agreed on, by Close frames, has no ERROR.
 * - No event comes after wsabi_socket_release, not even CLOSE.
 * - Handlers of one socket never overlap and never come out of order. Those
 *   of different sockets may run at the same time.
 * - REQUEST belongs to no socket: it comes before there is one, and only to
 *   servers that ask.
 * ====================================================================== */

/** The connection is established: messages can be sent. */
#define WSABI_EVENT_OPEN 1

/**
 * A whole message: data and len are its payload, type is WSABI_TEXT or
 * WSABI_BINARY.
 */
#define WSABI_EVENT_MESSAGE 2

/**
 * The connection failed, and only CLOSE follows. code is a WSABI_ERR_*,
 * data a sentence for a person.
 */
#define WSABI_EVENT_ERROR 3

/**
 * The end. code is that of the Close frame (RFC 6455 section 7.4), 1005 if
 * it had none, and 1006 if there was no Close frame. data is its reason,
 * always UTF-8. was_clean is 1 if both sides sent a Close frame, otherwise
 * 0.
 *
 * Where the peer broke the protocol, code is that of the Close frame with
 * which the library answered: 1002 for a protocol error, 1007 for text that
 * is not UTF-8, 1009 for a message over the limit.
 */
#define WSABI_EVENT_CLOSE 4

/**
 * The peer sent a ping, with data as payload. It has been answered already.
 */
#define WSABI_EVENT_PING 5

/**
 * The peer sent a pong, with data as payload. value is the time since the
 * ping that it answers in nanoseconds, 0 if it answers none.
 */
#define WSABI_EVENT_PONG 6

/**
 * The amount of unsent bytes fell to the mark of
 * wsabi_options_set_low_water after it had been above, or so far that the
 * message fits which was refused with WSABI_ERR_BUFFER_FULL.
 */
#define WSABI_EVENT_DRAIN 7

/**
 * The connection was lost, or could not be made, and will be tried again.
 * code is the cause, a WSABI_ERR_*, data a sentence about it, and value the
 * time until then in milliseconds. If the server closed the connection with
 * a code that says "for now" (1001, 1011 to 1014), code is
 * WSABI_ERR_CLOSED.
 *
 * Until the next OPEN the socket is connecting: wsabi_socket_set_header and
 * wsabi_socket_set_url change the next attempt, and wsabi_socket_close,
 * _abort and _release end them all. Messages that had not left are dropped,
 * and one that is being sent in pieces has to be begun anew.
 */
#define WSABI_EVENT_RECONNECT 8

/**
 * A server asks whether to accept an upgrade request. handle is the
 * wsabi_request, user_data that of the server, and data the target, such as
 * "/chat?room=1". Answer with wsabi_request_accept or wsabi_request_reject,
 * at once or later.
 */
#define WSABI_EVENT_REQUEST 9

/** The type of a text message. */
#define WSABI_TEXT 1

/** The type of a binary message. */
#define WSABI_BINARY 2

/**
 * Or-ed into the type of a message that is sent: the message is not
 * compressed, since it holds a secret next to text that others choose, and
 * its compressed size would tell about the secret.
 */
#define WSABI_PLAIN 16

/**
 * One event. It and its data live until the handler returns; copy what is
 * needed longer.
 */
typedef struct wsabi_event {
  /** sizeof(wsabi_event), as the library knows it. */
  uint32_t size;
  /** What happened: one of WSABI_EVENT_*. */
  int32_t kind;
  /** The socket. REQUEST: the request. */
  uint64_t handle;
  /** The socket's user_data. REQUEST: the server's. */
  void *user_data;
  /**
   * MESSAGE, PING, PONG: the payload. ERROR, RECONNECT: a sentence.
   * CLOSE: the reason. REQUEST: the target. Otherwise empty. Never NULL.
   */
  const uint8_t *data;
  /** The number of bytes in data. data[len] is 0. */
  size_t len;
  /**
   * MESSAGE: WSABI_TEXT, then data is valid UTF-8, or WSABI_BINARY.
   * Otherwise 0.
   */
  int32_t type;
  /**
   * ERROR, RECONNECT: a WSABI_ERR_*. CLOSE: the close code. Otherwise 0.
   */
  int32_t code;
  /** CLOSE: 1 if both sides sent a Close frame. Otherwise 0. */
  int32_t was_clean;
  /** 0. */
  int32_t reserved;
  /**
   * PONG: the round-trip time in nanoseconds, or 0. RECONNECT: the
   * milliseconds until the next attempt. Otherwise 0.
   */
  uint64_t value;
} wsabi_event;

/**
 * A function that is called with events. user_data is event->user_data
 * again, for languages in which reading a struct is dear.
 */
typedef void (*wsabi_handler)(const struct wsabi_event *event, void *user_data);

/* ======================================================================
 * Runtime: the threads that run connections.
 *
 * Most programs need only WSABI_DEFAULT_RUNTIME. One of one's own can be
 * shut down, and can have more threads.
 * ====================================================================== */

/**
 * The runtime of the process, which is there without being made. It starts
 * its threads at its first use, one for each processor but at most 4, and
 * cannot be freed.
 */
#define WSABI_DEFAULT_RUNTIME 0

/** Handlers run on the threads of the runtime, as things happen. */
#define WSABI_DELIVER_ON_THREADS 0

/**
 * Handlers run, or events are handed out, inside wsabi_runtime_poll or one
 * of wsabi_runtime_next_* only: on the thread of a game loop, of an
 * interpreter, of a user interface.
 *
 * Until then events wait. When more than 16 MiB of them do, sockets that
 * have some are not read, so that TCP holds their peers back; nothing is
 * lost. Pings are answered as long as a socket is read, and while so much
 * waits, only the first of them are told.
 */
#define WSABI_DELIVER_ON_POLL 1

/**
 * The handle of a runtime, made by wsabi_runtime_new and ended by
 * wsabi_runtime_free.
 */
typedef uint64_t wsabi_runtime;

/**
 * Starts a runtime.
 *
 * - threads: 1 to 64. A socket stays on one of them; a program with few
 *   sockets needs one. 0, only with WSABI_DELIVER_ON_POLL: none at all, and
 *   the reading and writing is done by whoever polls.
 * - delivery: WSABI_DELIVER_ON_THREADS or WSABI_DELIVER_ON_POLL.
 */
int32_t wsabi_runtime_new(uint32_t threads,
                          int32_t delivery,
                          wsabi_runtime *runtime_out);

/**
 * Closes every socket of a runtime with code 1001, and its servers, and
 * waits until all are closed. The runtime can be used again afterwards.
 * With WSABI_DELIVER_ON_POLL the events about it wait to be polled.
 *
 * - timeout_ms: how many milliseconds it waits at most; -1: for ever, 0:
 *   not at all. Inside a handler of the runtime it never waits, nor where
 *   a handler of it waits in this function, or in wsabi_runtime_free, for
 *   the one that calls.
 *
 * WSABI_ERR_TIMEOUT: some are not closed yet, but are closing.
 */
int32_t wsabi_runtime_shutdown(wsabi_runtime runtime, int32_t timeout_ms);

/**
 * Ends a runtime: drops its connections, whose handlers get ERROR with
 * WSABI_ERR_ABORTED and CLOSE, and waits until its threads have ended. No
 * handler runs afterwards, and the handles of its sockets, servers and
 * requests end.
 * With WSABI_DELIVER_ON_POLL, they end without these events, and those that
 * wait are dropped; it waits for a poll of another thread to return.
 *
 * Inside a handler of the runtime it does not wait for the thread of that
 * one, and the sockets of that thread end without events. It does not wait,
 * either, for a thread that itself waits for the calling one: of two
 * handlers that free each other's runtimes, one returns at once. To end
 * connections politely, call wsabi_runtime_shutdown before.
 *
 * WSABI_ERR_ARGUMENT: WSABI_DEFAULT_RUNTIME cannot be freed.
 */
int32_t wsabi_runtime_free(wsabi_runtime runtime);

/* ======================================================================
 * Polling: a runtime with WSABI_DELIVER_ON_POLL, whose events come when the
 * application asks for them.
 *
 * One thread at a time can ask. Another one, and a handler that is being
 * run by a poll, gets WSABI_ERR_STATE at once; so does a runtime with
 * WSABI_DELIVER_ON_THREADS.
 * ====================================================================== */

/**
 * Runs the handlers of the events that wait, and returns for how many.
 *
 * - max_events: how many at most, for a frame of a game; 0: all that wait.
 *   An event counts whether it has a handler or not.
 * - timeout_ms: how many milliseconds it waits for the first event; 0: not
 *   at all, -1: for ever. wsabi_runtime_wake ends it.
 */
int32_t wsabi_runtime_poll(wsabi_runtime runtime,
                           uint32_t max_events,
                           int32_t timeout_ms);

/**
 * Fills an array with events instead of running handlers, for hosts that
 * cannot be called back, and returns how many. They and their data live
 * until the next call of this or another function that takes events of the
 * runtime, or its end.
 *
 * - events: capacity of them, each event_size bytes behind the last.
 * - event_size: sizeof(wsabi_event), as the application knows it.
 * - timeout_ms: as for wsabi_runtime_poll.
 *
 * WSABI_ERR_ARGUMENT: event_size is smaller than in the first version, or
 * no multiple of 8.
 */
int32_t wsabi_runtime_next_events(wsabi_runtime runtime,
                                  wsabi_event *events,
                                  uint32_t event_size,
                                  uint32_t capacity,
                                  int32_t timeout_ms);

/**
 * Writes events and their payloads into one buffer, for hosts where reading
 * through pointers is dear, and returns how many. Whole events only.
 *
 * Each is a header of 48 bytes in native byte order, and its data, padded
 * with zeros to a multiple of 8. The header is kind, type, code and
 * was_clean, 4 bytes each, and handle, user_data, value and len, 8 bytes
 * each.
 *
 * - buf, cap: where they go, and how many bytes there is room for.
 * - timeout_ms: as for wsabi_runtime_poll.
 * - bytes_out: how many bytes were written. If no event was, but bytes_out
 *   is larger than cap, the first event needs that much room.
 */
int32_t wsabi_runtime_next_packed(wsabi_runtime runtime,
                                  uint8_t *buf,
                                  size_t cap,
                                  int32_t timeout_ms,
                                  size_t *bytes_out);

/**
 * Writes events as a pickle of Python, protocol 4, for bindings to that
 * language: pickle.loads makes objects of all of them in one go. Returns
 * how many there were.
 *
 * It is a list of tuples: kind, handle, user_data, data, value, code and
 * was_clean, as in wsabi_event. All are int, but was_clean is bool, and
 * data is str for ERROR, RECONNECT, CLOSE and REQUEST, and otherwise bytes.
 * Messages of a socket that follow one another share a tuple: its data is a
 * list of str and bytes, and its value how many bytes they have together.
 *
 * - buf, cap, timeout_ms, bytes_out: as for wsabi_runtime_next_packed. With
 *   no event, nothing is written.
 */
int32_t wsabi_runtime_next_pickled(wsabi_runtime runtime,
                                   uint8_t *buf,
                                   size_t cap,
                                   int32_t timeout_ms,
                                   size_t *bytes_out);

/**
 * Gives a descriptor that is readable exactly while wsabi_runtime_poll has
 * something to do: for epoll, select, asyncio, GLib, libuv. It belongs to
 * the runtime: watch it, and neither read nor close it. It lives as long as
 * the runtime.
 *
 * WSABI_ERR_STATE: the system has none. With threads it has one on every
 * system but Windows, without threads on Linux.
 */
int32_t wsabi_runtime_fd(wsabi_runtime runtime, ptrdiff_t *fd_out);

/**
 * Has a poll of the runtime that waits, or the next one, return without an
 * event.
 */
int32_t wsabi_runtime_wake(wsabi_runtime runtime);

/**
 * Sets what is called when events begin to wait, for loops that watch no
 * descriptors; once, and not again before a poll. NULL removes it. The old
 * one does not run any more when this returns.
 *
 * It is called on a thread of the library, or inside the call that leaves
 * events waiting, and may only signal: post a message to a window, set an
 * event. It must not call this library.
 *
 * WSABI_ERR_STATE: the runtime has no threads to call from.
 */
int32_t wsabi_runtime_on_ready(wsabi_runtime runtime,
                               void (*signal)(void *user_data),
                               void *user_data);

/* ======================================================================
 * Options: a template of handlers and settings for any number of sockets
 * and servers.
 *
 * A socket or server copies what it needs: later changes concern only those
 * that are made later. A socket is a client's or one that a server opened.
 * ====================================================================== */

/**
 * The options that sockets and servers get when none are given: the
 * defaults, without handlers. They can be cloned, but neither changed nor
 * freed.
 */
#define WSABI_DEFAULT_OPTIONS 0

/**
 * The handle of options, made by wsabi_options_new or wsabi_options_clone
 * and ended by wsabi_options_free.
 */
typedef uint64_t wsabi_options;

/** Makes options with the default settings and without handlers. */
int32_t wsabi_options_new(wsabi_options *options_out);

/** Makes options that equal others, handlers included. */
int32_t wsabi_options_clone(wsabi_options options, wsabi_options *options_out);

/** Ends options. Sockets and servers made with them keep what they took. */
int32_t wsabi_options_free(wsabi_options options);

/**
 * Sets the handler of OPEN: the connection is established.
 *
 * This and the next functions set handlers: NULL removes one, which is the
 * default. Handlers run on the threads of the runtime or, with
 * WSABI_DELIVER_ON_POLL, inside wsabi_runtime_poll.
 */
int32_t wsabi_options_on_open(wsabi_options options, wsabi_handler handler);

/** Sets the handler of MESSAGE: a message has come. */
int32_t wsabi_options_on_message(wsabi_options options, wsabi_handler handler);

/** Sets the handler of ERROR: the connection failed, and CLOSE follows. */
int32_t wsabi_options_on_error(wsabi_options options, wsabi_handler handler);

/** Sets the handler of CLOSE: the end, which comes exactly once. */
int32_t wsabi_options_on_close(wsabi_options options, wsabi_handler handler);

/**
 * Sets the handler of one kind of event, WSABI_EVENT_*, or with kind 0 that
 * of every kind but REQUEST. The functions above are short forms of it.
 *
 * With a handler of REQUEST, a server accepts only what is accepted by
 * wsabi_request_accept; so it is only set by its own kind.
 */
int32_t wsabi_options_on_event(wsabi_options options,
                               int32_t kind,
                               wsabi_handler handler);

/**
 * Sets the function that gives user_data back. NULL: none, which is the
 * default.
 *
 * It is called exactly once for each user_data that was handed over by
 * wsabi_socket_connect, wsabi_server_listen, wsabi_request_accept or
 * wsabi_socket_set_user_data, NULL too, on any thread, when no handler will
 * see it again. A call that fails hands nothing over.
 *
 * - A client's socket: soon after wsabi_socket_release or
 *   wsabi_runtime_free, when its handler has returned if one is running.
 *   CLOSE alone gives nothing back: a closed socket can still be asked.
 * - A server's socket with a user_data of its own, by wsabi_request_accept
 *   or wsabi_socket_set_user_data: soon after the handler of CLOSE has
 *   returned, or after the socket was released before.
 * - A server: when it accepts no more and the last of its sockets has
 *   ended, since they share its user_data.
 * - What wsabi_socket_set_user_data replaced: see there.
 */
int32_t wsabi_options_on_release(wsabi_options options,
                                 void (*release)(void *user_data));

/* ======================================================================
 * Settings: what a client says and which way it takes, and whom a server
 * takes. Limits, compression and TLS are settings, too: see below.
 *
 * Text is copied.
 * ====================================================================== */

/**
 * Adds a subprotocol to those that are there. Default: none.
 *
 * A client offers them all, the first being the one it likes best; if it
 * offers any and the server takes none, connecting fails with
 * WSABI_ERR_HANDSHAKE. A server takes the first of its own that the client
 * offers.
 *
 * WSABI_ERR_ARGUMENT: name is not a token (RFC 6455 section 4.1), or is
 * there already, in any letter case.
 */
int32_t wsabi_options_add_subprotocol(wsabi_options options,
                                      const char *name,
                                      size_t len);

/**
 * Adds a header field to a client's request, or to the answer with which a
 * server accepts one. Default: none.
 *
 * WSABI_ERR_ARGUMENT: name is not a token, value has a control character,
 * such as a line break, or begins or ends with a space (RFC 9110 section
 * 5), or the field is one that the library writes itself: Connection,
 * Content-Length, Host, Origin, Sec-WebSocket-*, Transfer-Encoding, Upgrade
 * and User-Agent.
 */
int32_t wsabi_options_add_header(wsabi_options options,
                                 const char *name,
                                 size_t name_len,
                                 const char *value,
                                 size_t value_len);

/**
 * Sets the Origin field of a client's request, such as
 * "https://example.org" (RFC 6455 section 10.2). Empty: none, which is the
 * default.
 *
 * WSABI_ERR_ARGUMENT as for the value of wsabi_options_add_header.
 */
int32_t wsabi_options_set_origin(wsabi_options options,
                                 const char *text,
                                 size_t len);

/**
 * Sets the User-Agent field of a client's request, or the Server field of
 * the answer with which a server accepts one. Empty: none, which is the
 * default.
 *
 * WSABI_ERR_ARGUMENT as for the value of wsabi_options_add_header.
 */
int32_t wsabi_options_set_user_agent(wsabi_options options,
                                     const char *text,
                                     size_t len);

/**
 * Sets the credentials of a client, "user:password". Empty: none, which is
 * the default.
 *
 * They are sent in the clear (RFC 7617), so that they are safe with wss://
 * only. Credentials in the URL take precedence over them, and a header
 * Authorization over both.
 *
 * WSABI_ERR_ARGUMENT: no colon, or a control character. The user's name
 * ends at the first colon.
 */
int32_t wsabi_options_set_basic_auth(wsabi_options options,
                                     const char *credentials,
                                     size_t len);

/**
 * Sets the proxy that a client connects through:
 * "scheme://user:password@host:port", of which only the host is needed.
 * Empty: none, which is the default. Unix sockets are reached without it.
 *
 * - http, which is the scheme if there is none: by CONNECT; port 80.
 * - https: the same, through TLS to the proxy, whose certificate is
 *   verified like a server's; port 443. Identity, pins and server name of
 *   these options are not for the proxy.
 * - socks5: names are resolved here, and the proxy is asked for one address
 *   after the other; port 1080.
 * - socks5h: the proxy resolves the names; port 1080.
 * - "env" alone: what the environment says at the time of this call, by
 *   http_proxy, https_proxy, all_proxy and no_proxy.
 *
 * WSABI_ERR_URL: the text is none of these.
 */
int32_t wsabi_options_set_proxy(wsabi_options options,
                                const char *proxy,
                                size_t len);

/**
 * Sets how many redirects a client follows in a row while it connects, from
 * 0, the default, to 20. None leads from wss:// to ws://, and credentials,
 * Cookie included, go to no other origin.
 */
int32_t wsabi_options_set_max_redirects(wsabi_options options,
                                        uint32_t redirects);

/**
 * Sets whether a client connects again when the connection is lost or
 * cannot be made, beginning with the first. min_ms, max_ms and tries 0: it
 * does not, which is the default.
 *
 * - Before each try comes RECONNECT, and then a wait: a random time between
 *   min_ms milliseconds and a limit, which is twice min_ms at first and
 *   doubles with every try, up to max_ms. It is longer where a server that
 *   refuses asks for more by Retry-After.
 * - tries: how many there are in a row; then ERROR and CLOSE come. 0: any
 *   number. They, and the limit, begin anew after a connection that was
 *   open for max_ms.
 * - Closed by the server, a connection is made anew after the codes 1001
 *   and 1011 to 1014, which say "for now", and after no other.
 * - ERROR and CLOSE come at once where another try would end in the same
 *   way: after the HTTP statuses that are no 5xx but for 408, 425 and 429,
 *   such as 401, 403 and 404, after 407 of the proxy, after certificates
 *   and pins that do not fit, and after whatever breaks RFC 6455 or a limit
 *   of these options.
 * - wsabi_socket_close, _abort and _release end it at any time.
 *
 * WSABI_ERR_ARGUMENT: min_ms is 0 and another is not, or min_ms is more
 * than max_ms.
 */
int32_t wsabi_options_set_reconnect(wsabi_options options,
                                    uint32_t min_ms,
                                    uint32_t max_ms,
                                    uint32_t tries);

/**
 * Sets how many connections a server holds at a time, those included that
 * have not asked for a WebSocket yet; further ones are refused with HTTP
 * status 503. 0: no limit, which is the default.
 */
int32_t wsabi_options_set_max_connections(wsabi_options options,
                                          uint32_t connections);

/**
 * Sets whether a server asks, by REQUEST events, whether to accept an
 * upgrade request: 1, or 0, the default. A handler of REQUEST says so, too;
 * this is for those who use wsabi_runtime_next_events,
 * wsabi_runtime_next_packed or wsabi_runtime_next_pickled instead of
 * handlers.
 */
int32_t wsabi_options_set_requests(wsabi_options options, int32_t ask);

/**
 * Sets how many connections may wait for a server to accept them: at least
 * one. Default: 4096. The system's own limit holds as well:
 * net.core.somaxconn on Linux. A client that finds no room tries again, or
 * is refused.
 */
int32_t wsabi_options_set_backlog(wsabi_options options, uint32_t connections);

/**
 * Sets whether several servers may listen on one address and port
 * (SO_REUSEPORT), also of several processes, if each of them sets this: 1,
 * or 0, the default. Linux spreads the connections over them; other systems
 * may give all to one. Without effect on Unix sockets.
 *
 * WSABI_ERR_STATE: the system cannot; Windows is one.
 */
int32_t wsabi_options_set_reuse_port(wsabi_options options, int32_t on);

/* ======================================================================
 * Limits: how much there may be, and how long it may take.
 *
 * Bytes are counted without frames. Times are in milliseconds.
 * ====================================================================== */

/**
 * Sets the size of the largest message that is received, in bytes, at least
 * 1. Default: 16777216 (16 MiB).
 *
 * A longer one fails the connection: code 1009, WSABI_ERR_TOO_BIG. Memory
 * is taken as the bytes of a message come in, never for what its head
 * announces.
 */
int32_t wsabi_options_set_max_message(wsabi_options options, uint64_t bytes);

/**
 * Sets how many bytes of messages may wait to be sent, at least 1. Default:
 * 67108864 (64 MiB).
 *
 * A message that would exceed it is refused: WSABI_ERR_BUFFER_FULL, or
 * WSABI_ERR_ARGUMENT if it is longer than the limit itself.
 */
int32_t wsabi_options_set_max_buffered(wsabi_options options, uint64_t bytes);

/**
 * Sets the amount of unsent bytes, counted as by
 * wsabi_socket_buffered_amount, at which DRAIN comes after there were more.
 * Default: 1048576 (1 MiB).
 */
int32_t wsabi_options_set_low_water(wsabi_options options, uint64_t bytes);

/**
 * Sets the size of the largest frame that is sent, in bytes of payload;
 * longer messages are split into several frames (RFC 6455 section 5.4). 0:
 * messages are not split, which is the default.
 */
int32_t wsabi_options_set_max_frame(wsabi_options options, uint64_t bytes);

/**
 * Sets the time from wsabi_socket_connect to OPEN: for name resolution,
 * connecting, the proxy, TLS, the upgrade, and redirects, all of them
 * together; then: WSABI_ERR_TIMEOUT. With wsabi_options_set_reconnect each
 * attempt has this time.
 *
 * For a server: the time that a client has for TLS and its upgrade request;
 * then the server drops it, without an event, as it does with all that
 * never get to OPEN. Where the application is asked, by REQUEST, it has as
 * long again to answer; then the client gets status 503, and the handle of
 * the request ends.
 *
 * 0: no limit. Default: 10000.
 */
int32_t wsabi_options_set_connect_timeout_ms(wsabi_options options,
                                             uint32_t milliseconds);

/**
 * Sets the time from the beginning of the end to CLOSE, at most. If the
 * peer has not answered the Close frame by then: ERROR with
 * WSABI_ERR_TIMEOUT and CLOSE with 1006. 0: does not wait. Default: 3000.
 */
int32_t wsabi_options_set_close_timeout_ms(wsabi_options options,
                                           uint32_t milliseconds);

/**
 * Sets after how long without a received byte a ping is sent (RFC 6455
 * section 5.5.2). 0: never. Default: 20000.
 */
int32_t wsabi_options_set_ping_interval_ms(wsabi_options options,
                                           uint32_t milliseconds);

/**
 * Sets how long the peer may stay silent after that ping; then the
 * connection is dropped: WSABI_ERR_TIMEOUT. Any byte counts, but not a pong
 * without a ping. 0: for ever. Default: 20000.
 */
int32_t wsabi_options_set_pong_timeout_ms(wsabi_options options,
                                          uint32_t milliseconds);

/**
 * Sets how long no message may be sent or received; then the connection
 * fails: code 1001, WSABI_ERR_TIMEOUT. Pings are not messages. 0: for ever,
 * which is the default.
 */
int32_t wsabi_options_set_idle_timeout_ms(wsabi_options options,
                                          uint32_t milliseconds);

/* ======================================================================
 * Compression: permessage-deflate (RFC 7692), which both ends have to want.
 * ====================================================================== */

/**
 * Sets whether permessage-deflate (RFC 7692) is offered, or accepted by a
 * server: 1, the default, or 0.
 */
int32_t wsabi_options_set_compression(wsabi_options options, int32_t on);

/**
 * Sets the size in bytes below which messages are sent uncompressed, since
 * short ones hardly shrink. Default: 1024. Messages that are sent in pieces
 * are compressed unless the first piece is the whole message.
 */
int32_t wsabi_options_set_compression_min(wsabi_options options,
                                          uint64_t bytes);

/**
 * Sets how hard the compressor tries, from 1 to 9. Default: 1, which takes
 * a sixth of the time of 6, for a third more bytes.
 */
int32_t wsabi_options_set_compression_level(wsabi_options options,
                                            int32_t level);

/**
 * Sets how far back the client's and the server's compressor may refer at
 * most, each as a power of two in bytes, from 9 to 15. Default: 15 and 15.
 * Smaller windows take less memory and compress less (RFC 7692 section
 * 7.1.2).
 */
int32_t wsabi_options_set_compression_window(wsabi_options options,
                                             int32_t client_bits,
                                             int32_t server_bits);

/**
 * Sets whether the client's and the server's compressor may refer to
 * earlier messages, each 1, the default, or 0: an idle connection then
 * keeps no memory for compression, and messages that are alike compress
 * less (RFC 7692 section 7.1.1).
 */
int32_t wsabi_options_set_compression_takeover(wsabi_options options,
                                               int32_t client,
                                               int32_t server);

/* ======================================================================
 * TLS: whom a client trusts, and who this end is.
 *
 * wss:// is TLS 1.2 or 1.3. Without any of these settings a client takes a
 * server whose certificate is for the host of the URL, is valid today, and
 * comes from an authority that the system trusts. These are loaded when
 * they are first needed, and kept; if there are none, connecting fails. A
 * server needs wsabi_options_set_tls_identity.
 *
 * pem is text with certificates between BEGIN and END lines (RFC 7468), as
 * files for OpenSSL have it; other parts are passed over. It is looked
 * through and copied at once: what is malformed, or not there, gives
 * WSABI_ERR_ARGUMENT.
 * ====================================================================== */

/**
 * Makes a client trust the authorities in pem and no others, neither those
 * of the system nor those that were added before. Empty: those of the
 * system alone, which is the default.
 */
int32_t wsabi_options_set_tls_ca(wsabi_options options,
                                 const char *pem,
                                 size_t len);

/**
 * Makes a client trust the authorities in pem besides those that it trusts
 * so far: those of the system, unless wsabi_options_set_tls_ca has replaced
 * them.
 */
int32_t wsabi_options_add_tls_ca(wsabi_options options,
                                 const char *pem,
                                 size_t len);

/**
 * Sets who this end is. A server of wss:// has to be somebody; a client is
 * asked for it by some servers only. Both texts empty: nobody, which is the
 * default.
 *
 * - cert_pem: the certificate, followed by those that lead from it to its
 *   authority, which itself may be left out.
 * - key_pem: the private key of the first certificate, as PKCS#8, PKCS#1 or
 *   SEC1: RSA of 2048 bits or more, ECDSA, or Ed25519. Not encrypted. It is
 *   never logged.
 *
 * WSABI_ERR_ARGUMENT also if the two do not belong together.
 */
int32_t wsabi_options_set_tls_identity(wsabi_options options,
                                       const char *cert_pem,
                                       size_t cert_len,
                                       const char *key_pem,
                                       size_t key_len);

/**
 * Makes a server demand a certificate of its clients, from one of the
 * authorities in pem. Clients without one never get to OPEN. Empty: it does
 * not, which is the default.
 */
int32_t wsabi_options_set_tls_client_ca(wsabi_options options,
                                        const char *pem,
                                        size_t len);

/**
 * Sets the name or address that a client asks the server for and that the
 * certificate has to be for, in place of the host of the URL. Empty: that
 * host, which is the default.
 *
 * WSABI_ERR_ARGUMENT: neither a host name, in its ASCII form, nor an
 * address.
 */
int32_t wsabi_options_set_tls_server_name(wsabi_options options,
                                          const char *name,
                                          size_t len);

/**
 * Makes a client take only servers whose own key is this one, or another
 * that was added; the certificate is verified all the same. Keys of
 * authorities cannot be pinned.
 *
 * - pin: the SHA-256 of the key (SubjectPublicKeyInfo) in base64, with or
 *   without "sha256//" before it, as for curl.
 *
 * WSABI_ERR_ARGUMENT: not 32 bytes in base64.
 */
int32_t wsabi_options_add_tls_pin(wsabi_options options,
                                  const char *pin,
                                  size_t len);

/**
 * Sets whether a client verifies the certificate of the server: 1, the
 * default, or 0, with which anybody can pose as the server, and a warning
 * is logged. Pins are checked also then.
 */
int32_t wsabi_options_set_tls_verify_dangerously(wsabi_options options,
                                                 int32_t verify);

/**
 * Sets whether sessions are resumed, which saves computation when the same
 * ends meet again: 1, the default, or 0. A client remembers sessions for as
 * long as the options, or sockets made with them, live; a server gives them
 * to its clients to keep, encrypted.
 */
int32_t wsabi_options_set_tls_resumption(wsabi_options options, int32_t on);

/**
 * Sets whether the keys of every connection are appended to the file that
 * the environment variable SSLKEYLOGFILE names, so that Wireshark and the
 * like can read what was sent: 1, or 0, the default. Whoever has that file
 * can read it, too.
 */
int32_t wsabi_options_set_tls_key_log(wsabi_options options, int32_t on);

/* ======================================================================
 * Socket: one WebSocket, a client's or one that a server opened.
 *
 * A client's socket is made by wsabi_socket_connect and ended by
 * wsabi_socket_release, also if it has been closed. A server's socket is
 * known from the handle in its events; it ends by itself when the handler
 * of CLOSE has returned, and can be released before.
 *
 * Sending copies the message and does not wait for the network: WSABI_OK
 * means that it was taken, not that it arrived. Messages arrive in the
 * order in which they were sent, and before the Close frame of
 * wsabi_socket_close.
 * ====================================================================== */

/** The handle of a socket. */
typedef uint64_t wsabi_socket;

/** One message of wsabi_socket_send_many. */
typedef struct wsabi_message {
  /** The payload: UTF-8 if type is WSABI_TEXT. */
  const void *data;
  /**
   * The number of bytes in data. For text, WSABI_NUL_TERMINATED: up to
   * the NUL.
   */
  size_t len;
  /** WSABI_TEXT or WSABI_BINARY; WSABI_PLAIN can be or-ed into it. */
  int32_t type;
  /** Must be 0. */
  int32_t reserved;
} wsabi_message;

/**
 * Begins to connect, gives the handle and returns: the rest is events, of
 * which the first may come before this returns, but not before socket_out
 * has the handle.
 *
 * - url: wss://host:port/path?query, without a fragment, or ws:// for a
 *   connection without TLS, or, for a Unix socket,
 *   ws+unix:///path/of/socket:/path?query. https:// means wss://, http://
 *   means ws://, and user:password@ before the host is sent as Basic
 *   authorization.
 * - options: WSABI_DEFAULT_OPTIONS, or handlers and settings, which are
 *   copied.
 * - user_data: what handlers are called with. It is given back to the
 *   function of wsabi_options_on_release, unless this fails.
 *
 * WSABI_ERR_URL: the URL cannot be used. That a host does not exist or does
 * not answer is an ERROR event. Redirects are followed only if
 * wsabi_options_set_max_redirects says so. Unlike in a browser, no port is
 * blocked and no cookie is kept.
 */
int32_t wsabi_socket_connect(wsabi_runtime runtime,
                             const char *url,
                             size_t len,
                             wsabi_options options,
                             void *user_data,
                             wsabi_socket *socket_out);

/**
 * Sends a text message of len bytes of UTF-8.
 *
 * - WSABI_ERR_STATE: before OPEN, or between the pieces of a fragmented
 *   message.
 * - WSABI_ERR_CLOSED: the socket is closing or closed.
 * - WSABI_ERR_BUFFER_FULL: refused whole; try again after DRAIN.
 * - WSABI_ERR_ARGUMENT: not UTF-8, or longer than
 *   wsabi_options_set_max_buffered.
 */
int32_t wsabi_socket_send_text(wsabi_socket socket,
                               const char *text,
                               size_t len);

/**
 * Sends a binary message of len bytes. Fails as wsabi_socket_send_text
 * does.
 */
int32_t wsabi_socket_send_binary(wsabi_socket socket,
                                 const void *data,
                                 size_t len);

/**
 * Sends several messages in order, with one call into the system where that
 * is possible.
 *
 * Returns how many were taken. If that is less than count, the next one was
 * refused; calling again with the rest says why, since a call whose first
 * message is refused returns that message's status, as
 * wsabi_socket_send_text does.
 */
int32_t wsabi_socket_send_many(wsabi_socket socket,
                               const struct wsabi_message *messages,
                               uint32_t count);

/**
 * Sends a piece of a message, as a frame of its own.
 *
 * - type: WSABI_TEXT or WSABI_BINARY, the same for every piece of a
 *   message. WSABI_PLAIN or-ed into that of the first piece keeps the
 *   message uncompressed.
 * - data, len: the piece. Text may be cut inside a character.
 * - fin: 1 with the last piece, 0 with the others. Until then no other
 *   message can be sent: WSABI_ERR_STATE.
 *
 * Otherwise fails as wsabi_socket_send_text does.
 */
int32_t wsabi_socket_send_fragment(wsabi_socket socket,
                                   int32_t type,
                                   const void *data,
                                   size_t len,
                                   int32_t fin);

/**
 * Sends a ping with at most 125 bytes of data. The peer's answer is a PONG
 * event with the same data and the round-trip time. The library sends pings
 * of its own: see wsabi_options_set_ping_interval_ms.
 *
 * - WSABI_ERR_STATE: before OPEN.
 * - WSABI_ERR_CLOSED: the socket is closing or closed.
 * - WSABI_ERR_ARGUMENT: more than 125 bytes (RFC 6455 section 5.5).
 */
int32_t wsabi_socket_ping(wsabi_socket socket, const void *data, size_t len);

/**
 * Begins to close: what was sent before still goes out, then a Close frame.
 * CLOSE follows when the peer has answered, or after the close timeout. No
 * MESSAGE comes any more.
 *
 * - code: any that an endpoint may send (RFC 6455 section 7.4): 1000, which
 *   is the normal one, to 1003, 1007 to 1014, 3000 to 4999. 0: a Close
 *   frame without code and reason.
 * - reason, len: at most 123 bytes of UTF-8.
 *
 * Before OPEN this gives up connecting: ERROR with WSABI_ERR_ABORTED and
 * CLOSE with 1006 follow. On a closing or closed socket it does nothing:
 * WSABI_OK.
 *
 * WSABI_ERR_ARGUMENT: the code must not be sent, the reason is too long or
 * not UTF-8, or there is a reason without a code.
 */
int32_t wsabi_socket_close(wsabi_socket socket,
                           int32_t code,
                           const char *reason,
                           size_t len);

/**
 * Drops the connection without a Close frame, and what was not sent yet.
 * ERROR with WSABI_ERR_ABORTED and CLOSE with 1006 follow.
 */
int32_t wsabi_socket_abort(wsabi_socket socket);

/**
 * Stops reading, so that TCP holds the peer back. No MESSAGE comes after
 * the handler that is running. Meanwhile pings are not answered, pongs not
 * awaited, and the end of the connection is not noticed.
 *
 * WSABI_ERR_CLOSED: the socket is closed.
 */
int32_t wsabi_socket_pause(wsabi_socket socket);

/**
 * Reads on after wsabi_socket_pause. WSABI_ERR_CLOSED: the socket is
 * closed.
 */
int32_t wsabi_socket_resume(wsabi_socket socket);

/**
 * Ends the handle. The connection of a socket that is not closed yet is
 * dropped, and no event starts afterwards, not even CLOSE; a handler that
 * is running ends undisturbed. user_data is given back after it.
 */
int32_t wsabi_socket_release(wsabi_socket socket);

/**
 * Replaces the user_data that handlers are called with. The old one is
 * given back, by the function of wsabi_options_on_release, when no handler
 * can see it any more: at once, or when the handler that is running
 * returns. What a server's socket shares with its server is not given back
 * by this.
 */
int32_t wsabi_socket_set_user_data(wsabi_socket socket, void *user_data);

/**
 * Has the next attempts of a socket that reconnects say this in their
 * requests, in place of what they have said under this name: a fresh token,
 * for example. Best called from the RECONNECT handler.
 *
 * WSABI_ERR_ARGUMENT as for wsabi_options_add_header. WSABI_ERR_STATE: the
 * socket does not reconnect (wsabi_options_set_reconnect).
 * WSABI_ERR_CLOSED: it is closed, or being closed by the application.
 */
int32_t wsabi_socket_set_header(wsabi_socket socket,
                                const char *name,
                                size_t name_len,
                                const char *value,
                                size_t value_len);

/**
 * Has the next attempts of a socket that reconnects lead to another URL.
 * Best called from the RECONNECT handler.
 *
 * WSABI_ERR_URL, WSABI_ERR_ARGUMENT as for wsabi_socket_connect.
 * WSABI_ERR_STATE, WSABI_ERR_CLOSED as for wsabi_socket_set_header.
 */
int32_t wsabi_socket_set_url(wsabi_socket socket, const char *url, size_t len);

/* ======================================================================
 * Facts: what is known about a socket. The functions work until its handle
 * ends, also after CLOSE.
 * ====================================================================== */

/** The state from wsabi_socket_connect to OPEN. */
#define WSABI_CONNECTING 0

/** The state in which messages can be sent. */
#define WSABI_OPEN 1

/** The state from the beginning of the end to CLOSE. */
#define WSABI_CLOSING 2

/** The state when the connection has ended: in CLOSE at the latest. */
#define WSABI_CLOSED 3

/**
 * The URL, as it was understood, without credentials; after a redirect,
 * the one that it led to.
 */
#define WSABI_FACT_URL 1

/** The subprotocol that was agreed on. */
#define WSABI_FACT_SUBPROTOCOL 2

/** The extensions that were agreed on, as in Sec-WebSocket-Extensions. */
#define WSABI_FACT_EXTENSIONS 3

/**
 * The address and port of the peer, such as "[::1]:9001"; behind a proxy,
 * those of the proxy. Of a Unix socket the path, if it has one.
 */
#define WSABI_FACT_PEER_ADDRESS 4

/** The address and port of this end, or its path. */
#define WSABI_FACT_LOCAL_ADDRESS 5

/**
 * The version of TLS, "TLSv1.2" or "TLSv1.3". None without TLS, and before
 * its handshake is done; behind an https proxy, first that of the proxy.
 */
#define WSABI_FACT_TLS_VERSION 6

/**
 * The cipher suite of TLS by its name in the registry of IANA, such as
 * "TLS_AES_128_GCM_SHA256".
 */
#define WSABI_FACT_TLS_CIPHER 7

/** The body of the answer that refused an upgrade, the first 64 KiB. */
#define WSABI_FACT_RESPONSE_BODY 8

/** Figures of one socket. */
typedef struct wsabi_stats {
  /** Set by the caller: sizeof(wsabi_stats). */
  uint32_t size;
  /** How often the connection was established anew, after a RECONNECT. */
  uint32_t reconnects;
  /** Bytes sent on the wire, the handshake and frames included. */
  uint64_t bytes_sent;
  /** Bytes received on the wire, the handshake and frames included. */
  uint64_t bytes_received;
  /** Payload bytes of the messages that were sent. */
  uint64_t payload_sent;
  /** Payload bytes of the messages that were received. */
  uint64_t payload_received;
  /** Messages sent. */
  uint64_t messages_sent;
  /** Messages received. */
  uint64_t messages_received;
  /** Round-trip time of the latest ping in nanoseconds; 0: not known. */
  uint64_t round_trip_ns;
  /** Nanoseconds since the last byte was received; 0: none was. */
  uint64_t since_received_ns;
  /**
   * Nanoseconds that name resolution took. This and the next three are
   * of the latest attempt; 0 where there was nothing to do.
   */
  uint64_t dns_ns;
  /**
   * Nanoseconds that the TCP connection took, that of a proxy to the
   * server included.
   */
  uint64_t tcp_ns;
  /**
   * Nanoseconds that the TLS handshake took; two of them behind an https
   * proxy.
   */
  uint64_t tls_ns;
  /** Nanoseconds that the WebSocket handshake took. */
  uint64_t upgrade_ns;
} wsabi_stats;

/**
 * Returns the state of the connection: WSABI_CONNECTING, WSABI_OPEN,
 * WSABI_CLOSING or WSABI_CLOSED. It never goes back, but for a RECONNECT
 * event: from there on it is WSABI_CONNECTING.
 */
int32_t wsabi_socket_ready_state(wsabi_socket socket);

/**
 * Returns how many bytes of messages were sent by the application and not
 * yet taken by the operating system. The headers of frames do not count.
 * What was not taken when the connection ended stays in the amount.
 */
int64_t wsabi_socket_buffered_amount(wsabi_socket socket);

/**
 * Writes a fact, which is a text, into the cap bytes at buf, and a NUL
 * behind it where there is room. buf may be NULL if cap is 0.
 *
 * - fact: one of WSABI_FACT_*.
 *
 * Returns the length without NUL, also if it is more than cap; 0 where the
 * fact is not known or there is none. What does not fit is cut off, and
 * then there is no NUL.
 */
int64_t wsabi_socket_fact(wsabi_socket socket,
                          int32_t fact,
                          char *buf,
                          size_t cap);

/**
 * Returns the HTTP status with which the server answered: 101, or another
 * one if it refused; 0 before an answer, and always for a server's socket.
 */
int32_t wsabi_socket_response_status(wsabi_socket socket);

/**
 * Writes a header field of the server's answer into the cap bytes at buf,
 * as wsabi_socket_fact does.
 *
 * - name, len: the name of the field, in any letter case.
 *
 * Returns the length without NUL, also if it is more than cap; 0 if there
 * is no such field. WSABI_ERR_STATE: before an answer.
 */
int64_t wsabi_socket_response_header(wsabi_socket socket,
                                     const char *name,
                                     size_t len,
                                     char *buf,
                                     size_t cap);

/**
 * Fills in the figures of a socket. Bytes and messages are counted over all
 * connections that it has had.
 *
 * stats->size must be sizeof(wsabi_stats) before the call. Where the
 * library knows fewer figures than the program, it sets size to what it
 * filled.
 */
int32_t wsabi_socket_stats(wsabi_socket socket, struct wsabi_stats *stats);

/* ======================================================================
 * Server: accepts connections, each of which becomes a socket.
 *
 * Without a handler of REQUEST every valid upgrade request is accepted. Its
 * subprotocol is the first of wsabi_options_add_subprotocol that the client
 * offers. Pages of any site can then connect from a browser: a server that
 * knows its users by cookies or by their network has to look at Origin, in
 * a handler of REQUEST.
 *
 * What is no valid upgrade request (RFC 6455 section 4.2.1) gets an HTTP
 * answer with a sentence, and no event: 426 if it asks for no WebSocket, as
 * a browser does that looks for a page, or for another version than 13; 405
 * if its method is not GET; 505 if it is not of HTTP/1; 431 if its head is
 * over 16384 bytes or 100 fields; 503 if wsabi_options_set_max_connections
 * is reached; and 400 if it makes no sense. The request has to be complete
 * within the time of wsabi_options_set_connect_timeout_ms, TLS included.
 * ====================================================================== */

/**
 * The handle of a server, made by wsabi_server_listen and ended by
 * wsabi_server_close.
 */
typedef uint64_t wsabi_server;

/**
 * Opens a port and accepts connections from then on. Each is a socket as
 * soon as its handshake is done: its OPEN event has the handle. They are
 * dealt out to the runtime's threads in turn. The first event may come
 * before this returns, but server_out has the handle by then.
 *
 * - url: ws://address:port/, such as ws://127.0.0.1:9001/ or
 *   ws://0.0.0.0:9001/, or ws+unix:///path/of/socket. wss:// in place of
 *   ws:// is TLS. Port 0: the system chooses one, see wsabi_server_port;
 *   without a port it is 80, or 443 for wss://. [::] is every address of
 *   IPv6 and of IPv4, whose clients are seen with addresses of IPv4; on
 *   OpenBSD it is IPv6 alone. A name is looked up, for which this waits,
 *   and its first address is taken. A path of a Unix socket is free, or is
 *   a socket that a process has left there when it died. Whatever path a
 *   client asks for is served: WSABI_FACT_URL has it.
 * - options: the handlers and settings of the sockets, which are copied.
 *   wss:// needs wsabi_options_set_tls_identity; with
 *   wsabi_options_set_tls_client_ca, clients have to show a certificate,
 *   too. wsabi_server_set_tls changes both.
 * - user_data: what the handlers of all of them are called with, until
 *   wsabi_socket_set_user_data gives one its own. It is given back when the
 *   server and the last of them have ended, unless this fails.
 *
 * WSABI_ERR_URL: the URL cannot be used. WSABI_ERR_ARGUMENT: wss:// without
 * an identity. WSABI_ERR_CONNECT: the address, port or path cannot be had.
 */
int32_t wsabi_server_listen(wsabi_runtime runtime,
                            const char *url,
                            size_t len,
                            wsabi_options options,
                            void *user_data,
                            wsabi_server *server_out);

/**
 * Returns the port on which a server accepts connections; 0 for a Unix
 * socket.
 */
int32_t wsabi_server_port(wsabi_server server);

/**
 * Has a server of wss:// be somebody else from now on, such as when its
 * certificate has been renewed: what wsabi_options_set_tls_identity,
 * _client_ca, _resumption and _key_log have set in options takes the place
 * of what it had. Everything else in options is left alone.
 *
 * It holds for the connections that are accepted from now on. Those that
 * there are go on as they are. No session is resumed that was begun with
 * other options, so that a client that comes back sees the new certificate
 * and is judged by the new authorities.
 *
 * WSABI_ERR_ARGUMENT: options without an identity. WSABI_ERR_STATE: the
 * server is one of ws:// or a Unix socket. Either leaves it as it was.
 */
int32_t wsabi_server_set_tls(wsabi_server server, wsabi_options options);

/**
 * Stops accepting connections, gives the port or path back to the system,
 * closes the server's sockets with code 1001, and ends the handle. CLOSE
 * comes for each socket, as always, within the time of
 * wsabi_options_set_close_timeout_ms. Connections that are not yet sockets
 * are dropped, and those that wait for an answer of the application get
 * status 503.
 *
 * When this returns, the same port or path can be listened on again.
 */
int32_t wsabi_server_close(wsabi_server server);

/* ======================================================================
 * Publishing: one message to many sockets of a server.
 *
 * A server's socket subscribes to topics, which are names that the
 * application chooses: rooms, channels, symbols. It leaves them by itself
 * when it closes, and a topic without subscribers takes no memory.
 * ====================================================================== */

/** A subscriber without room is skipped. */
#define WSABI_SLOW_SKIP 0

/** A subscriber without room is closed. */
#define WSABI_SLOW_CLOSE 1

/**
 * Sends one message to every socket of a server that subscribes to a topic.
 * Returns how many took it, which may be 0.
 *
 * - topic, topic_len: as of wsabi_socket_subscribe. NULL, with a length of
 *   0: to every open socket of the server, whatever it subscribes to.
 * - type: WSABI_TEXT or WSABI_BINARY; WSABI_PLAIN can be or-ed into it.
 * - data, len: the payload, which is copied.
 *
 * The message is framed once, and compressed once for each size of window
 * that the subscribers have agreed on. This only queues it: the threads of
 * the runtime write it to the network, so that nobody waits for a
 * subscriber that is slow. What one thread publishes, and sends on single
 * sockets, arrives in that order.
 *
 * Sockets that are closing do not take it. One for which more than
 * wsabi_options_set_max_buffered would wait does not either; see
 * wsabi_options_set_slow_subscribers. One that is being sent a message in
 * pieces gets it behind the last piece; it is lost if the socket closes
 * before that.
 *
 * WSABI_ERR_ARGUMENT: text that is not UTF-8, a topic of no or of more than
 * 255 bytes, or a payload longer than wsabi_options_set_max_buffered.
 */
int64_t wsabi_server_publish(wsabi_server server,
                             const char *topic,
                             size_t topic_len,
                             int32_t type,
                             const void *data,
                             size_t len);

/**
 * Has a server's socket get what the server publishes to a topic, from now
 * until it closes: from OPEN on, also inside its handler. Subscribing again
 * changes nothing.
 *
 * - topic, len: 1 to 255 bytes of UTF-8 without a NUL, told apart byte by
 *   byte.
 *
 * - WSABI_ERR_STATE: before OPEN, or the socket subscribes to 1024 topics,
 *   which is as many as it can.
 * - WSABI_ERR_CLOSED: the socket is closing or closed.
 * - WSABI_ERR_ARGUMENT: the topic is none, or the socket is a client's.
 */
int32_t wsabi_socket_subscribe(wsabi_socket socket,
                               const char *topic,
                               size_t len);

/**
 * Ends a subscription. WSABI_OK also where there is none, or no longer.
 *
 * WSABI_ERR_ARGUMENT as for wsabi_socket_subscribe.
 */
int32_t wsabi_socket_unsubscribe(wsabi_socket socket,
                                 const char *topic,
                                 size_t len);

/**
 * Sets what happens to a subscriber for which more than
 * wsabi_options_set_max_buffered would wait with a message that is
 * published.
 *
 * - WSABI_SLOW_SKIP, the default: it does not get this message. DRAIN says
 *   when there is room again, as after WSABI_ERR_BUFFER_FULL, so that the
 *   application can send it what it has missed.
 * - WSABI_SLOW_CLOSE: it does not get this message, and is closed as by
 *   wsabi_socket_close, with code 1008 and the reason "too slow". One that
 *   does not read at all is dropped after the close timeout.
 */
int32_t wsabi_options_set_slow_subscribers(wsabi_options options,
                                           int32_t policy);

/* ======================================================================
 * Request: a client asks a server for a WebSocket, and the application
 * decides.
 *
 * Without a handler of REQUEST a server accepts every valid request. With
 * one, each is to be answered once, at once or later, on any thread, by
 * wsabi_request_accept or wsabi_request_reject. Its handle ends with that,
 * or when the client has gone, the server is closed, or the time of
 * wsabi_options_set_connect_timeout_ms has passed since the request came:
 * the client then gets status 503.
 * ====================================================================== */

/** The handle of a request, known from its REQUEST event. */
typedef uint64_t wsabi_request;

/**
 * Writes the target of a request, path and query such as "/chat?room=1",
 * into the cap bytes at buf, as wsabi_socket_fact does. It begins with "/":
 * of a target that is a whole URL (RFC 9112 section 3.2.2), this is the
 * path and query.
 */
int64_t wsabi_request_target(wsabi_request request, char *buf, size_t cap);

/**
 * Writes a header field of a request into the cap bytes at buf, as
 * wsabi_socket_fact does. Several lines of one name are joined by ", ".
 *
 * - name, len: the name of the field, in any letter case, such as "Origin",
 *   "Cookie", "Authorization" or "Sec-WebSocket-Protocol". "Host" is the
 *   host and port that the client means: where its target is a whole URL,
 *   those of the URL, as RFC 9112 section 3.2.2 demands.
 *
 * Returns the length without NUL, also if it is more than cap; 0 if there
 * is no such field. Browsers always send Origin, and other clients can
 * write there what they like.
 */
int64_t wsabi_request_header(wsabi_request request,
                             const char *name,
                             size_t len,
                             char *buf,
                             size_t cap);

/**
 * Writes the address and port of the client, as of WSABI_FACT_PEER_ADDRESS,
 * into the cap bytes at buf, as wsabi_socket_fact does.
 */
int64_t wsabi_request_peer_address(wsabi_request request,
                                   char *buf,
                                   size_t cap);

/**
 * Adds a header field to the answer, whichever it will be: Set-Cookie with
 * a socket, Location with a redirect, WWW-Authenticate with status 401.
 *
 * - name, value: as for wsabi_options_add_header. WSABI_ERR_ARGUMENT: what
 *   could split the answer, or contradict what the library writes there.
 *
 * WSABI_ERR_HANDLE: as for wsabi_request_accept.
 */
int32_t wsabi_request_add_header(wsabi_request request,
                                 const char *name,
                                 size_t name_len,
                                 const char *value,
                                 size_t value_len);

/**
 * Accepts a request. The socket has the handlers and settings of the
 * server. OPEN follows, from which on it can send, or, if the client has
 * gone meanwhile, ERROR and CLOSE.
 *
 * - subprotocol, len: one of those that the client offers in
 *   Sec-WebSocket-Protocol; NULL and 0: none.
 * - user_data: what the handlers of this socket are called with. It is
 *   given back to the function of wsabi_options_on_release, unless this
 *   fails.
 *
 * WSABI_ERR_ARGUMENT: the client does not offer that subprotocol.
 * WSABI_ERR_HANDLE: the request has been answered, or its client has gone.
 */
int32_t wsabi_request_accept(wsabi_request request,
                             const char *subprotocol,
                             size_t len,
                             void *user_data,
                             wsabi_socket *socket_out);

/**
 * Refuses a request.
 *
 * - http_status: 300 to 599 but 304, such as 401, 403 or 404.
 * - body, len: a text for a person, which is sent as text/plain unless
 *   wsabi_request_add_header has given a Content-Type. NULL and 0: none.
 *
 * WSABI_ERR_HANDLE: as for wsabi_request_accept.
 */
int32_t wsabi_request_reject(wsabi_request request,
                             int32_t http_status,
                             const char *body,
                             size_t len);

#ifdef __cplusplus
}
#endif

#endif /* WSABI_H */
