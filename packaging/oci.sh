#!/usr/bin/env bash
# Writes an OCI image of one static program as a tar file, without an engine:
#   packaging/oci.sh PROGRAM ARCH VERSION FILE.tar
# `docker load` (25 or newer), `podman load` and `skopeo` read it. The same
# program gives the same bytes. It holds the program, its configuration, a user
# and empty folders; no shell, no package manager.
set -euo pipefail
program=$(realpath "$1") arch=$2 version=$3 out=$(realpath "$4")
cd "$(dirname "$0")/.."
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout=$work/layout blobs=$work/layout/blobs/sha256
mkdir -p "$blobs" "$work/root"/{usr/bin,etc/posefuse,var/lib/posefuse,tmp}
install -m 755 "$program" "$work/root/usr/bin/posefuse"
install -m 644 packaging/posefuse.yaml "$work/root/etc/posefuse/posefuse.yaml"
echo 'posefuse:x:65532:65532::/var/lib/posefuse:/sbin/nologin' >"$work/root/etc/passwd"
echo 'posefuse:x:65532:' >"$work/root/etc/group"
chmod -R u=rwX,go=rX "$work/root"
chmod 700 "$work/root/var/lib/posefuse"
chmod 1777 "$work/root/tmp"

pack() { tar --sort=name --format=gnu --mtime="@$epoch" --numeric-owner "$@"; }
pack --owner=0 --group=0 --exclude=./var/lib/posefuse -C "$work/root" -cf "$work/layer" .
pack --owner=65532 --group=65532 -C "$work/root" -rf "$work/layer" ./var/lib/posefuse
diff=$(sha256sum <"$work/layer" | cut -d' ' -f1)
gzip -n "-${LEVEL:-6}" "$work/layer"

# blob FILE moves a file to its place and prints its descriptor's digest and size.
blob() {
  local sum; sum=$(sha256sum <"$1" | cut -d' ' -f1)
  printf '"digest":"sha256:%s","size":%s' "$sum" "$(stat -c %s "$1")"
  mv "$1" "$blobs/$sum"
}
layer=$(blob "$work/layer.gz")
printf '{"created":"%s","architecture":"%s","os":"linux","config":{"User":"65532:65532","Entrypoint":["/usr/bin/posefuse"],"Cmd":["run","--config","/etc/posefuse/posefuse.yaml"],"WorkingDir":"/var/lib/posefuse","Volumes":{"/var/lib/posefuse":{}},"Labels":{"org.opencontainers.image.title":"posefuse","org.opencontainers.image.version":"%s","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"packaging/oci.sh"}]}' \
  "$created" "$arch" "$version" "$diff" "$created" >"$work/config"
config=$(blob "$work/config")
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",%s}]}' \
  "$config" "$layer" >"$work/manifest"
manifest=$(blob "$work/manifest")
tag=$(tr -c 'A-Za-z0-9._\n-' _ <<<"${version#v}")
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s","io.containerd.image.name":"docker.io/library/posefuse:%s"}}]}' \
  "$manifest" "$arch" "$tag" "$tag" >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
chmod -R u=rwX,go=rX "$layout"
pack --owner=0 --group=0 -C "$layout" -cf "$out" .
