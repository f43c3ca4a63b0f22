// Sends every message back through the package ws, in random pieces and with pings between them.
//
// usage: node echo.cjs server SEED COMPRESSION [CERT KEY]
//        node echo.cjs client SEED COMPRESSION URL [CA]
//
// SEED is of the random numbers; COMPRESSION is "deflate" or "none" or, for a client, the window of
// the server and whether that may refer to earlier messages, such as "15,true". A server prints its
// port, and ends after its first connection. With files in PEM, everything is through TLS.

'use strict';

const { readFileSync } = require('fs');
const http = require('http');
const https = require('https');
const { WebSocket, WebSocketServer } = require('ws');

const [role, seed, compression, ...others] = process.argv.slice(2);
const settings = { maxPayload: 0, perMessageDeflate: deflate(compression) };

function deflate(compression) {
  if (compression === 'none') return false;
  const [window, takeover] = compression.split(',');
  const demand = { threshold: 100 };
  if (takeover === 'false') demand.serverNoContextTakeover = true;
  if (Number(window) < 15) demand.serverMaxWindowBits = Number(window);
  return demand;
}

// Mulberry32.
let state = Number(BigInt(seed) & 0xffffffffn);
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

function send(socket, data, binary) {
  if (random() < 0.5) {
    socket.send(data, { binary });
    return;
  }
  const cuts = Array.from({ length: Math.floor(random() * 6) }, () =>
    Math.floor(random() * (data.length + 1)),
  ).sort((a, b) => a - b);
  let start = 0;
  for (const end of cuts) {
    socket.send(data.subarray(start, end), { binary, fin: false });
    if (random() < 0.3) socket.ping(data.subarray(start, Math.min(end, start + 100)));
    start = end;
  }
  socket.send(data.subarray(start), { binary, fin: true });
}

function echo(socket) {
  socket.on('message', (data, binary) => send(socket, data, binary));
  socket.on('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
}

if (role === 'client') {
  const [url, ca] = others;
  echo(new WebSocket(url, ca ? { ca: readFileSync(ca), ...settings } : settings));
} else {
  const [cert, key] = others;
  const server = cert
    ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) })
    : http.createServer();
  const sockets = new WebSocketServer({ server, ...settings });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  sockets.on('connection', (socket) => {
    echo(socket);
    sockets.close();
    server.close();
  });
}
