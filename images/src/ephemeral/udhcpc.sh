#!/bin/busybox sh
# Called by udhcpc with the event in $1 and the lease in the environment. Leaves the lease in /run/net/INTERFACE.lease
# and the name of the first interface that got one in /run/net/bound.
bb=/bin/busybox
case $1 in
bound | renew)
	# Only the first interface to be answered is configured: two on one segment would confuse each other's routes.
	if [ ! -e /run/net/bound ]; then
		echo "$interface" >"/run/net/bound.$interface"
		$bb ln "/run/net/bound.$interface" /run/net/claimed 2>/dev/null
	fi
	[ "$($bb cat /run/net/claimed)" = "$interface" ] || exit 0
	$bb ip addr add "$ip/${mask:-24}" broadcast + dev "$interface" 2>/dev/null
	for old in $($bb ip -4 -o addr show dev "$interface" | $bb awk '{print $4}'); do
		[ "$old" = "$ip/${mask:-24}" ] || $bb ip addr del "$old" dev "$interface"
	done
	if [ -n "$staticroutes" ]; then
		set -- $staticroutes
		while [ $# -ge 2 ]; do
			if [ "$2" = 0.0.0.0 ]; then $bb ip route replace "$1" dev "$interface"; else $bb ip route replace "$1" via "$2" dev "$interface"; fi
			shift 2
		done
	elif [ -n "$router" ]; then
		$bb ip route replace default via "${router%% *}" dev "$interface"
	fi
	{
		[ -z "$search$domain" ] || echo "search ${search:-$domain}"
		for server in $dns; do echo "nameserver $server"; done
	} >/etc/resolv.conf
	[ -z "$hostname" ] || $bb hostname "$hostname"
	{
		for name in interface ip mask subnet router dns domain search ntpsrv hostname serverid lease; do
			eval "value=\$$name"
			[ -z "$value" ] || echo "$name=$value"
		done
	} >"/run/net/$interface.lease"
	echo "$interface" >/run/net/bound.new && $bb mv /run/net/bound.new /run/net/bound
	;;
deconfig)
	$bb ip link set "$interface" up
	;;
esac
exit 0
