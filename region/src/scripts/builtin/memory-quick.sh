#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: memory-quick
# title: Memory, quick
# description: Writes patterns to a quarter of the free memory, 64 MiB at most, and reads them back.
# script_type: testing
# hardware_type: memory
# parallel: disabled
# timeout: 00:05:00
# tags: [quick]
# results:
#   tested_mib: {title: Tested, description: MiB written and read back}
#   patterns: {title: Patterns}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
free_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
[ -n "$free_kib" ] || free_kib=$(awk '/^MemFree:/ {print $2}' /proc/meminfo)
# In blocks of 8 MiB; one more for the block that the others are compared with.
blocks=$((free_kib / 1024 / 4 / 8))
[ "$blocks" -le 8 ] || blocks=8
[ "$blocks" -ge 2 ] || blocks=2

work=$(mktemp -d)
mounted=no
cleanup() {
    [ "$mounted" = no ] || umount "$work"
    rmdir "$work" 2>/dev/null || rm -rf "$work"
}
trap cleanup EXIT
# In an environment that may not mount, /tmp is memory anyway.
mount -t tmpfs -o "size=$((blocks * 8 + 16))m" tmpfs "$work" 2>/dev/null && mounted=yes

status=passed
patterns=0
# Octal bytes: alternating bits, their inverse, all ones, all zeroes.
for byte in 125 252 377 000; do
    head -c 8388608 /dev/zero | tr '\000' "\\$byte" >"$work/0"
    i=1
    while [ "$i" -lt "$blocks" ]; do
        cp "$work/0" "$work/$i" || { echo "memory ran out at $((i * 8)) MiB"; status=failed; break; }
        i=$((i + 1))
    done
    i=1
    while [ "$i" -lt "$blocks" ]; do
        if ! cmp "$work/0" "$work/$i"; then
            echo "pattern \\$byte: block $i (8 MiB) reads back wrong"
            status=failed
        fi
        i=$((i + 1))
    done
    patterns=$((patterns + 1))
done
mib=$((blocks * 8))
echo "$mib MiB, $patterns patterns: $status"
printf 'status: %s\nresults:\n  tested_mib: %d\n  patterns: %d\n' "$status" "$mib" "$patterns" >"$result"
[ "$status" = passed ]
