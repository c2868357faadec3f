#!/bin/busybox sh
# The first program of gasang's default guest.
echo "gasang: init"
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=linux
# Drivers, where there is a network card for them.
if [ -d /modules ] && grep -qs ^0x0200 /sys/bus/pci/devices/*/class; then
    for module in /modules/*.ko; do insmod "$module"; done
fi
cd /root
if [ -x /script ]; then
    /bin/sh /script
    echo "gasang: script ended with $?"
else
    hostname gasang
    # The terminal's size, when gasang has told it; a shell asks for it anew.
    if [ "$LINES" ] && [ "$COLUMNS" ]; then
        stty rows "$LINES" columns "$COLUMNS"
        unset LINES COLUMNS
    fi
    echo
    echo "Linux $(uname -r) in gasang. This is busybox; 'poweroff -f' or the end of this shell turns the guest off."
    PS1='\u@\h:\w\$ ' setsid cttyhack sh
fi
sync
poweroff -f
