#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Linux kernel from its source: the one recipe, whether Docker runs it (kernel/Dockerfile) or the host.
# `hookos kernel` calls it; the same inputs and the same tools give the same files, in whatever folder.
#
# usage: build.sh TASK TARBALL CONFIG WORK [OUT]
#        build.sh tools [CONFIG]
#   TASK      build      compile, and leave the result in OUT
#             config     only set up the tree in WORK/linux: WORK/linux/.config is the whole configuration
#             menuconfig let a person change it; WORK/linux/defconfig is then what differs from the defaults
#             tools      say which tools there are that have a part in the bytes of a kernel
#   TARBALL   linux-X.Y.Z.tar.xz, or any other compression that tar knows
#   CONFIG    options, one a line, as in kernel/configs; what is not named has the kernel's default
#   WORK      a folder for the tree; a tree that is there is taken as it is. Only `build` unpacks all of it
#   OUT       gets boot/{vmlinuz,System.map,config}-RELEASE, lib/modules/RELEASE, dtbs.tar.gz, `epoch`, `tools`
#
# Environment: JOBS (default: one for each CPU). HOOKOS_KERNEL_VERSION: refuse a tree of another version.
# Lines that begin with `::` are for hookos: `::objects N` how many there are to compile, `::missing NAMES`
# the Debian packages that are missing.
set -euo pipefail

# Everything that a build could take from its surroundings is taken away, but for where programs, a person's
# cache of objects and a terminal are.
while read -r name; do
    case $name in
    PATH | HOME | TMPDIR | TERM | JOBS | HOOKOS_KERNEL_VERSION) ;;
    MENUCONFIG_COLOR | MENUCONFIG_MODE | XDG_CACHE_HOME | XDG_CONFIG_HOME) ;;
    CCACHE_DIR | CCACHE_MAXSIZE | CCACHE_DISABLE | CCACHE_RECACHE | CCACHE_REMOTE_STORAGE) ;;
    *) unset "$name" 2>/dev/null || true ;;
    esac
done < <(compgen -e)
while read -r name; do unset -f "$name"; done < <(compgen -A function)
export LC_ALL=C TZ=UTC
umask 022

task=${1:-} tarball=${2:-} config=${3:-} work=${4:-} out=${5:-}
case $task:$# in
tools:1 | tools:2) config=${2:-} ;;
config:4 | menuconfig:4 | build:5) ;;
*)
    sed -n '6,20s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
jobs=${JOBS:-$(nproc)}
[[ -z $work ]] || work=$(realpath -m -- "$work")
[[ -z $out ]] || out=$(realpath -m -- "$out")
tree=$work/linux

# The program that packs the kernel decides bytes, as compiler and linker do.
packer=gzip
if [[ -n $config ]]; then
    found=$(sed -n 's/^CONFIG_KERNEL_\(BZIP2\|GZIP\|LZ4\|LZMA\|LZO\|XZ\|ZSTD\)=y$/\1/p' "$config" | tail -n 1)
    packer=${found:-GZIP}
    packer=${packer,,}
    [[ $packer == lzo ]] && packer=lzop
fi

missing=()
need() { # PROGRAM [PACKAGE]
    command -v "$1" >/dev/null || missing+=("${2:-$1}")
}
need_header() { # HEADER PACKAGE
    command -v gcc >/dev/null && echo "#include <$1>" | gcc -E -x c - >/dev/null 2>&1 || missing+=("$2")
}
for tool in make gcc bc bison flex perl tar; do need "$tool"; done
need ld binutils
need xz xz-utils
need_header stdio.h libc6-dev
case $task in
menuconfig) need_header ncurses.h libncurses-dev ;;
build | tools)
    need gzip
    case $packer in
    lzma) need lzma xz-utils ;;
    gzip | xz) ;;
    *) need "$packer" ;;
    esac
    # objtool reads ELF files with the one; certificates are put into a kernel with the other.
    need_header gelf.h libelf-dev
    need_header openssl/opensslv.h libssl-dev
    ;;
esac
if ((${#missing[@]})); then
    echo "::missing ${missing[*]}"
    echo "to compile a kernel these are missing: ${missing[*]}" >&2
    exit 3
fi

tools() {
    local tool
    for tool in gcc as ld $(printf '%s\n' gzip "$packer" | sort -u); do
        echo "$tool: $("$tool" --version 2>&1 | head -n 1)"
    done
}
if [[ $task == tools ]]; then
    tools
    exit 0
fi

# A configuration is set up by a thirtieth of the source: what make and Kconfig read.
case $task in
build) parts=() needed=init/main.c ;;
*)
    parts=(--wildcards '*/Makefile*' '*/Kconfig*' '*/Kbuild*' '*/scripts/*' '*/arch/x86/include/asm/setup.h')
    needed=Makefile
    ;;
esac
if [[ ! -f $tree/$needed ]]; then
    echo "unpacking $(basename "$tarball")"
    mkdir -p "$tree"
    tar -xf "$tarball" -C "$tree" --strip-components=1 --no-same-owner "${parts[@]}"
fi
version=$(make -s -C "$tree" kernelversion)
if [[ -n ${HOOKOS_KERNEL_VERSION:-} && $version != "$HOOKOS_KERNEL_VERSION" ]]; then
    echo "::version $version"
    echo "the tarball holds Linux $version, not $HOOKOS_KERNEL_VERSION" >&2
    exit 4
fi

SOURCE_DATE_EPOCH=$(stat -c %Y "$tree/Makefile")
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %e %H:%M:%S UTC %Y')
export SOURCE_DATE_EPOCH KBUILD_BUILD_TIMESTAMP
export KBUILD_BUILD_USER=hookos KBUILD_BUILD_HOST=hookos KBUILD_BUILD_VERSION=1
# Options that ask whether these are installed would differ from machine to machine; no kernel here needs them.
settings=(RUSTC=false BINDGEN=false PAHOLE=false CC=gcc HOSTCC=gcc)
if command -v ccache >/dev/null; then
    # The folder of a build decides nothing, so it may not decide whether an object is found again either.
    export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$tree
    settings+=("CC=ccache gcc" "HOSTCC=ccache gcc")
fi
run_make() {
    # An empty LOCALVERSION keeps a git repository around the tree from adding a `+` to the version.
    make -C "$tree" --no-print-directory "${settings[@]}" LOCALVERSION= "$@"
}

# Site command lines are long; the x86 limit is 2048 bytes (5.10 to 6.12), and no option changes it.
setup=$tree/arch/x86/include/asm/setup.h
sed -i 's/^#define COMMAND_LINE_SIZE 2048$/#define COMMAND_LINE_SIZE 4096/' "$setup"
grep -q '^#define COMMAND_LINE_SIZE 4096$' "$setup" || {
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
tools >"$out/tools"
echo "built Linux $release"
