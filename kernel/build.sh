#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Linux kernel from its source: the one recipe, whether Docker runs it (kernel/Dockerfile) or the host.
# `hookos kernel` calls it; the same inputs and the same compiler give the same files, in whatever folder.
#
# usage: build.sh TASK TARBALL CONFIG WORK [OUT]
#   TASK      build      compile, and leave the result in OUT
#             config     only set up the tree in WORK/linux: WORK/linux/.config is the whole configuration
#             menuconfig let a person change it; WORK/linux/defconfig is then what differs from the defaults
#   TARBALL   linux-X.Y.Z.tar.xz, or any other compression that tar knows
#   CONFIG    options, one a line, as in kernel/configs; what is not named has the kernel's default
#   WORK      a folder for the tree; a tree that is there is taken as it is
#   OUT       gets boot/{vmlinuz,System.map,config}-RELEASE, lib/modules/RELEASE, dtbs.tar.gz and `epoch`
#
# Environment: JOBS (default: one for each CPU). HOOKOS_KERNEL_VERSION: refuse a tree of another version.
# Lines that begin with `::` are for hookos: `::objects N` how many there are to compile.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

if (($# < 4)) || [[ $1 == build && $# != 5 ]]; then
    sed -n '6,14s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
task=$1 tarball=$2 config=$3 work=$4 out=${5:-}
jobs=${JOBS:-$(nproc)}
tree=$work/linux

missing=()
for tool in make gcc ld bc bison flex perl xz tar; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
    echo "::missing ${missing[*]}"
    echo "to compile a kernel these programs are missing: ${missing[*]}" >&2
    exit 3
fi

if [[ ! -f $tree/Makefile ]]; then
    echo "unpacking $(basename "$tarball")"
    mkdir -p "$tree"
    tar -xf "$tarball" -C "$tree" --strip-components=1 --no-same-owner
fi
version=$(make -s -C "$tree" kernelversion)
if [[ -n ${HOOKOS_KERNEL_VERSION:-} && $version != "$HOOKOS_KERNEL_VERSION" ]]; then
    echo "::version $version"
    echo "the tarball holds Linux $version, not $HOOKOS_KERNEL_VERSION" >&2
    exit 4
fi

# Everything that a build could take from its surroundings is given here.
SOURCE_DATE_EPOCH=$(stat -c %Y "$tree/Makefile")
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %e %H:%M:%S UTC %Y')
export SOURCE_DATE_EPOCH KBUILD_BUILD_TIMESTAMP
export KBUILD_BUILD_USER=hookos KBUILD_BUILD_HOST=hookos KBUILD_BUILD_VERSION=1
unset CDPATH GREP_OPTIONS MAKEFLAGS KCONFIG_CONFIG KCFLAGS KAFLAGS KBUILD_OUTPUT CROSS_COMPILE ARCH LOCALVERSION
compiler=(CC=gcc HOSTCC=gcc)
if command -v ccache >/dev/null; then
    # The folder of a build decides nothing, so it may not decide whether an object is found again either.
    export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$tree
    compiler=("CC=ccache gcc" "HOSTCC=ccache gcc")
fi
run_make() {
    # An empty LOCALVERSION keeps a git repository around the tree from adding a `+` to the version.
    make -C "$tree" --no-print-directory "${compiler[@]}" LOCALVERSION= "$@"
}

# Site command lines are long; before 6.x the x86 limit is 2048 bytes and no option changes it.
sed -i 's/^#define COMMAND_LINE_SIZE 2048$/#define COMMAND_LINE_SIZE 4096/' \
    "$tree/arch/x86/include/asm/setup.h"
grep -q '^#define COMMAND_LINE_SIZE 4096$' "$tree/arch/x86/include/asm/setup.h" || {
    echo "arch/x86/include/asm/setup.h does not set COMMAND_LINE_SIZE as expected" >&2
    exit 1
}

echo "configuring Linux $version"
cp "$config" "$tree/.config"
run_make -s olddefconfig
case $task in
config) exit 0 ;;
menuconfig)
    run_make -s menuconfig
    run_make -s savedefconfig
    exit 0
    ;;
build) ;;
*)
    echo "build.sh: unknown task $task" >&2
    exit 2
    ;;
esac

# What make would do, counted: the objects of the kernel and of its modules.
run_make -j"$jobs" -s prepare modules_prepare
objects=$(run_make -n bzImage modules 2>/dev/null | grep -c -E "echo '  (CC|AS|LD)( \[M\])? " || true)
echo "::objects $objects"
echo "compiling Linux $(run_make -s kernelrelease) with $(gcc --version | head -n 1), $jobs jobs"
run_make -j"$jobs" bzImage modules

release=$(run_make -s kernelrelease)
rm -rf "$out"
mkdir -p "$out/boot" "$out/dtbs"
cp "$tree/arch/x86/boot/bzImage" "$out/boot/vmlinuz-$release"
cp "$tree/System.map" "$out/boot/System.map-$release"
cp "$tree/.config" "$out/boot/config-$release"
# hookos writes the indexes of the modules itself.
run_make -j"$jobs" -s modules_install INSTALL_MOD_PATH="$out" INSTALL_MOD_STRIP=1 DEPMOD=true
rm -f "$out/lib/modules/$release/build" "$out/lib/modules/$release/source"
# x86 has no device trees; the archive is there all the same, as images of other kernels have it.
tar -C "$out" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - dtbs |
    gzip -9n >"$out/dtbs.tar.gz"
rmdir "$out/dtbs"
echo "$SOURCE_DATE_EPOCH" >"$out/epoch"
echo "built Linux $release"
