#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: memory-stress
# title: Memory, stress
# description: stress-ng writes and verifies patterns in 80 % of the free memory for ten minutes.
# script_type: testing
# hardware_type: memory
# parallel: disabled
# timeout: 00:20:00
# tags: [stress]
# toolbox: true
# parameters:
#   runtime: {type: runtime, default: 600, min: 10, max: 86400}
# results:
#   tested_mib: {title: Tested, description: MiB}
#   operations: {title: Operations}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
runtime="${RACKWRIGHT_PARAM_RUNTIME:-600}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cores=$(grep -c '^processor' /proc/cpuinfo)
mib=$(awk '/^MemAvailable:/ {print int($2 / 1024 * 8 / 10)}' /proc/meminfo)
each=$((mib / cores))
[ "$each" -ge 1 ] || { cores=1; each=$mib; }
stress-ng --vm "$cores" --vm-bytes "${each}m" --vm-method all --verify --metrics-brief --timeout "${runtime}s" \
    --yaml "$work/metrics.yaml" --temp-path "$work"
code=$?
ops=$(awk '$1 == "bogo-ops:" {n += $2} END {print n + 0}' "$work/metrics.yaml" 2>/dev/null)
status=passed
[ "$code" = 0 ] || status=failed
printf 'status: %s\nresults:\n  tested_mib: %d\n  operations: %s\n' "$status" "$mib" "${ops:-0}" >"$result"
exit "$code"
