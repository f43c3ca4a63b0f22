#!/usr/bin/env bash
# run.sh SECONDS [TARGET...]
#
# Runs fuzz targets, all unless some are named, for so many seconds each. Needed: the nightly
# toolchain and `cargo install --locked cargo-fuzz`.
#
# The committed corpus is where they begin; what they find worth keeping goes to
# target/fuzz/corpus/TARGET, and what makes them fail to target/fuzz/artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
out=target/fuzz
targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(cargo +nightly fuzz list --fuzz-dir tests/fuzz)
fi
failed=0
for target in "${targets[@]}"; do
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir "$out" "$target" \
        "$out/corpus/$target" "tests/fuzz/corpus/$target" -- \
        -artifact_prefix="$out/artifacts/$target/" -max_total_time="$seconds" \
        -max_len=2048 -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=64 \
        -print_final_stats=1 || failed=1
done
exit "$failed"
