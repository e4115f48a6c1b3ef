#!/bin/sh
# Called by mmdebstrap with the root of the toolbox, outside of it.
set -eu
root=$1
# The agent binds its own over these.
rm -f "$root/etc/hostname" "$root/etc/machine-id"
: >"$root/etc/resolv.conf"
: >"$root/etc/machine-id"
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/* "$root"/var/cache/ldconfig/* "$root"/tmp/*
# Nothing is installed in it later, and nothing is compiled.
rm -rf "$root"/var/lib/dpkg/info "$root"/usr/share/zoneinfo/right "$root"/usr/share/perl/*/unicore "$root"/usr/share/bug "$root"/usr/lib/x86_64-linux-gnu/gconv "$root"/usr/share/lintian
rm -rf "$root"/usr/bin/apt* "$root"/usr/lib/apt "$root"/usr/lib/x86_64-linux-gnu/libapt-p* "$root"/usr/lib/python3*/idlelib "$root"/usr/lib/python3*/lib2to3 "$root"/usr/lib/python3*/pydoc_data
find "$root/usr/lib" -name __pycache__ -prune -exec rm -rf {} +
find "$root/var/log" -type f -delete
# In the chroot there is nothing to ask but the machine's first process; see `ephemeral/init.sh`.
for end in reboot:TERM poweroff:USR2; do
	printf '#!/bin/sh\nkill -%s 1\nexec sleep 600\n' "${end#*:}" >"$root/usr/sbin/${end%:*}"
	chmod 755 "$root/usr/sbin/${end%:*}"
done
