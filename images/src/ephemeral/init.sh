#!/bin/busybox sh
# First process of the ephemeral environment: mounts, drivers, one network interface, then the agent, for ever.
# The shell of busybox runs its own applets before it looks in PATH.
bb=/bin/busybox
$bb mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
$bb mount -t proc -o nosuid,nodev,noexec proc /proc
$bb mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
exec </dev/console >/dev/console 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
said() { echo "rackwright-init: $* [$($bb cut -d' ' -f1 /proc/uptime)]"; }
said "kernel $($bb uname -r)"
$bb mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
$bb mkdir -p /run/net /run/lock /dev/pts /dev/shm
$bb mount -t devpts -o nosuid,noexec,mode=0620,gid=5 devpts /dev/pts
$bb mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm

wanted() { # value of a word on the kernel command line
	for word in $($bb cat /proc/cmdline); do
		case $word in "$1"=*) echo "${word#*=}"; return ;; esac
	done
}
# PXE writes 01-aa-bb-cc-dd-ee-ff: hardware type, then the address.
mac=$(wanted BOOTIF | $bb tr 'A-F-' 'a-f:')
mac=${mac#??:}

interfaces() { # Ethernet interfaces to try: the one that the machine booted from, or all
	for path in /sys/class/net/*; do
		[ "$($bb cat "$path/type" 2>/dev/null)" = 1 ] || continue
		[ -z "$mac" ] || [ "$($bb cat "$path/address")" = "$mac" ] || continue
		echo "${path##*/}"
	done
}

/sbin/coldplug
# The drivers of a BMC and of sensors take their time, and the network does not wait for them.
(/sbin/modprobe -q -a ipmi_si ipmi_devintf ipmi_ssif 2>/dev/null) &
# The agent reads there whether Secure Boot is on.
if [ -d /sys/firmware/efi/efivars ]; then
	/sbin/modprobe -q efivarfs
	$bb mount -t efivarfs -o ro,nosuid,nodev,noexec efivarfs /sys/firmware/efi/efivars
fi
$bb ip link set lo up
said "drivers loaded"

waited=0
while [ -z "$(interfaces)" ]; do
	[ $waited != 50 ] || said "waiting for network interface ${mac:-(any)}"
	waited=$((waited + 1))
	$bb usleep 100000
	[ $((waited % 10)) != 0 ] || /sbin/coldplug
done

# Booted over IPv6: racks are [ADDRESS]:PORT.
case $(wanted rackwright.racks) in \[*) six=yes ;; *) six= ;; esac
# DHCP clients on each candidate, trying for ever; the interface that is first answered keeps its own, which renew its lease.
for interface in $(interfaces); do
	$bb ip link set "$interface" up
	$bb udhcpc -f -i "$interface" -s /etc/udhcpc.sh -t 5 -T 1 -A 1 -O staticroutes -O ntpsrv -O search \
		-p "/run/net/$interface.pid" >/dev/null 2>&1 &
	if [ -n "$six" ]; then
		/bin/rackwright-agent dhcp6 "$interface" &
		echo $! >"/run/net/$interface.pid6"
	fi
done
waited=0
while [ ! -e /run/net/bound ]; do
	waited=$((waited + 1))
	[ $((waited % 600)) != 0 ] || said "no DHCP answer yet on: $(interfaces | $bb tr '\n' ' ')"
	$bb usleep 50000
done
bound=$($bb cat /run/net/bound)
for pid in /run/net/*.pid /run/net/*.pid6; do
	case $pid in "/run/net/$bound.pid" | "/run/net/$bound.pid6" | *\**) continue ;; esac
	$bb kill "$($bb cat "$pid")" 2>/dev/null
done
said "network on $bound"

# busybox's `reboot` and `poweroff`, which a script may call, ask the first process. The agent is ended first, so that
# it does not report the end of a script that was cut off.
end_with() {
	trap '' TERM USR1 USR2
	$bb kill -9 "$agent" 2>/dev/null
	said "$1 asked for"
	$bb sync
	$bb "$1" -f
}
trap 'end_with reboot' TERM
trap 'end_with poweroff' USR1 USR2

# The agent is kept running. A machine that only lost its agent must not be lost to its operator.
pause=1
while :; do
	/bin/rackwright-agent &
	agent=$!
	wait "$agent"
	said "the agent ended with status $?; starting it again in $pause s"
	$bb sleep $pause
	[ $pause -ge 16 ] || pause=$((pause * 2))
done
