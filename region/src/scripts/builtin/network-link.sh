#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: network-link
# title: Network, link
# description: The interface has a link; its speed and errors.
# script_type: testing
# hardware_type: network
# parallel: instance
# timeout: 00:01:00
# tags: [network]
# parameters:
#   interface: {type: interface, argument_format: '{name}'}
# results:
#   speed_mbps: {title: Speed, description: Mbit per second}
#   errors: {title: Errors, description: Received and sent}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
nic="${RACKWRIGHT_INTERFACE:-${1:-}}"
path="/sys/class/net/$nic"
[ -n "$nic" ] && [ -d "$path" ] || { echo "no interface to test: RACKWRIGHT_INTERFACE is '$nic'"; exit 1; }
ip link set dev "$nic" up 2>/dev/null
carrier=0
tries=0
# A link takes some seconds to come up.
while [ "$tries" -lt 15 ]; do
    carrier=$(cat "$path/carrier" 2>/dev/null) || carrier=0
    [ "$carrier" != 1 ] || break
    tries=$((tries + 1))
    sleep 1
done
# A virtual card has no speed, and then there is nothing to compare.
speed=$(cat "$path/speed" 2>/dev/null) || speed=
case "$speed" in '' | 0 | -*) speed= ;; esac
errors=$(($(cat "$path/statistics/rx_errors") + $(cat "$path/statistics/tx_errors")))
status=passed
if [ "$carrier" = 1 ]; then
    echo "$nic: link, ${speed:-unknown} Mbit/s, $errors errors"
else
    echo "$nic: no link; check the cable and the switch port"
    status=failed
fi
{
    printf 'status: %s\nresults:\n  errors: %d\n' "$status" "$errors"
    [ -z "$speed" ] || printf '  speed_mbps: %d\n' "$speed"
} >"$result"
[ "$status" = passed ]
