"use strict";
// What the test can have this page do. Sockets are known by their numbers.

const sockets = [];

// Opens a WebSocket, and waits until it is open, or is not going to be.
async function open(url, protocols = []) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const it = { socket, messages: [], waiting: [], errors: 0 };
  socket.onmessage = (event) => {
    const waiting = it.waiting.shift();
    if (waiting) waiting(event);
    else it.messages.push(event);
  };
  socket.onerror = () => (it.errors += 1);
  it.end = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  });
  const number = sockets.push(it) - 1;
  await Promise.race([new Promise((resolve) => (socket.onopen = resolve)), it.end]);
  return {
    number,
    isOpen: socket.readyState === WebSocket.OPEN,
    protocol: socket.protocol,
    extensions: socket.extensions,
  };
}

// The next message, as a text.
async function receive(number) {
  return (await next(sockets[number])).data;
}

// The next messages, of which each has to be a pattern of its kind and size.
async function expect(number, ...patterns) {
  const it = sockets[number];
  it.socket.binaryType = "arraybuffer";
  for (const [kind, size] of patterns) {
    const { data } = await next(it);
    check(data, kind, size);
  }
  return patterns.length;
}

function next(it) {
  if (it.messages.length > 0) return it.messages.shift();
  return new Promise((resolve) => it.waiting.push(resolve));
}

// Sends a message whose echo has to be the same; the milliseconds until it has come.
async function exchange(number, kind, size) {
  const it = sockets[number];
  it.socket.binaryType = kind === "Blob" ? "blob" : "arraybuffer";
  const sent = kind === "text" ? text(size) : bytes(size);
  const began = performance.now();
  it.socket.send(kind === "Blob" ? new Blob([sent]) : kind === "text" ? sent : sent.buffer);
  const { data } = await next(it);
  const milliseconds = performance.now() - began;
  if (kind !== "text" && data.constructor.name !== kind) {
    throw new Error(`a ${data.constructor.name}`);
  }
  check(kind === "Blob" ? await data.arrayBuffer() : data, kind, size);
  return milliseconds;
}

// Whether a text, or an ArrayBuffer, is the pattern of its kind and size.
function check(data, kind, size) {
  if (kind === "text") {
    if (data !== text(size)) throw new Error(`another text, of ${data.length} units`);
    return;
  }
  const received = new Uint8Array(data);
  if (received.length !== size) throw new Error(`${received.length} bytes of ${size}`);
  const wrong = bytes(size).findIndex((byte, at) => byte !== received[at]);
  if (wrong >= 0) throw new Error(`another byte at ${wrong}`);
}

// Sends so many messages of one size, and returns bufferedAmount after each.
function flood(number, count, size) {
  const { socket } = sockets[number];
  const message = bytes(size);
  return Array.from({ length: count }, () => (socket.send(message), socket.bufferedAmount));
}

// Waits until everything has been handed on.
async function drain(number) {
  const { socket } = sockets[number];
  while (socket.bufferedAmount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

function send(number, message) {
  sockets[number].socket.send(message);
}

function close(number, ...codeAndReason) {
  sockets[number].socket.close(...codeAndReason);
}

// How it ended.
async function ended(number) {
  const it = sockets[number];
  const end = await it.end;
  return { ...end, errors: it.errors, bufferedAmount: it.socket.bufferedAmount };
}

// The same as in patterns.rs: random bytes, of which every other KiB is compressible.
const bytes = kept((size) => {
  const random = xorshift();
  const made = new Uint8Array(size);
  for (let at = 0; at < size; at++) made[at] = random() & ((at >> 10) & 1 ? 0x03 : 0xff);
  return made;
});

// The same as in patterns.rs: as many bytes in UTF-8, of characters of every length.
const text = kept((size) => {
  const random = xorshift();
  const characters = ["a", "\u00e9", "\u20ac", "\u{1f600}"];
  let made = "";
  for (let left = size; left > 0; ) {
    const at = random() & 3;
    const fitting = at < left ? at : 0;
    made += characters[fitting];
    left -= fitting + 1;
  }
  return made;
});

// A function of a size, which remembers what it made last.
function kept(make) {
  const last = { size: undefined, made: undefined };
  return (size) => {
    if (last.size !== size) Object.assign(last, { size, made: make(size) });
    return last.made;
  };
}

function xorshift() {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
