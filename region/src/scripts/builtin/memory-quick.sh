#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: memory-quick
# title: Memory, quick
# description: Writes patterns to a quarter of the free memory, 512 MiB at most, and reads them back.
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
mib=$((free_kib / 1024 / 4))
[ "$mib" -le 512 ] || mib=512
[ "$mib" -ge 1 ] || mib=1

work=$(mktemp -d)
mounted=no
cleanup() {
    [ "$mounted" = no ] || umount "$work"
    rmdir "$work" 2>/dev/null || rm -rf "$work"
}
trap cleanup EXIT
# In an environment that may not mount, /tmp is memory anyway.
mount -t tmpfs -o "size=$((mib + 1))m" tmpfs "$work" 2>/dev/null && mounted=yes

status=passed
patterns=0
# Octal bytes: alternating bits, their inverse, all ones, all zeroes.
for byte in 125 252 377 000; do
    head -c 1048576 /dev/zero | tr '\000' "\\$byte" >"$work/one"
    expected=$(sha256sum <"$work/one" | cut -d' ' -f1)
    i=1
    while [ "$i" -lt "$mib" ]; do
        cp "$work/one" "$work/$i" || { echo "memory ran out at $i MiB"; status=failed; break; }
        i=$((i + 1))
    done
    i=1
    while [ "$i" -lt "$mib" ]; do
        got=$(sha256sum <"$work/$i" 2>/dev/null | cut -d' ' -f1)
        if [ "$got" != "$expected" ]; then
            echo "pattern \\$byte: MiB $i reads back wrong"
            status=failed
        fi
        i=$((i + 1))
    done
    patterns=$((patterns + 1))
    find "$work" -type f -exec rm -f {} +
done
echo "$mib MiB, $patterns patterns: $status"
printf 'status: %s\nresults:\n  tested_mib: %d\n  patterns: %d\n' "$status" "$mib" "$patterns" >"$result"
[ "$status" = passed ]
