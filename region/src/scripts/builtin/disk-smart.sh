#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: disk-smart
# title: Disk, SMART self-test
# description: The drive's own short self-test, and its health and error counters. Skipped where there is no SMART.
# script_type: testing
# hardware_type: storage
# parallel: instance
# timeout: 00:30:00
# tags: [smart]
# toolbox: true
# parameters:
#   storage: {type: storage}
# results:
#   power_on_hours: {title: Power-on hours}
#   celsius: {title: Temperature, description: Degrees Celsius}
#   reallocated_sectors: {title: Reallocated sectors}
#   percentage_used: {title: Wear, description: Percent of the rated life (NVMe)}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
disk="${RACKWRIGHT_DISK:-${1:-}}"
[ -b "$disk" ] || { echo "no disk to test: RACKWRIGHT_DISK is '$disk'"; exit 1; }
info=$(smartctl --info "$disk")
if ! echo "$info" | grep -qE 'SMART support is: *Enabled|NVMe Version|NVM Version'; then
    echo "$info"
    echo "$disk has no SMART; nothing to test"
    printf 'status: skipped\nresults: {}\n' >"$result"
    exit 0
fi

status=passed
smartctl --test=short "$disk"
# Bits 0 to 2 of the exit code: the command itself failed.
if [ $(($? & 7)) != 0 ]; then
    echo "$disk cannot test itself; its health and counters are read all the same"
else
    tries=0
    while smartctl --capabilities --log=selftest "$disk" | grep -qE 'in progress|remaining|completed)$'; do
        tries=$((tries + 1))
        [ "$tries" -lt 170 ] || { echo "the self-test does not end"; status=failed; break; }
        sleep 10
    done
fi
all=$(smartctl --xall "$disk")
code=$?
echo "$all"
# Bit 3: failing now. Bit 7: the self-test log has errors.
[ $((code & 136)) = 0 ] || status=failed
value() { echo "$all" | awk -v name="$1" 'index($0, name) {for (i = NF; i > 0; i--) if ($i ~ /^[0-9,]+%?$/) {gsub(/[,%]/, "", $i); print $i; exit}}'; }
results=
add() {
    number=$(value "$2")
    case "$results" in *"  $1:"*) return ;; esac
    [ -z "$number" ] || results="$results  $1: $number
"
}
add power_on_hours Power_On_Hours
add power_on_hours 'Power On Hours'
add reallocated_sectors Reallocated_Sector_Ct
add percentage_used 'Percentage Used'
add celsius 'Temperature:'
printf 'status: %s\nresults:\n%s' "$status" "$results" >"$result"
[ "$status" = passed ]
