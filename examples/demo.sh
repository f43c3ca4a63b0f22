#!/bin/sh
# Runs the tutorial's C and Python client against its server: demo.sh SECONDS
# `make demo` calls this, and says in CLIENT, SERVER, PYTHON and WSABI_LIBRARY where things are.
set -eu

directory=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -r "$directory"' EXIT
trap 'exit 1' INT TERM

mkfifo "$directory/url"
"$SERVER" 0 "$1" >"$directory/url" &
server=$!
# The server's first line is its URL; without one it has failed to start.
read -r url <"$directory/url"

echo "== C: $CLIENT $url"
"$CLIENT" "$url"
echo "== Python: examples/python/client.py $url"
PYTHONPATH=bindings/python "$PYTHON" examples/python/client.py "$url"

kill "$server"
wait "$server"
