#!/usr/bin/env bash
# run.sh [--may-skip] [client|server|both] [core|all|full|CASE...]
#
# Runs Autobahn|Testsuite against the C programs beside this script, through the shared library,
# and sums up. Both roles are tested unless one is named. The cases:
#
#   core     the 247 of groups 1 to 7 and 10: a minute (the default)
#   all      all 517, with 100 messages in each case of groups 12 and 13
#   full     all 517, with the suite's own 1000 messages
#   CASE...  those that match, such as 5.1 or '6.4.*'
#
# The suite is installed below target/autobahn at the first run (see install.sh), where the
# reports are as well: reports/ROLE/SHARD/index.html. If it cannot be installed, this fails;
# with --may-skip it says so and ends well.
#
# SHARDS=N: how many processes of the suite run at once, each with a share of the cases (4).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
out=$target/autobahn
shards=${SHARDS:-4}
# How many cases a client takes at once. Those that measure time do not bear much company.
at_once=2
trap end_jobs EXIT

main() {
    local may_skip= roles=(client server)
    if [[ ${1-} == --may-skip ]]; then
        may_skip=1
        shift
    fi
    case ${1-} in
    client | server) roles=("$1") && shift ;;
    both) shift ;;
    esac
    choose_cases "${@:-core}"
    if ! "$here/install.sh" "$out/suite"; then
        echo "SKIPPED: Autobahn|Testsuite could not be installed" >&2
        [[ $may_skip ]] && exit 0
        exit 1
    fi
    build
    local role failed=0
    for role in "${roles[@]}"; do
        echo "== Autobahn|Testsuite, the library as $role =="
        rm -rf "$out/reports/$role"
        "test_$role" "$out/reports/$role" || failed=1
    done
    exit "$failed"
}

# Sets what a spec of the suite says of cases.
choose_cases() {
    cases='"*"' excluded=
    case $1 in
    core) excluded='"9.*", "12.*", "13.*"' at_once=8 ;;
    all) export WSTEST_DEFLATE_MESSAGES=${WSTEST_DEFLATE_MESSAGES:-100} ;;
    full) ;;
    *) cases=$(printf '"%s", ' "$@") && cases=${cases%, } ;;
    esac
}

# Builds the library, and links the programs to it.
build() {
    local name soname
    (cd "$root" && cargo rustc --release --lib --crate-type cdylib)
    mkdir -p "$out/bin"
    soname=$(readelf -d "$target/release/libwsabi.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
    ln -sf ../../release/libwsabi.so "$out/bin/$soname"
    for name in client server; do
        ${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -g -pthread -I "$root/include" \
            -o "$out/bin/$name" "$here/$name.c" "$target/release/libwsabi.so" \
            '-Wl,-rpath,$ORIGIN'
    done
}

# test_client REPORTS: as many fuzzingservers as there are shards, and a client for each.
test_client() {
    local reports=$1 shard port suites=() clients=()
    for ((shard = 1; shard <= shards; shard++)); do
        write_spec "$reports/$shard" '"url": "ws://127.0.0.1"'
        start_suite fuzzingserver "$reports/$shard" -u 0
        suites+=($!)
    done
    for ((shard = 1; shard <= shards; shard++)); do
        port=$(await "${suites[shard - 1]}" "$reports/$shard/log" 's/^listening on port //p')
        "$out/bin/client" "ws://127.0.0.1:$port" wsabi "$at_once" &
        clients+=($!)
    done
    wait_for_all client "${clients[@]}"
    end_jobs
    wait_for_all fuzzingserver "${suites[@]}"
    sum_up "$reports"
}

# test_server REPORTS: one server, and as many fuzzingclients as there are shards.
test_server() {
    local reports=$1 shard server url suites=()
    mkdir -p "$reports"
    "$out/bin/server" >"$reports/server.log" &
    server=$!
    url=$(await "$server" "$reports/server.log" '/^ws:/p')
    for ((shard = 1; shard <= shards; shard++)); do
        write_spec "$reports/$shard" \
            '"servers": [{"agent": "wsabi", "url": "'"$url"'",
                          "options": {"serverConnectionDropTimeout": 10}}]'
        start_suite fuzzingclient "$reports/$shard"
        suites+=($!)
    done
    wait_for_all fuzzingclient "${suites[@]}"
    end_jobs
    wait_for_all server "$server"
    sum_up "$reports"
}

# write_spec DIRECTORY MEMBER
write_spec() {
    mkdir -p "$1"
    cat >"$1/spec.json" <<JSON
{
    $2,
    "outdir": "$1",
    "cases": [$cases],
    "exclude-cases": [$excluded],
    "exclude-agent-cases": {},
    "options": {"failByDrop": false, "openHandshakeTimeout": 60, "closeHandshakeTimeout": 10}
}
JSON
}

# start_suite MODE DIRECTORY [ARGUMENT...]
start_suite() {
    local mode=$1 directory=$2
    shift 2
    WSTEST_SHARD=${directory##*/}/$shards \
        "$out/suite/bin/wstest" -m "$mode" -s "$directory/spec.json" "$@" >"$directory/log" 2>&1 &
}

# await PID LOG SCRIPT: prints what the sed script does of the log, once it does, while PID runs.
await() {
    local found
    until [[ -e $2 ]] && found=$(sed -n "$3" "$2") && [[ $found ]]; do
        kill -0 "$1" 2>/dev/null || {
            cat "$2" >&2
            return 1
        }
        sleep 0.1
    done
    echo "$found"
}

# wait_for_all NAME PID...
wait_for_all() {
    local name=$1 pid
    for pid in "${@:2}"; do
        wait "$pid" || echo "a $name has ended with status $?" >&2
    done
}

# Ends what still runs of what was started, and nothing else: the numbers of processes that have
# ended may be those of others by now.
end_jobs() {
    local running
    running=$(jobs -pr)
    [[ -z $running ]] || kill $running 2>/dev/null || true
}

sum_up() {
    local count
    count=$(awk '/^Ok, will run / { sum += $4 } END { print sum + 0 }' "$1"/*/log)
    python3 "$here/summary.py" "$count" "$1"/*/index.json
}

main "$@"
