#!/bin/sh
# initramfs.sh INITRAMFS STAGE KERNEL INIT PROGRAM...: makes the file system that a guest boots with: rauthbind as it is
# in STAGE, busybox, the modules of KERNEL, and these programs in /bin with the libraries that they need.
set -e
initramfs=$1 stage=$2 kernel=$3 init=$4
shift 4
root=$initramfs.d
mkdir -p "$root/bin" "$root/dev" "$root/etc" "$root/proc" "$root/sys" "$root/tmp"
chmod 1777 "$root/tmp"
cp -R "$stage/." "$kernel/lib" "$root"
cp /bin/busybox "$@" "$root/bin"
cp "$init" "$root/init"
for program; do
    # A static program needs none.
    for library in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
done
find "$root/lib/modules" -name '*.xz' -exec busybox unxz {} +
for modules in "$root"/lib/modules/*; do
    busybox depmod -b "$root" "${modules##*/}"
done
cd "$root"
find . | busybox cpio -o -H newc >"$initramfs"
