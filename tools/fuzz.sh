#!/bin/sh
# Runs the fuzz targets of build/fuzz at the same time: from the inputs that tests/fuzz/corpus keeps, and
# those that earlier runs have found (build/fuzz/corpus). Fails with the input that broke a promise.
# Usage: tools/fuzz.sh SECONDS [OPTION...]     options as libFuzzer has them
set -eu
cd "$(dirname "$0")/.."

seconds=$1
shift

# The limits tell an input that makes the core reserve memory or loop, whatever the server promises.
fuzz() {
  target=$1
  length=$2
  shift 2
  mkdir -p "build/fuzz/corpus/$target"
  ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=5 "build/fuzz/tests/fuzz/${target}_fuzz" \
    "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" -artifact_prefix="build/fuzz/$target-" \
    -max_total_time="$seconds" -max_len="$length" -timeout=10 -malloc_limit_mb=64 -rss_limit_mb=1024 \
    -print_final_stats=1 "$@" >"build/fuzz/$target.log" 2>&1
}

explain() {
  input=$(sed -n 's/.*Test unit written to //p' "build/fuzz/$1.log")
  tail -n 60 "build/fuzz/$1.log"
  echo "fuzz: FAILED: $1 broke at the input ${input:-that build/fuzz/$1.log tells}"
  echo "fuzz: to replay: build/fuzz/tests/fuzz/${1}_fuzz $input"
}

fuzz reader 8192 "$@" &
reader=$!
fuzz core 512 "$@" &
core=$!

failed=
summary=
for target in reader core; do
  eval "pid=\$$target"
  if wait "$pid"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log")
    summary="$summary $target $runs inputs,"
  else
    explain "$target" >&2
    failed=1
  fi
done
[ -z "$failed" ] || exit 1
echo "fuzz:$summary $seconds s each, no promise broken"
