#!/usr/bin/env bash
# Makes FOLDER/chromium, a Chromium for the tests of the monitoring page. It needs no root.
#
#     tests/chromium.sh FOLDER
#
# A browser that is installed is taken. On Debian one is downloaded otherwise, with the libraries that are not installed:
# its packages, as apt verifies them, unpacked into the folder. Where neither is possible FOLDER/missing says why, and
# the tests that need a browser are skipped with these words.
set -euo pipefail

folder=$1
packages=(chromium fonts-inter fonts-dejavu-core)

works() { "$1" --headless --no-sandbox --version >/dev/null 2>&1; }

missing() {
  mkdir -p "$folder"
  echo "$1" >"$folder/missing"
  echo "== No browser, so the monitoring page is not tested: $1" >&2
  exit 0
}

if [ -x "$folder/chromium" ] && works "$folder/chromium"; then
  rm -f "$folder/missing"
  exit 0
fi

# Built beside it and moved into place as a whole: other checkouts use the same folder.
mkdir -p "$(dirname "$folder")"
new=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"

place() {
  chmod 755 "$new/chromium"
  works "$new/chromium" || missing "$1 does not start"
  rm -rf "$folder"
  # Another checkout may have been faster; its browser is as good.
  mv -T "$new" "$folder" 2>/dev/null || works "$folder/chromium"
}

for name in chromium google-chrome google-chrome-stable; do
  installed=$(command -v "$name" || true)
  # Ubuntu's is a snap, which sees no files outside the home directory.
  if [ -n "$installed" ] && ! grep -qs snap "$installed" && works "$installed"; then
    printf '#!/bin/sh\nexec %q "$@"\n' "$installed" >"$new/chromium"
    place "$installed"
    exit 0
  fi
done

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  missing "no chromium or google-chrome is installed, and there is no apt-get to download one with"

echo "== Chromium for the tests of the monitoring page, into $folder: 125 MB, once"
mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial"
options=(-qq -o "Dir::State::lists=$new/apt/lists" -o "Dir::Cache=$new/apt/cache"
  -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::Retries=2)
log=$new/apt/log
if ! { apt-get "${options[@]}" update &&
  apt-get "${options[@]}" --yes --no-install-recommends --download-only install "${packages[@]}"; } >"$log" 2>&1; then
  missing "apt-get cannot download chromium: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
fi
for package in "$new"/apt/cache/archives/*.deb; do dpkg-deb --extract "$package" "$new/root"; done
rm -rf "$new/apt"

cat >"$new/fonts.conf" <<'FONTS'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="relative">root/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias binding="same"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
FONTS

cat >"$new/chromium" <<'LAUNCHER'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for libraries in "$here"/root/usr/lib/*-linux-gnu* "$here"/root/usr/lib/*-linux-gnu*/pulseaudio "$here"/root/lib/*-linux-gnu*; do
  [ -d "$libraries" ] && LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/root/usr/lib/chromium/chromium" "$@"
LAUNCHER
place "the downloaded chromium"
