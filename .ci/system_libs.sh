#!/bin/sh
# The system libraries that Qt, OpenGL and the virtual screen need on Linux, and pip does not bring.
#   system_libs.sh window   a napari window: on the display, or on a virtual screen where there is none
#   system_libs.sh test     the test suite (without a virtual screen it leaves out the drawing tests)
#   system_libs.sh venv     Debian's package for `python3 -m venv`
# Root on Debian or Ubuntu: installs whatever is missing. Anyone else is told exactly what to install; exit
# status 1 if it does not work without. Quiet when everything is there; nothing to do on macOS.
set -eu
[ "$(uname -s)" = Linux ] || exit 0
purpose=${1:-window}

# group, Debian package, library or program to look for, Fedora package
table='
base   libgl1             libGL.so.1            libglvnd-glx
base   libegl1            libEGL.so.1           libglvnd-egl
base   libglib2.0-0       libglib-2.0.so.0      glib2
base   libdbus-1-3        libdbus-1.so.3        dbus-libs
base   libfontconfig1     libfontconfig.so.1    fontconfig
base   libxkbcommon0      libxkbcommon.so.0     libxkbcommon
x11    libxcb-cursor0     libxcb-cursor.so.0    xcb-util-cursor
x11    libxcb-icccm4      libxcb-icccm.so.4     xcb-util-wm
x11    libxcb-keysyms1    libxcb-keysyms.so.1   xcb-util-keysyms
x11    libxcb-shape0      libxcb-shape.so.0     libxcb
x11    libxkbcommon-x11-0 libxkbcommon-x11.so.0 libxkbcommon-x11
screen xvfb               xvfb-run              xorg-x11-server-Xvfb
screen xauth              xauth                 xorg-x11-xauth
'

# What cannot be done without: an X window needs the x11 group, a machine without a display the virtual
# screen; the tests fall back on Qt's offscreen platform, which needs neither, if there is no virtual screen.
needed="base"
[ -z "${DISPLAY:-}" ] || needed="base x11"
case $purpose in
window) [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || needed="base x11 screen" ;;
test) ! command -v xvfb-run >/dev/null 2>&1 || needed="base x11" ;;
venv)
    table='venv python3-venv - -'
    needed="venv"
    ;;
*)
    echo "usage: $0 window|test|venv" >&2
    exit 2
    ;;
esac

is_debian() { command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; }

# Newer releases append t64 to the names of some libraries (libglib2.0-0t64).
debian_has() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" "$1t64" 2>/dev/null | grep -qx installed
}

# Elsewhere the dynamic linker is asked; where it cannot be asked nothing is claimed to be missing.
linker_has() {
    case $1 in
    *.so.*) case $libraries in '' | *"$1 "*) true ;; *) false ;; esac ;;
    -) true ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

look() {
    missing="" blocking=""
    while read -r group debian file fedora; do
        [ -n "$group" ] || continue
        if is_debian; then
            name=$debian
            debian_has "$name" && continue
        else
            name=$fedora
            linker_has "$file" && continue
        fi
        missing="$missing $name"
        case " $needed " in *" $group "*) blocking="$blocking $name" ;; esac
    done <<EOF
$table
EOF
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of package names
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 $missing </dev/null
}

libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null) || libraries=""
look
[ -n "$missing" ] || exit 0

if is_debian && [ "$(id -u)" = 0 ]; then
    echo "Installing system packages:$missing"
    # The package lists of a fresh machine are empty or old: fetch them only when it does not go without.
    if ! log=$(install 2>&1); then
        log=$(apt-get update -qq </dev/null 2>&1 && install 2>&1) || printf '%s\n' "$log" >&2
    fi
    look
    [ -n "$missing" ] || exit 0
fi

echo "System packages that are missing:$missing" >&2
if is_debian; then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo "
    echo "Install them with:  ${sudo}apt-get install -y --no-install-recommends$missing" >&2
else
    echo "Install them with:  sudo dnf install$missing   (Fedora's names; other systems have similar ones)" >&2
fi
if [ -n "$blocking" ]; then
    echo "and try again. It does not work without:$blocking" >&2
    exit 1
fi
echo "Going on without them." >&2
