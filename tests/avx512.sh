#!/usr/bin/env bash
# The machine code for AVX-512 on a machine that has none: in Bochs, an emulator of whole computers, with Debian's packages 'bochs',
# 'bochs-term', 'isolinux', 'syslinux-common', 'genisoimage', 'busybox-static', 'cpio', 'zstd' and 'util-linux', and one of its kernels:
#   tests/avx512.sh
# Builds the tests of the CPU's engines, starts Linux with nothing but them on an emulated Skylake-X, and runs them there: every operation on its
# probes, random programs, register pressure, walking, and every shipped model, against the interpreter, bit for bit. Takes half an hour to an hour:
# some 30 million instructions a second.
set -euo pipefail
cd "$(dirname "$0")/.."

needed=(bochs genisoimage busybox cpio zstd script dpkg-deb)
for tool in "${needed[@]}"; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install bochs bochs-term isolinux syslinux-common genisoimage busybox-static cpio zstd" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tests, and what they are linked with.
tests=()
while read -r file; do tests+=("$file"); done < <(
    cargo test --release --locked --lib --test engines --no-run --message-format=json |
        sed -n '/"overflow_checks":[a-z]*,"test":true}/s/.*"executable":"\([^"]*\)".*/\1/p'
)
mkdir -p "$work"/root/{bin,proc,sys,dev,tmp} "$work/disc/isolinux"
cp "$(command -v busybox)" "$work/root/bin/"
mkdir -p "$work/root$PWD"
cp -r models "$work/root$PWD/"
for file in "${tests[@]}"; do
    strip -o "$work/root/bin/$(basename "$file" | sed 's/-[0-9a-f]*$//')" "$file"
    ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$work/root$(dirname "$library")"
        cp -L "$library" "$work/root$library"
    done
done
cat > "$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox grep -q avx512f /proc/cpuinfo || echo "FAILED: no AVX-512 here"
cd /tmp
# What needs no processor of its own was tested outside.
sarcolemma --test-threads 1 backend::cpu --skip native::follow || echo "FAILED: the library's tests"
engines --test-threads 1 || echo "FAILED: engines"
echo DONE
# Until the line has carried all that was said.
/bin/busybox sleep 5
/bin/busybox poweroff -f
INIT
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | zstd -3 -q > "$work/disc/initrd")

# A kernel: Debian's for virtual machines, which need not be installed.
image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
[ -n "$image" ] || { echo "no kernel is known: apt-get update" >&2; exit 1; }
(cd "$work" && apt-get download -qq "$image" && dpkg-deb -x "$image"_*.deb kernel)
cp "$work"/kernel/boot/vmlinuz-* "$work/disc/vmlinuz"

cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/disc/isolinux/"
# Bochs tells Linux a size of the compact form of its registers that Linux does not believe; the plain form is taken instead.
cat > "$work/disc/isolinux/isolinux.cfg" <<'CFG'
DEFAULT linux
LABEL linux
KERNEL /vmlinuz
INITRD /initrd
APPEND console=ttyS0 quiet mitigations=off tsc=reliable clearcpuid=xsavec,xsaves
CFG
genisoimage -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$work/disc"

cat > "$work/bochsrc" <<CFG
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
plugin_ctrl: sb16=0, es1370=0, voodoo=0, e1000=0, usb_uhci=0, speaker=0
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
megs: 2048
cpu: model=corei7_skylake_x, count=1, ips=50000000
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/log
panic: action=fatal
error: action=ignore
info: action=ignore
clock: sync=none, time0=1700000000
CFG
# Debian's Bochs starts in its debugger: "c" lets it run. It draws its screen on a terminal of its own and waits where nobody reads that.
echo c > "$work/go"
touch "$work/serial"
TERM=xterm script -qfc "bochs -q -f $work/bochsrc -rc $work/go" "$work/typescript" </dev/null >/dev/null 2>&1 &
bochs=$!
screen=
shown=0
while kill -0 "$bochs" 2>/dev/null; do
    if [ -z "$screen" ]; then
        screen=$(grep -a -o 'connected to screen "[^"]*' "$work/typescript" 2>/dev/null | sed 's/.*"//' || true)
        [ -z "$screen" ] || cat "$screen" >/dev/null 2>&1 &
    fi
    lines=$(wc -l < "$work/serial")
    if [ "$lines" -gt "$shown" ]; then sed -n "$((shown + 1)),${lines}p" "$work/serial"; fi
    shown=$lines
    sleep 2
done
sed -n "$((shown + 1)),\$p" "$work/serial"
grep -q DONE "$work/serial" && ! grep -q FAILED "$work/serial"
