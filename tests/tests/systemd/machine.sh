#!/bin/sh
# Process 1 of a machine that is made of namespaces, in the cgroup $CGROUP. Network, /run, /etc and /dev are the sandbox's.
set -e
echo 0 >"$CGROUP/cgroup.procs"
exec unshare --cgroup sh -ec '
    mount -t proc none /proc
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t tmpfs none /tmp
    mount -t tmpfs none /var
    mkdir -m 1777 /var/tmp
    ln -s /run /var/run
    # What systemd sets at boot, and the clock, are everybody'\''s.
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    drop=-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog
    exec setpriv --bounding-set=$drop /usr/lib/systemd/systemd --unit=machine.target
'
