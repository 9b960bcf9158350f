#!/usr/bin/env bash
# Writes a Debian package. The same program and version give the same bytes.
#   packaging/deb.sh PROGRAM ARCH VERSION FOLDER [TOOL]
# TOOL is posefuse for this machine, for manual pages, completion and the list of
# what PROGRAM is made of; PROGRAM itself if it is not given. VERSION is Go's (v1.2.3, v1.2.4-0.20261130161400-65b7dc55f4ca). SOURCE_DATE_EPOCH
# is the time of the files, that of the last commit if it is not set. LEVEL is gzip's.
set -euo pipefail
program=$(realpath "$1") arch=$2 version=$3 folder=$(realpath "$4") tool=$(realpath "${5:-$1}")
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
umask 022

# What comes before a release sorts before it: 1.2.4~0.2026... < 1.2.4.
version=${version#v}
[[ $version =~ ^[0-9] ]] || version=0.0.0
plus=${version#"${version%%+*}"} version=${version%%+*}
if [[ $version == *-* ]]; then rest=${version#*-} version="${version%%-*}~${rest//-/.}"; fi
version+=$plus

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
put() { install -D -m "$1" "$2" "$root/$3"; } # mode, file, place
put 755 "$program" usr/bin/posefuse
put 640 packaging/posefuse.yaml etc/posefuse/posefuse.yaml
put 640 configs/iwr6843.cfg etc/posefuse/radar.cfg
put 644 systemd/posefuse.service usr/lib/systemd/system/posefuse.service
put 644 systemd/sysusers.d-posefuse.conf usr/lib/sysusers.d/posefuse.conf
put 644 systemd/tmpfiles.d-posefuse.conf usr/lib/tmpfiles.d/posefuse.conf
put 644 systemd/70-posefuse.rules usr/lib/udev/rules.d/70-posefuse.rules
doc=usr/share/doc/posefuse
for file in README.md LICENSE NOTICE; do put 644 $file $doc/$file; done
put 644 LICENSE $doc/copyright
for file in docs/*.md docs/*.svg docs/formats/* docs/schema/*; do put 644 "$file" "$doc/$file"; done
for file in configs/*.yaml configs/*.cfg packaging/prometheus/*.yml packaging/grafana/*.json; do
  put 644 "$file" "$doc/examples/$(basename "$file")"
done
"$tool" manual --out "$root/usr/share/man/man1"
mkdir -p "$root/usr/share/man/man5"
mv "$root"/usr/share/man/man1/*.5 "$root/usr/share/man/man5"
gzip -9n "$root"/usr/share/man/man?/*
for shell in bash:bash-completion/completions/posefuse zsh:zsh/vendor-completions/_posefuse fish:fish/vendor_completions.d/posefuse.fish; do
  place=$root/usr/share/${shell#*:}
  mkdir -p "$(dirname "$place")"
  "$tool" completion "${shell%%:*}" >"$place"
done
"$tool" sbom "$program" >"$root/$doc/posefuse.cdx.json"

mkdir "$root/DEBIAN"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
install -m 644 packaging/debian/conffiles "$root/DEBIAN/"
install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f1)/" \
  packaging/debian/control >"$root/DEBIAN/control"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zgzip "-z${LEVEL:-6}" --build "$root" "$folder/posefuse_${version}_$arch.deb"
