#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: network-quick
# title: Network, quick
# description: The booted interface has a link and an address, and gateway or rack answer.
# script_type: testing
# hardware_type: node
# parallel: disabled
# timeout: 00:02:00
# tags: [quick]
# results:
#   links: {title: Links, description: Interfaces with a link}
#   loss_percent: {title: Loss, description: Percent of pings without answer}
#   round_trip_ms: {title: Round trip, description: Milliseconds on average}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
links=0
for nic in /sys/class/net/*; do
    [ -e "$nic/device" ] || continue
    if [ "$(cat "$nic/carrier" 2>/dev/null)" = 1 ]; then
        links=$((links + 1))
        echo "${nic##*/}: link"
    else
        echo "${nic##*/}: no link"
    fi
done

targets=$(ip route 2>/dev/null | awk '$1 == "default" {print $3}')
for rack in ${RACKWRIGHT_RACKS:-}; do
    host=${rack#*://}
    host=${host%%/*}
    targets="$targets ${host%:*}"
done

status=failed
loss=100
trip=0
# One of them is enough: a site need not have a router.
for target in $(echo "$targets" | tr ',' ' '); do
    out=$(ping -c 3 -W 2 "$target" 2>&1)
    lost=$(echo "$out" | sed -n 's/.* \([0-9]*\)% packet loss.*/\1/p')
    [ -n "$lost" ] || lost=100
    echo "$target: $lost % lost"
    if [ "$lost" -lt "$loss" ]; then
        loss=$lost
        trip=$(echo "$out" | sed -n 's/.*= [0-9.]*\/\([0-9.]*\)\/.*/\1/p')
    fi
    [ "$loss" != 0 ] || break
done
[ -n "$trip" ] || trip=0
[ "$loss" -ge 100 ] || status=passed
[ "$links" -ge 1 ] || { echo "no interface has a link"; status=failed; }
[ "$loss" -lt 100 ] || echo "neither gateway nor rack answers: $targets"
printf 'status: %s\nresults:\n  links: %d\n  loss_percent: %d\n  round_trip_ms: %s\n' \
    "$status" "$links" "$loss" "$trip" >"$result"
[ "$status" = passed ]
