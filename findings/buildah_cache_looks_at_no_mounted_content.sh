#!/usr/bin/env bash
# A step of a Containerfile reads a file that it mounts from the build's context, `RUN --mount=type=bind`. The file changes, and
# the image is built again with `buildah bud --layers`. As COPY looks at what it copies, and as docker's BuildKit does for mounts,
# the step might be expected to run again. buildah 1.28.2, Debian 12's, takes the step from its cache: the image holds the
# file of the build before. A label whose value is a build argument stays the one of the build before, too. Neither is said.
# An argument that is declared before the step, and changes, has it run again.
#
# Runs as root on Debian 12 (buildah's chroot isolation); nothing is installed. Fails once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet=2 buildah=1.28.2+ds1-3+deb12u1+b3 busybox-static=1:1.35.0-4+deb12u1+b1 libgpgme11=1.18.0-3+deb12u1 \
  libdevmapper1.02.1=2:1.02.185-2 libassuan0=2.5.5-5
for package in *.deb; do dpkg --extract "$package" programs; done
mkdir -p context/laid
cp programs/bin/busybox context/busybox
cat > context/Containerfile <<'BUILD'
FROM scratch
ARG SAID
COPY busybox /bin/sh
RUN --mount=type=bind,source=laid,target=/laid read line < /laid/file; echo "$line" > /got
ARG REVISION
LABEL revision="${REVISION}"
BUILD
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > policy.json

buildah() {
  LD_LIBRARY_PATH="$folder/programs/usr/lib/x86_64-linux-gnu:$folder/programs/lib/x86_64-linux-gnu" "$folder/programs/usr/bin/buildah" \
    --storage-driver vfs --root "$folder/storage" --runroot "$folder/run" "$@"
}

built() { # what the image holds after a build of a file, with an argument for the step and one for the label
  echo "$1" > context/laid/file
  buildah bud --layers --quiet --isolation chroot --network host --signature-policy policy.json --tag tried \
    --build-arg SAID="$2" --build-arg REVISION="$3" context > told 2>&1 || { cat told >&2; exit 1; }
  container=$(buildah from --signature-policy policy.json tried)
  echo "$(cat "$(buildah mount "$container")/got") $(buildah inspect --type image --format '{{index .OCIv1.Config.Labels "revision"}}' tried)"
  buildah rm "$container" > /dev/null
}

first=$(built one a first)
second=$(built two a second)
third=$(built two b second)
echo "file one, label first: $first"
echo "file two, label second: $second; expected: two second"
echo "file two, label second, and another argument before the step: $third"
test "$first" = "one first"
test "$third" = "two second"
if [ "$second" != "one first" ]; then
  echo "seen: what was mounted or the label counts. The finding no longer holds."
  exit 1
fi
