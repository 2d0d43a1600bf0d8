#!/bin/busybox sh
# Process 1 of a guest. Over the second serial line it is told, line by line: NUMBER USER COMMAND. It runs the command as
# that user, and says in one line: "#NUMBER STATUS: ", and what came from the command, with | between lines.
/bin/busybox --install /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ip link set lo up
modprobe -a crc32c_generic sctp dccp_ipv4 2>&1
# What the archive cannot keep.
setcap cap_net_bind_service=p /usr/local/libexec/rauthbind/rauthbind-helper
printf '%s:x:%d:%d::/:/bin/sh\n' root 0 0 alice 4001 4001 bob 4002 4002 >/etc/passwd
printf '%s:x:%d:\n' root 0 alice 4001 bob 4002 >/etc/group

export PATH=/usr/local/sbin:/usr/local/bin:/bin
# Not by process 1: a signal for an orphan that it adopts would lose what it has read of a line.
(
    stty raw -echo
    echo ready
    while read -r number user command; do
        said=$(su "$user" -c "$command" 2>&1 </dev/null)
        echo "#$number $?: $(printf %s "$said" | tr '\n' '|')"
    done
) </dev/ttyS1 >/dev/ttyS1
poweroff -f
