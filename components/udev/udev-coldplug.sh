#!/bin/sh
# Walks all devices once at boot: drivers are loaded and /dev/disk is filled before the network starts.
# Usage: udev-coldplug [SECONDS]. The work is the service `udev`'s, which starts side by side with this step.
limit=${1:-60}
tries=0
until said=$(udevadm control --ping --timeout=5 2>&1); do
    tries=$((tries + 1))
    if [ "$tries" -ge 300 ]; then
        echo "udev: the service udev does not answer ($said); no drivers are loaded" >&2
        exit 1
    fi
    sleep 0.1
done
# Subsystems first, then devices, as udevadm does by itself. Terminals were made by the kernel; no driver
# and no name hangs on the event, and there are more of them than of all disks and cards.
udevadm trigger --type=all --action=add --subsystem-nomatch=tty
if ! udevadm settle --timeout="$limit"; then
    # A slow disk or card must not keep the machine from booting: the service goes on with it.
    echo "udev: some devices were not ready after $limit s; boot goes on" >&2
fi
exit 0
