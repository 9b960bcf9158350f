#!/usr/bin/env bash
# Tries what is made here: packaging/check.sh PROGRAM. The package goes through the
# life of an installation in a root folder, with the real dpkg; the unit is read by
# systemd where the package put it; the image is read as an engine reads it; the
# alerts are tested by promtool. Needs root, since packages have owners.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH=1764547200 LEVEL=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "check-packaging: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "installing packages in a folder takes root"
arch=$(dpkg --print-architecture)

mkdir "$work/a" "$work/b"
for at in a b; do packaging/deb.sh "$program" "$arch" v1.2.4-0.20261130161400-65b7dc55f4ca+dirty "$work/$at" >/dev/null; done
old=$work/a/posefuse_1.2.4~0.20261130161400.65b7dc55f4ca+dirty_$arch.deb
cmp "$old" "$work/b/${old##*/}" || fail "two packages of one program differ"
packaging/deb.sh "$program" "$arch" v1.2.3 "$work" >/dev/null
packaging/deb.sh "$program" "$arch" v1.2.4 "$work" >/dev/null
for pair in "1.2.3 1.2.4~0.20261130161400.65b7dc55f4ca+dirty" "1.2.4~0.20261130161400.65b7dc55f4ca+dirty 1.2.4"; do
  read -r less more <<<"$pair"; dpkg --compare-versions "$less" lt "$more" || fail "$less is not before $more"
done
# The next release has another configuration.
dpkg-deb -R "$work/posefuse_1.2.4_$arch.deb" "$work/tree"
echo "# a word about the next release" >>"$work/tree/etc/posefuse/posefuse.yaml"
dpkg-deb -Znone --root-owner-group -b "$work/tree" "$work/next.deb" >/dev/null

# A machine that has nothing but systemd.
root=$work/root
mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root"/{etc,run,bin}
printf 'Package: systemd\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: %s\nVersion: 252\nDescription: a stand-in\n' "$arch" >"$root/var/lib/dpkg/status"
echo /. >"$root/var/lib/dpkg/info/systemd.list"
pkg() { dpkg --root="$root" --force-script-chrootless --force-confold --force-confdef --log="$work/log" "$@" 2>&1; }
version() { pkg -s posefuse | sed -n 's/^Version: //p'; }
config=$root/etc/posefuse/posefuse.yaml state=$root/var/lib/posefuse

said=$(pkg -i "$old"); [[ $said == *"systemctl enable --now posefuse"* ]] || fail "the installation does not say how to go on: $said"
grep -q '^posefuse:' "$root/etc/passwd" || fail "there is no user posefuse"
[ "$(stat -c %a "$state")" = 700 ] || fail "the state folder is open to others"
[ "$(stat -c %a "$config")" = 640 ] || fail "the configuration is open to others"
[ -z "$(find "$root/usr" -perm /022 -o -name '*.go')" ] || fail "a file that others may write, or that is no part of a package"
"$root/usr/bin/posefuse" check "$config" >/dev/null || fail "the configuration of the package is refused"

for file in man/man1/posefuse.1.gz man/man1/posefuse-run.1.gz man/man5/posefuse.yaml.5.gz bash-completion/completions/posefuse \
  zsh/vendor-completions/_posefuse fish/vendor_completions.d/posefuse.fish doc/posefuse/posefuse.cdx.json; do
  [ -s "$root/usr/share/$file" ] || fail "the package lacks $file"
done
bash -n "$root/usr/share/bash-completion/completions/posefuse" || fail "bash does not read the completion"
listed=$(sed -n 's/.*"purl": "pkg:golang\/\(.*\)".*/\1/p' "$root/usr/share/doc/posefuse/posefuse.cdx.json" | grep -v ^std@ | sort)
linked=$(${GO:-go} version -m "$program" | awk '$1 == "dep" {print $2 "@" $3}' | sort)
[ -n "$linked" ] && [ "$listed" = "$linked" ] || fail "the list of parts is not what is linked: $(diff <(echo "$listed") <(echo "$linked"))"

# systemd reads the unit, beside stand-ins for the targets that it names.
for target in basic sysinit shutdown network-online time-sync multi-user; do
  printf '[Unit]\nDescription=%s\n' $target >"$root/usr/lib/systemd/system/$target.target"
done
install -m 755 /dev/null "$root/bin/kill"
said=$(systemd-analyze verify --man=no --root="$root" posefuse.service 2>&1) && [ -z "$said" ] || fail "systemd-analyze verify: $said"
rm "$root"/usr/lib/systemd/system/*.target
systemd-analyze security --offline=true --threshold=19 "$root/usr/lib/systemd/system/posefuse.service" >/dev/null || fail "the unit's score is above 1.9"

echo "room: ward-7" >"$config"
mkdir -p "$state/sessions/s1" "$state/nats"
pkg -i "$work/next.deb" >/dev/null
[ "$(version)" = 1.2.4 ] && grep -qx 'room: ward-7' "$config" && [ -f "$config.dpkg-dist" ] || fail "the upgrade lost the owner's configuration or the new one"
pkg -i "$old" >/dev/null
[[ $(version) == 1.2.4~* ]] && grep -qx 'room: ward-7' "$config" && [ -d "$state/nats" ] || fail "the downgrade lost something"
pkg -r posefuse >/dev/null
[ ! -e "$root/usr/bin/posefuse" ] && [ -f "$config" ] && [ -d "$state/nats" ] || fail "removal takes more or less than the program"
said=$(pkg -P posefuse)
[ ! -e "$root/etc/posefuse" ] && [ ! -e "$state/nats" ] || fail "purging leaves configuration or server files"
[ -d "$state/sessions/s1" ] && [[ $said == *"are kept in"* ]] || fail "purging takes recordings, or does not say that they are kept: $said"
[ -z "$(find "$root/usr" -type f 2>/dev/null)" ] || fail "purging leaves $(find "$root/usr" -type f)"
echo "package: installed, upgraded, downgraded, removed, purged; unit verified, score at most 1.9"

# The image: each digest names the bytes behind it, up to the one program inside.
for at in a b; do packaging/oci.sh "$program" amd64 v1.2.3 "$work/$at.tar"; done
cmp "$work/a.tar" "$work/b.tar" || fail "two images of one program differ"
mkdir "$work/image"
tar -xf "$work/a.tar" -C "$work/image"
python3 - "$work/image" <<'PYTHON'
import gzip, hashlib, io, json, sys, tarfile
root = sys.argv[1]
def blob(d):
    b = open(f"{root}/blobs/{d['digest'].replace(':', '/')}", "rb").read()
    assert len(b) == d["size"] and "sha256:" + hashlib.sha256(b).hexdigest() == d["digest"], d
    return b
assert json.load(open(root + "/oci-layout"))["imageLayoutVersion"] == "1.0.0"
(entry,) = json.load(open(root + "/index.json"))["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
(layer,) = [gzip.decompress(blob(l)) for l in manifest["layers"]]
assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
assert config["config"]["User"] == "65532:65532" and config["config"]["Entrypoint"] == ["/usr/bin/posefuse"], config
files = tarfile.open(fileobj=io.BytesIO(layer)).getmembers()
assert [f.name for f in files if f.isfile() and f.mode & 0o111] == ["./usr/bin/posefuse"], "programs"
assert [f.mode for f in files if f.name == "./var/lib/posefuse" and f.uid == 65532] == [0o700], "state folder"
assert not [f.name for f in files if f.name != "./var/lib/posefuse" and (f.uid, f.gid) != (0, 0)], "owners"
PYTHON
echo "image: digests right, one program, state folder of its own user"

tool=$(command -v promtool || echo bin/promtool)
"$tool" check rules packaging/prometheus/posefuse.rules.yml >/dev/null
"$tool" test rules packaging/prometheus/testdata/rules_test.yml >/dev/null || fail "an alert does not do what it is for"
python3 - <<'PYTHON'
import json, re
names = set(re.findall(r'"(posefuse_\w+)"', open("pipeline/metrics.go").read()))
board = open("packaging/grafana/posefuse.json").read()
for text in (board, open("packaging/prometheus/posefuse.rules.yml").read()):
    asked = {n.removesuffix("_bucket") for n in re.findall(r"posefuse_\w+", text)}
    assert len(asked) > 5 and asked <= names, f"the daemon has no {asked - names}"
board = json.loads(board)
cells, known = set(), {v["name"] for v in board["templating"]["list"]}
for p in board["panels"]:
    g = p["gridPos"]
    own = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
    assert not own & cells and g["x"] + g["w"] <= 24 and p["title"] and p["targets"], p["title"]
    cells |= own
    for t in p["targets"]:
        assert set(re.findall(r"\$\{?(\w+)", t["expr"])) <= known and t["expr"].count("(") == t["expr"].count(")"), t
assert len({p["id"] for p in board["panels"]}) == len(board["panels"]) and board["schemaVersion"] >= 36
PYTHON
echo "alerts tested; rules and dashboard ask for metrics that the daemon has"
