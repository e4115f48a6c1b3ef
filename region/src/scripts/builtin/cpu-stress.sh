#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: cpu-stress
# title: CPU, stress
# description: Every CPU method of stress-ng on every core for ten minutes, results verified.
# script_type: testing
# hardware_type: cpu
# parallel: disabled
# timeout: 00:20:00
# tags: [stress]
# toolbox: true
# parameters:
#   runtime: {type: runtime, default: 600, min: 10, max: 86400}
# results:
#   operations: {title: Operations}
#   operations_per_second: {title: Operations per second}
#   highest_celsius: {title: Temperature, description: "Highest seen, degrees Celsius"}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
runtime="${RACKWRIGHT_PARAM_RUNTIME:-600}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

watch_heat() {
    highest=0
    while [ ! -e "$work/done" ]; do
        for zone in /sys/class/hwmon/hwmon*/temp*_input /sys/class/thermal/thermal_zone*/temp; do
            [ -r "$zone" ] || continue
            now=$(cat "$zone" 2>/dev/null) || continue
            [ "${now:-0}" -le "$highest" ] || highest=$now
        done
        echo "$highest" >"$work/heat"
        sleep 2
    done
}
watch_heat &

stress-ng --cpu 0 --cpu-method all --verify --metrics-brief --timeout "${runtime}s" \
    --yaml "$work/metrics.yaml" --temp-path "$work"
code=$?
touch "$work/done"
wait
ops=$(awk '$1 == "bogo-ops:" {n += $2} END {print n + 0}' "$work/metrics.yaml" 2>/dev/null)
rate=$(awk '$1 == "bogo-ops-per-second-real-time:" {n += $2} END {printf "%.1f", n}' "$work/metrics.yaml" 2>/dev/null)
heat=$(($(cat "$work/heat" 2>/dev/null || echo 0) / 1000))
status=passed
[ "$code" = 0 ] || status=failed
{
    printf 'status: %s\nresults:\n  operations: %s\n  operations_per_second: %s\n' "$status" "${ops:-0}" "${rate:-0}"
    [ "$heat" -le 0 ] || printf '  highest_celsius: %d\n' "$heat"
} >"$result"
exit "$code"
