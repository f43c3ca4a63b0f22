#!/usr/bin/env bash
# install.sh DIR: puts Autobahn|Testsuite (wstest) into DIR, on Debian 12.
#
# The suite is Python 2 code. This unpacks Python 2.7 and pip of Debian 11 below DIR, from the
# mirror that the machine already uses and with an apt state of its own, and installs the suite
# beside it, at pinned versions. Nothing outside DIR changes, and root is not needed. Wanted are
# apt, ca-certificates, and a C compiler (for wsaccel, without which the large cases crawl). If
# all is in place, it returns at once.
#
# Afterwards DIR/bin/wstest can be run; wstest.py says what it can be told by the environment.
set -euo pipefail
umask 022
dir=${1:?usage: install.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
stamp=$(cat "$0" "$here/wstest.py" | sha256sum)
if [[ $(cat "$dir/stamp" 2>/dev/null) == "$stamp" ]] &&
    "$dir/bin/wstest" --autobahnversion >/dev/null 2>&1; then
    exit 0
fi
rm -rf "$dir/stamp" "$dir/root" "$dir/bin" "$dir/tmp"
mkdir -p "$dir/bin" "$dir/tmp/lists/partial" "$dir/tmp/cache/archives/partial" "$dir/tmp/debs"
trap 'rm -rf "$dir/tmp"' EXIT

# 1. Python 2.7 and pip, from whichever configured mirror still has Debian 11
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$dir/tmp/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State="$dir/tmp" -o Dir::State::Lists="$dir/tmp/lists" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$dir/tmp/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
found=
mirrors=$(apt-get update --print-uris | sed -nE "s#^'(.*)/dists/[^']*/InRelease' .*#\1#p") || true
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
for mirror in $(awk '!seen[$0]++' <<<"$mirrors"); do
    echo "deb [signed-by=$keyring] $mirror bullseye main" >"$dir/tmp/sources.list"
    if apt -o APT::Update::Error-Mode=any update; then
        found=1
        break
    fi
done
[[ $found ]] || {
    echo "no configured apt mirror has Debian 11" >&2
    exit 1
}
(cd "$dir/tmp/debs" && apt download python2.7-minimal libpython2.7-minimal libpython2.7-stdlib \
    libpython2.7-dev libssl1.1 libffi7 python-pip-whl)
for deb in "$dir"/tmp/debs/*.deb; do
    dpkg-deb -x "$deb" "$dir/root"
done

# 2. the suite, where that Python looks for packages; Debian's split-up pip cannot build wsaccel,
# so that it only fetches the stock one
lib=$(echo "$dir"/root/usr/lib/*-linux-gnu)
site=$dir/root/usr/lib/python2.7/dist-packages
path=$(printf '%s:' "$dir"/root/usr/share/python-wheels/*.whl)
pip() {
    env LD_LIBRARY_PATH="$lib" PYTHONPATH="$path" PYTHONNOUSERSITE=1 \
        TMPDIR="$dir/tmp" HOME="$dir/tmp" \
        PIP_CERT="${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" \
        PIP_DISABLE_PIP_VERSION_CHECK=1 CFLAGS=-O2 \
        C_INCLUDE_PATH="$dir/root/usr/include/python2.7:$dir/root/usr/include" \
        "$dir/root/usr/bin/python2.7" -W ignore -m pip --no-python-version-warning \
        install -q --no-cache-dir --no-compile --no-deps --no-build-isolation "$@"
}
pip --target "$dir/tmp/pip" pip==20.3.4 setuptools==44.1.1 wheel==0.37.1
path=$dir/tmp/pip
pip --target "$site" autobahntestsuite==25.10.1 autobahn==0.10.9 txaio==2.1.0 six==1.16.0 \
    setuptools==44.1.1 Twisted==19.10.0 zope.interface==4.6.0 constantly==15.1.0 \
    incremental==16.10.1 Automat==22.10.0 hyperlink==21.0.0 idna==2.10 attrs==21.4.0 \
    typing==3.10.0.0 Jinja2==2.11.3 MarkupSafe==1.1.1 pyOpenSSL==19.1.0 cryptography==3.3.2 \
    cffi==1.15.1 pycparser==2.21 enum34==1.1.10 ipaddress==1.0.23 unittest2==1.1.0 \
    traceback2==1.4.0 linecache2==1.0.0
touch "$site/zope/__init__.py" # else only a .pth file makes it a package
pip --target "$site" wsaccel==0.6.6 ||
    echo "wsaccel did not build (no C compiler?): masking and UTF-8 checks will be slow" >&2

# 3. the command
cp "$here/wstest.py" "$dir/bin/"
cat >"$dir/bin/wstest" <<'SH'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH=$(echo "$here"/../root/usr/lib/*-linux-gnu) PYTHONNOUSERSITE=1
unset PYTHONPATH PYTHONHOME
exec "$here/../root/usr/bin/python2.7" -W ignore -u "$here/wstest.py" "$@"
SH
chmod +x "$dir/bin/wstest"
"$dir/bin/wstest" --autobahnversion
echo "$stamp" >"$dir/stamp"
