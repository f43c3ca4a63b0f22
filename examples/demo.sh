#!/bin/sh
# Runs the tutorial's C and Python client against its server: demo.sh SECONDS
# `make demo` calls this, and says in CLIENT, SERVER, PYTHON and WSABI_LIBRARY where things are. If
# there is a command MAKE_CERTIFICATE, the connections are wss://, with the certificate that it makes.
set -eu

directory=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -r "$directory"' EXIT
trap 'exit 1' INT TERM

# The server's arguments, and the file with the authority that the clients are to trust.
set -- 0 "$1"
ca=
if [ -n "${MAKE_CERTIFICATE:-}" ]; then
    $MAKE_CERTIFICATE "$directory"
    set -- "$@" "$directory/cert.pem" "$directory/key.pem"
    ca=$directory/ca.pem
fi

mkfifo "$directory/url"
"$SERVER" "$@" >"$directory/url" &
server=$!
# The server's first line is its URL; without one it has failed to start.
read -r url <"$directory/url"

echo "== C: $CLIENT $url"
"$CLIENT" "$url" ${ca:+"$ca"}
echo "== Python: examples/python/client.py $url"
PYTHONPATH=bindings/python "$PYTHON" examples/python/client.py "$url" ${ca:+"$ca"}

kill "$server"
wait "$server"
