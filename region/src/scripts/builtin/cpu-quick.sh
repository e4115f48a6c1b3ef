#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: cpu-quick
# title: CPU, quick
# description: Hashes the same data on every core and compares the results.
# script_type: testing
# hardware_type: cpu
# parallel: disabled
# timeout: 00:02:00
# tags: [quick]
# results:
#   rounds: {title: Rounds, description: Hashes computed on all cores together}
#   seconds: {title: Seconds}
#   mib_per_second: {title: Hashed, description: MiB per second over all cores}
# --- End MAAS 1.0 script metadata ---

# A processor that computes wrong once in a while gives two hashes for one input.
set -u
result="${RESULT_PATH:-/dev/null}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cores=$(grep -c '^processor' /proc/cpuinfo 2>/dev/null) || cores=1
[ "$cores" -ge 1 ] || cores=1
seconds=3

dd if=/dev/urandom of="$work/data" bs=1048576 count=4 2>/dev/null || { echo "cannot make test data"; exit 1; }
expected=$(sha256sum <"$work/data")

run() {
    rounds=0
    end=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$end" ]; do
        if [ "$(sha256sum <"$work/data")" != "$expected" ]; then
            echo "core worker $1: a hash came out wrong after $rounds rounds" >"$work/wrong.$1"
            return
        fi
        rounds=$((rounds + 1))
    done
    echo "$rounds" >"$work/rounds.$1"
}

i=0
while [ "$i" -lt "$cores" ]; do
    run "$i" &
    i=$((i + 1))
done
wait

total=0
for file in "$work"/rounds.*; do
    [ -e "$file" ] && total=$((total + $(cat "$file")))
done
rate=$((total * 4 / seconds))
echo "$cores workers, $total rounds of 4 MiB in $seconds s: $rate MiB/s"
status=passed
for file in "$work"/wrong.*; do
    [ -e "$file" ] && cat "$file" && status=failed
done
[ "$total" -gt 0 ] || { echo "no worker finished a round"; status=failed; }
printf 'status: %s\nresults:\n  rounds: %d\n  seconds: %d\n  mib_per_second: %d\n' \
    "$status" "$total" "$seconds" "$rate" >"$result"
[ "$status" = passed ]
