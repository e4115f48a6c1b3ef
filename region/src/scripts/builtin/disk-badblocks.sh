#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: disk-badblocks
# title: Disk, bad blocks, destructive
# description: Writes and reads every block with four patterns. Everything on the disk is lost; takes hours to days.
# script_type: testing
# hardware_type: storage
# parallel: instance
# timeout: 168:00:00
# tags: [slow, noauto]
# destructive: true
# toolbox: true
# parameters:
#   storage: {type: storage, argument_format: '{path}'}
# results:
#   bad_blocks: {title: Bad blocks}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
disk="${RACKWRIGHT_DISK:-${1:-}}"
[ -b "$disk" ] || { echo "no disk to test: RACKWRIGHT_DISK is '$disk'"; exit 1; }
list=$(mktemp)
trap 'rm -f "$list"' EXIT
badblocks -b 4096 -c 1024 -w -o "$list" "$disk"
code=$?
bad=$(grep -c . "$list")
head -n 100 "$list"
echo "$disk: $bad bad blocks"
status=passed
[ "$code" = 0 ] && [ "$bad" = 0 ] || status=failed
printf 'status: %s\nresults:\n  bad_blocks: %d\n' "$status" "$bad" >"$result"
[ "$status" = passed ]
