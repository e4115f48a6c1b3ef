#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: network-gateway
# title: Network, loss
# description: Thirty pings to the gateway, or to the rack where there is no gateway; none may be lost.
# script_type: testing
# hardware_type: node
# parallel: disabled
# timeout: 00:05:00
# tags: [network]
# results:
#   loss_percent: {title: Loss, description: Percent}
#   round_trip_ms: {title: Round trip, description: Milliseconds on average}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
target=$(ip route 2>/dev/null | awk '$1 == "default" {print $3; exit}')
if [ -z "$target" ]; then
    rack=$(echo "${RACKWRIGHT_RACKS:-}" | tr ',' ' ' | awk '{print $1}')
    rack=${rack#*://}
    rack=${rack%%/*}
    target=${rack%:*}
fi
[ -n "$target" ] || { echo "there is neither a gateway nor a rack to ping"; exit 1; }
out=$(ping -c 30 -W 1 "$target" 2>&1)
echo "$out" | tail -n 3
loss=$(echo "$out" | sed -n 's/.* \([0-9]*\)% packet loss.*/\1/p')
[ -n "$loss" ] || loss=100
trip=$(echo "$out" | sed -n 's/.*= [0-9.]*\/\([0-9.]*\)\/.*/\1/p')
status=passed
[ "$loss" = 0 ] || { echo "$target: $loss % lost"; status=failed; }
printf 'status: %s\nresults:\n  loss_percent: %d\n  round_trip_ms: %s\n' "$status" "$loss" "${trip:-0}" >"$result"
[ "$status" = passed ]
