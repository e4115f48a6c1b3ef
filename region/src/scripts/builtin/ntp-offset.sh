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
# toolbox: true
# parameters:
#   highest_seconds: {type: runtime, default: 5, min: 1, max: 86400}
# results:
#   offset_seconds: {title: Offset, description: Seconds; positive when the machine's clock is behind}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
highest="${RACKWRIGHT_PARAM_HIGHEST_SECONDS:-5}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
offset=
for server in $(echo "${RACKWRIGHT_NTP:-${RACKWRIGHT_RACKS:-}}" | tr ',' ' '); do
    host=$server
    # A rack comes with its port; what has more colons is an IPv6 address.
    case "$server" in *:*:*) ;; *:*) host=${server%:*} ;; esac
    # Asks a few times, sets nothing, says the offset.
    out=$(chronyd -Q -t 15 -u root "server $host iburst" 'cmdport 0' 'bindcmdaddress /' "pidfile $work/pid" 2>&1)
    offset=$(echo "$out" | sed -n 's/.*System clock wrong by \([-0-9.]*\) seconds.*/\1/p' | tail -n 1)
    [ -z "$offset" ] || break
    echo "$host gives no time: $(echo "$out" | tail -n 2 | head -n 1)"
done
if [ -z "$offset" ]; then
    echo "no time server answers"
    printf 'status: skipped\nresults: {}\n' >"$result"
    exit 0
fi
status=$(awk -v o="$offset" -v h="$highest" 'BEGIN {if (o < 0) o = -o; print (o <= h) ? "passed" : "failed"}')
echo "$host: offset $offset s, at most $highest s: $status"
printf 'status: %s\nresults:\n  offset_seconds: %s\n' "$status" "$offset" >"$result"
[ "$status" = passed ]
