#!/bin/sh
# Changes the root directory $1 of a new guest, from the directory of what goes into it.
set -eu
root=$1

echo gasang > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 gasang\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
echo 'LABEL=gasang-root / ext4 defaults 0 1' > "$root/etc/fstab"
printf 'auto lo\niface lo inet loopback\n\nallow-hotplug eth0\niface eth0 inet dhcp\n' > "$root/etc/network/interfaces"
cat > "$root/etc/apt/sources.list" <<'LIST'
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian-security bookworm-security main
deb http://deb.debian.org/debian bookworm-updates main
LIST
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"

# On the console alone, root needs no password: sshd refuses empty ones.
chroot "$root" passwd --quiet --delete root
# Network cards are called eth0, eth1 and so on, as in all documentation.
ln -sf /dev/null "$root/etc/systemd/network/99-default.link"

# The agent has /dev/hvc0 for itself.
install -D -m 755 agent.pl "$root/usr/local/lib/gasang/agent"
install -D -m 644 agent.service "$root/etc/systemd/system/gasang-agent.service"
mkdir -p "$root/etc/systemd/system/dev-hvc0.device.wants"
ln -sf ../gasang-agent.service "$root/etc/systemd/system/dev-hvc0.device.wants/gasang-agent.service"
ln -sf /dev/null "$root/etc/systemd/system/serial-getty@hvc0.service"

# Nothing that runs by the clock, and services as the user wants them.
for unit in apt-daily.timer apt-daily-upgrade.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for service in apache2 firewalld; do
    chroot "$root" systemctl --quiet disable "$service"
done
rm -f "$root/var/lib/dbus/machine-id"
: > "$root/etc/machine-id"
rm -rf "$root/var/cache/apt/archives/"*.deb
# What nobody reads here. (Excluding it from installation would need Python on the host.)
for directory in doc man locale info; do
    rm -rf "$root/usr/share/$directory/"*
done
