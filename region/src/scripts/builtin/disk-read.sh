#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: disk-read
# title: Disk, read speed
# description: fio reads in sequence and at random, without writing; bandwidth and operations per second.
# script_type: testing
# hardware_type: storage
# parallel: disabled
# timeout: 00:10:00
# tags: [speed]
# toolbox: true
# parameters:
#   storage: {type: storage, argument_format: '{path}'}
#   runtime: {type: runtime, default: 30, min: 1, max: 3600}
# results:
#   read_mib_per_second: {title: Sequential read, description: "MiB per second, 1 MiB blocks"}
#   random_read_iops: {title: Random read, description: "Operations per second, 4 KiB blocks"}
#   random_read_p99_ms: {title: Random read latency, description: "99th percentile, milliseconds"}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
disk="${RACKWRIGHT_DISK:-${1:-}}"
runtime="${RACKWRIGHT_PARAM_RUNTIME:-30}"
[ -b "$disk" ] || { echo "no disk to test: RACKWRIGHT_DISK is '$disk'"; exit 1; }
# The fields of fio's terse format, version 3: 6 KiB/s, 8 operations/s, 30 "99.000000%=microseconds".
read_disk() {
    fio --name="$1" --filename="$disk" --readonly --rw="$2" --bs="$3" --iodepth="$4" --direct=1 --ioengine=libaio \
        --runtime="$runtime" --time_based --minimal --terse-version=3
}
status=passed
seq=$(read_disk sequence read 1m 4) || status=failed
rnd=$(read_disk random randread 4k 32) || status=failed
echo "$seq"
echo "$rnd"
field() { echo "$1" | tail -n 1 | cut -d';' -f"$2"; }
mib=$(field "$seq" 7 | awk '{printf "%.1f", $1 / 1024}')
iops=$(field "$rnd" 8)
p99=$(field "$rnd" 30 | sed 's/.*=//' | awk '{printf "%.3f", $1 / 1000}')
printf 'status: %s\nresults:\n  read_mib_per_second: %s\n  random_read_iops: %s\n  random_read_p99_ms: %s\n' \
    "$status" "${mib:-0}" "${iops:-0}" "${p99:-0}" >"$result"
[ "$status" = passed ]
