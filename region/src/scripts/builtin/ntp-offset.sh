#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: ntp-offset
# title: Clock offset
# description: How far the machine's clock is from the rack's or the configured time server.
# script_type: testing
# hardware_type: node
# parallel: any
# timeout: 00:02:00
# tags: [network]
# parameters:
#   highest_seconds: {type: runtime, default: 5, min: 1, max: 86400}
# results:
#   offset_seconds: {title: Offset, description: Seconds; positive when the machine's clock is behind}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
highest="${RACKWRIGHT_PARAM_HIGHEST_SECONDS:-5}"
for rack in $(echo "${RACKWRIGHT_NTP:-${RACKWRIGHT_RACKS:-}}" | tr ',' ' '); do
    host=${rack#*://}
    host=${host%%/*}
    host=${host%:*}
    # busybox: ask once, set nothing, say the offset.
    out=$(timeout 20 ntpd -w -n -q -d -d -p "$host" 2>&1)
    offset=$(echo "$out" | sed -n 's/.*offset:\([-+0-9.]*\).*/\1/p' | tail -n 1)
    [ -z "$offset" ] || break
    echo "$host gives no time"
done
if [ -z "${offset:-}" ]; then
    echo "no time server answers"
    printf 'status: skipped\nresults: {}\n' >"$result"
    exit 0
fi
offset=${offset#+}
status=$(awk -v o="$offset" -v h="$highest" 'BEGIN {if (o < 0) o = -o; print (o <= h) ? "passed" : "failed"}')
echo "$host: offset $offset s, at most $highest s: $status"
printf 'status: %s\nresults:\n  offset_seconds: %s\n' "$status" "$offset" >"$result"
[ "$status" = passed ]
