#!/bin/sh
# --- Start MAAS 1.0 script metadata ---
# name: disk-quick
# title: Disk, quick
# description: Reads the first, the last and 32 scattered MiB of the disk, and checks its size. Writes nothing.
# script_type: testing
# hardware_type: storage
# parallel: instance
# timeout: 00:05:00
# tags: [quick]
# parameters:
#   storage: {type: storage, argument_format: '{path}'}
# results:
#   size_gib: {title: Size, description: GiB}
#   read_mib: {title: Read, description: MiB}
#   read_mib_per_second: {title: Speed, description: "MiB per second, scattered"}
# --- End MAAS 1.0 script metadata ---

set -u
result="${RESULT_PATH:-/dev/null}"
disk="${RACKWRIGHT_DISK:-${1:-}}"
[ -b "$disk" ] || { echo "no disk to test: RACKWRIGHT_DISK is '$disk'"; exit 1; }
sectors=$(cat "/sys/class/block/${disk##*/}/size" 2>/dev/null) || sectors=0
mib=$((sectors / 2048))
status=passed
if [ "$mib" -lt 1 ]; then
    echo "$disk: the size is $sectors sectors"
    printf 'status: failed\nresults:\n  size_gib: 0\n' >"$result"
    exit 1
fi
count=0
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }
read_mib() {
    if dd if="$disk" of=/dev/null bs=1048576 skip="$1" count=1 2>/dev/null; then
        count=$((count + 1))
    else
        echo "$disk: MiB $1 cannot be read"
        status=failed
    fi
}

began=$(now)
read_mib 0
read_mib $((mib - 1))
i=1
while [ "$i" -le 32 ]; do
    read_mib $((mib * i / 33))
    i=$((i + 1))
done
hundredths=$(($(now) - began))
[ "$hundredths" -ge 1 ] || hundredths=1
# The very last sector: a disk that says more than it has fails here.
if ! dd if="$disk" of=/dev/null bs=512 skip=$((sectors - 1)) count=1 2>/dev/null; then
    echo "$disk: the last sector cannot be read; the disk is smaller than it says"
    status=failed
fi
rate=$((count * 100 / hundredths))
echo "$disk: $mib MiB; $count scattered MiB read at $rate MiB/s"
gib=$(awk -v m="$mib" 'BEGIN {printf "%.1f", m / 1024}')
printf 'status: %s\nresults:\n  size_gib: %s\n  read_mib: %d\n  read_mib_per_second: %d\n' \
    "$status" "$gib" "$count" "$rate" >"$result"
[ "$status" = passed ]
