#!/usr/bin/env bash
# sanitizers.sh [--may-skip]
#
# The short form of what CONTRIBUTING.md says of sanitizers: Miri over the C interface with NULLs and
# dead handles, and over the delivery of events; some C programs under AddressSanitizer with
# LeakSanitizer. They need nightly Rust, which rustup fetches if it is missing. If it cannot, this
# fails; with --may-skip it says so and ends well.
set -euo pipefail
cd "$(dirname "$0")/.."

# A known one, so that no change of the compiler fails a change of the library.
nightly=nightly-2026-05-20
may_skip=
[[ ${1-} == --may-skip ]] && may_skip=1

has_nightly() {
    cargo "+$nightly" miri --version >/dev/null 2>&1
}
if ! has_nightly; then
    rustup toolchain install "$nightly" --profile minimal --component miri,rust-src >&2 || true
fi
if ! has_nightly; then
    echo "SKIPPED: $nightly with Miri could not be installed" >&2
    [[ $may_skip ]] && exit 0
    exit 1
fi

echo "== Miri =="
MIRIFLAGS=-Zmiri-disable-isolation cargo "+$nightly" miri test --target-dir target/miri --lib ffi::
MIRIFLAGS=-Zmiri-disable-isolation cargo "+$nightly" miri test --target-dir target/miri --lib delivery::

echo "== AddressSanitizer =="
CC="cc -fsanitize=address" CXX="c++ -fsanitize=address" RUSTFLAGS=-Zsanitizer=address \
    cargo "+$nightly" test --target x86_64-unknown-linux-gnu --target-dir target/asan \
    --test c_programs --test misuse -- events_come_in_order user_data_is bad_arguments everything_can \
    handles_that requests_are what_is_published tls_carries handlers_may
