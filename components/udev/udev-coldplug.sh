#!/bin/sh
# Walks all devices once at boot: drivers are loaded and /dev/disk is filled before the network starts.
# Usage: udev-coldplug [SECONDS]; the daemon ends with this container, the service udev follows on.
limit=${1:-60}
/usr/lib/systemd/systemd-udevd --daemon || exit 1
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
if ! udevadm settle --timeout="$limit"; then
    # A slow disk or card must not keep the machine from booting: the service goes on with it.
    echo "udev: some devices were not ready after $limit s; boot goes on" >&2
fi
udevadm control --exit
exit 0
