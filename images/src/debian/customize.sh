#!/bin/sh
# Called by mmdebstrap with the root of the new system, outside of it. Makes it an image: bootable in both ways, with a
# serial console, and without anything that must differ between two machines.
set -eu
root=$1

# A console on the screen and one on the first serial port; the last one is /dev/console, and gets systemd's getty too.
console='console=tty0 console=ttyS0,115200n8@ARGUMENTS@'

# For the day the installed system makes its own grub.cfg (a new kernel).
cat >"$root/etc/default/grub" <<EOF
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="$console"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
EOF
# Until then this one, which needs to know nothing but the label of the root file system. /vmlinuz and /initrd.img are
# links that the kernel's package keeps.
mkdir -p "$root/boot/grub/i386-pc"
cat >"$root/boot/grub/grub.cfg" <<EOF
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
search --no-floppy --label rootfs --set=root
menuentry "Debian" {
	linux /vmlinuz root=LABEL=rootfs ro $console
	initrd /initrd.img
}
EOF
cp "$root"/usr/lib/grub/i386-pc/*.mod "$root"/usr/lib/grub/i386-pc/*.lst "$root/boot/grub/i386-pc/"

# cloud-init decides by what it is told at deployment; two keys are made quickly, RSA is not.
cat >"$root/etc/cloud/cloud.cfg.d/10_rackwright.cfg" <<EOF
# Written when the image was built. Later files and user data win.
apt: {preserve_sources_list: true}
locale: C.UTF-8
ssh_genkeytypes: [ed25519, ecdsa]
ssh_pwauth: false
EOF
rm -f "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
echo 'LANG=C.UTF-8' >"$root/etc/default/locale"

# Nothing that fetches or rebuilds behind the operator's back during the first minutes.
chroot "$root" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer
chroot "$root" systemctl --quiet enable systemd-networkd.service

# Each machine makes its own.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/.resolv.conf.systemd-resolved.bak"
ln -sfn ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
: >"$root/etc/fstab"
rm -f "$root/var/lib/systemd/random-seed" "$root/vmlinuz.old" "$root/initrd.img.old"

# What the build left.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/* "$root"/tmp/* "$root"/var/tmp/*
find "$root/var/log" -type f -delete
