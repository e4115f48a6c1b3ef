#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: memory-memtester
# title: Memory, memtester
# description: memtester over all but 64 MiB of the free memory, once.
# script_type: testing
# hardware_type: memory
# parallel: disabled
# timeout: 24:00:00
# tags: [slow, noauto]
# toolbox: true
# parameters:
#   mib: {type: string, required: false, min: 1, max: 8, title: Size, description: MiB to test; all free memory but 64 MiB when absent}
# results:
#   tested_mib: {title: Tested, description: MiB}
#   failures: {title: Failures}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
mib=$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)
mib=$((mib - 64))
[ "$mib" -ge 16 ] || { echo "only $mib MiB are free"; exit 1; }
wanted="${RACKWRIGHT_PARAM_MIB:-$mib}"
case "$wanted" in *[!0-9]* | '') echo "the parameter mib is '$wanted': a whole number is needed"; exit 1 ;; esac
[ "$wanted" -le "$mib" ] || { echo "$wanted MiB were asked for, $mib MiB are free"; exit 1; }
mib=$wanted
log=$(mktemp)
trap 'rm -f "$log"' EXIT
memtester "${mib}M" 1 >"$log" 2>&1
code=$?
tr '\b\r' '\n\n' <"$log" | grep -v '^ *$' | grep -E 'ok|FAILURE|got|want' | tail -n 200
failures=$(grep -c FAILURE "$log")
status=passed
[ "$code" = 0 ] || status=failed
printf 'status: %s\nresults:\n  tested_mib: %d\n  failures: %d\n' "$status" "$mib" "$failures" >"$result"
exit "$code"
