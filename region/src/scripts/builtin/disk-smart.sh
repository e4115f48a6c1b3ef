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
#   storage: {type: storage, argument_format: '{path}'}
# results:
#   power_on_hours: {title: Power-on hours}
#   celsius: {title: Temperature, description: Degrees Celsius}
#   reallocated_sectors: {title: Reallocated sectors}
#   percentage_used: {title: Wear, description: Percent of the rated life (NVMe)}
#   media_errors: {title: Media errors, description: Count (NVMe)}
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
smartctl --xall "$disk"
code=$?
# Bit 3: failing now. Bit 7: the self-test log has errors.
[ $((code & 136)) = 0 ] || status=failed
# Numbers are taken from the program's JSON; what a drive does not say is left out.
json=$(smartctl --json --all "$disk")
results=
add() {
    number=$(echo "$json" | jq -r "($2) | numbers" 2>/dev/null | head -n 1)
    [ -z "$number" ] || results="$results  $1: $number
"
}
add power_on_hours .power_on_time.hours
add celsius '.temperature.current // (.ata_smart_attributes.table[]? | select(.id == 194 or .id == 190) | .raw.value % 256)'
add reallocated_sectors '.ata_smart_attributes.table[]? | select(.id == 5) | .raw.value'
add percentage_used .nvme_smart_health_information_log.percentage_used
add media_errors .nvme_smart_health_information_log.media_errors
[ -n "$results" ] || results='  {}
'
printf 'status: %s\nresults:\n%s' "$status" "$results" >"$result"
[ "$status" = passed ]
