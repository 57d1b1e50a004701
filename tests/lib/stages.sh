# shellcheck shell=bash
# What each stage does. Used by tests/run after results.sh and install.sh.
#
# One build serves all: `cargo build --workspace --all-targets` with the default features, and the test programs it
# names are run directly. Selecting packages with -p would resolve other features and compile the big dependencies again.

BUILT=no
BUILD_LIMIT_S=2400
SUITE_LIMIT_S=900
PROBE=$ROOT/tests/nostd-probe
FUZZ=$ROOT/tests/fuzz
QEMU_BOARD=$ROOT/firmware/boards/qemu-riscv32
FIELD_BOARD=$ROOT/firmware/boards/esp32c3
EMBEDDED_TARGET=riscv32imc-unknown-none-elf
# Bounds of the node's image, bytes: 215 thousandths of one of the two firmware slots of 1.5 MiB that an ESP32-C3's usual 4 MiB of flash
# have room for, and a quarter of its 400 KiB of RAM, which leaves room for a radio and the stack.
QEMU_FLASH_MAX=338165
QEMU_RAM_MAX=102400
# Bounds of the field board's image, bytes: six tenths of one of its two slots, and of RAM, in which some of the radio's code runs,
# what leaves 150 KiB to the stack.
FIELD_FLASH_MAX=943718
FIELD_RAM_MAX=163840
FIELD_FLASH_LEN=$((4 * 1024 * 1024))
# Bounds of the stack that the machine code could need at worst, bytes (tests/lib/stack_bound.py), and how many interrupts interrupt
# one another: the emulated chip's are all of one level, the field's brown-out goes before the rest. The field's bound is what its RAM
# leaves when the static part is as large as it may be.
QEMU_STACK_MAX=65536
FIELD_STACK_MAX=153600
FIELD_INTERRUPTS=2

# ---- the one build -------------------------------------------------------------------------------------------------

# need_build: all libraries, programs and tests; $LOGS/build.json names what was built, GIOT_BIN is the gateway.
need_build() {
    [ "$BUILT" = yes ] && return 0
    if [ "$BUILT" = failed ]; then
        count_failed "the workspace does not build (see above)"
        return 1
    fi
    need_rust && need_page || return 1
    BUILT=failed
    local json=$LOGS/build.json
    say "   build  cargo build --workspace --all-targets"
    if ! timeout --kill-after=10 "$BUILD_LIMIT_S" cargo build --workspace --all-targets --locked \
        --message-format=json-render-diagnostics >"$json"; then
        count_failed "the workspace does not build"
        return 1
    fi
    sed -n 's|.*"manifest_path":"\([^"]*\)/Cargo.toml".*"name":"\([^"]*\)","src_path".*"test":true},"features".*"executable":"\([^"]*\)".*|\1 \2 \3|p' \
        "$json" | sort -u >"$LOGS/programs"
    # The tests look for the program here.
    export GIOT_BIN=$TARGET/debug/giot
    BUILT=yes
}

# need_page: what gateway/build.rs needs to build the page.
need_page() {
    need_node || return 1
    [ -f "$ROOT/gateway/web/package-lock.json" ] || return 0
    need_npm_ci "$ROOT/gateway/web"
}

# run_programs FOLDER NAME-REGEX [ARGUMENT…]: the built test programs of the package in FOLDER, each in that folder.
run_programs() {
    local folder=$ROOT/$1 name_regex=$2 dir name path worst=0
    shift 2
    while read -r dir name path; do
        [[ $dir = "$folder" && $name =~ ^($name_regex)$ ]] || continue
        suite "${dir#"$ROOT"/} $name" "$SUITE_LIMIT_S" \
            env -C "$dir" CARGO_MANIFEST_DIR="$dir" "$path" "$@" || worst=1
    done <"$LOGS/programs"
    return "$worst"
}

# ---- quick checks --------------------------------------------------------------------------------------------------

stage_fmt() {
    need_rust || return 1
    check "workspace" 120 cargo fmt --all --check
    check "no_std probe" 60 cargo fmt --manifest-path "$PROBE/Cargo.toml" --check
    check "board qemu-riscv32" 60 cargo fmt --manifest-path "$QEMU_BOARD/Cargo.toml" --check
    check "board esp32c3" 60 cargo fmt --manifest-path "$FIELD_BOARD/Cargo.toml" --check
    # Not through cargo: the library there includes files of the workspace, which are checked above.
    check "fuzz targets" 60 rustfmt --check --edition 2024 "$FUZZ"/targets/*.rs
    local script
    for script in tests/run tests/lib/*.sh tests/lib/embedded-{rustc,clippy} .ci/run; do bash -n "$script" || count_failed "$script does not parse"; done
}

stage_deny() {
    need_rust && need_cargo_deny || return 1
    local what manifest
    for manifest in Cargo.toml firmware/boards/qemu-riscv32/Cargo.toml firmware/boards/esp32c3/Cargo.toml; do
        cargo fetch --locked --manifest-path "$manifest" || return 1
        for what in bans licenses sources; do
            check "$what of $manifest" 120 \
                "$CARGO_DENY" --manifest-path "$manifest" --offline --config .deny.toml check "$what"
        done
    done
    # The database of advisories comes from outside the package registries: without it nothing is proved.
    if timeout 120 "$CARGO_DENY" --config .deny.toml fetch db; then
        check "advisories" 120 "$CARGO_DENY" --config .deny.toml check advisories
    else
        note "advisories NOT checked: the advisory database cannot be fetched from here"
    fi
}

stage_clippy() {
    need_rust && need_page || return 1
    check "all targets, warnings are errors" "$BUILD_LIMIT_S" \
        cargo clippy --workspace --all-targets --locked -- -D warnings
    check "a gateway without the page compiles" "$BUILD_LIMIT_S" \
        cargo check --workspace --all-targets --no-default-features --locked
    need_embedded || return 1
    local clippy
    clippy=$("$ROOT/tests/lib/embedded-clippy" "$EMBEDDED_RUSTC") || { count_failed "no clippy for $EMBEDDED_TARGET"; return 1; }
    # With the dependencies as the images have them, which are compiled once.
    lint_board "$clippy" "$QEMU_BOARD" "$TARGET/qemu-riscv32" --features fault-injection
    lint_board "$clippy" "$FIELD_BOARD" "$TARGET/esp32c3"
}

# lint_board CLIPPY BOARD TARGET-FOLDER [ARGUMENT…]: clippy's own lints and those of the workspace on a board, but for three: a board
# that lacks a device has nothing to go on with, a panic on it closes the valves, and its one great future is the node.
lint_board() {
    local clippy=$1 board=$2 target=$3 args
    shift 3
    args=$(sed -n '/^\[workspace.lints.clippy\]/,/^$/s/^\([a-z_]*\) = .*/-Wclippy::\1/p' "$ROOT/Cargo.toml" |
        grep -vxE -- '-Wclippy::(expect_used|panic|large_futures)')
    [ -n "$args" ] || { count_failed "no lints in Cargo.toml"; return 1; }
    # Clippy takes its arguments from here, each with this word behind it.
    args=$(printf '%s__CLIPPY_HACKERY__' $args -Dwarnings)
    check "lints of $(basename "$board")" "$BUILD_LIMIT_S" env -C "$board" RUSTC="$EMBEDDED_RUSTC" \
        RUSTC_WORKSPACE_WRAPPER="$clippy" CLIPPY_ARGS="$args" CARGO_TARGET_DIR="$target" cargo build --release --locked "$@"
}

stage_web() {
    need_page || return 1
    local web=$ROOT/gateway/web
    check "types and accessibility hints" 300 npm --prefix "$web" run check
    # Not into dist/: the program would be compiled again for a page that did not change.
    check "build" 300 npm --prefix "$web" run build -- --outDir "$TARGET/page" --emptyOutDir
    suite "page tests" 300 npm --prefix "$web" test
}

stage_tidy() {
    need_build || return 1
    run_programs tests tidy
}

# ---- cores ---------------------------------------------------------------------------------------------------------

stage_unit() {
    need_build || return 1
    run_programs shared '.*'
    run_programs gateway '.*'
    run_programs tests giot_tests --skip fuzz::
}

stage_engine() {
    need_build || return 1
    run_programs gateway/engine '.*'
}

stage_firmware() {
    need_build || return 1
    run_programs firmware '.*'
    run_programs firmware/boards/host '.*'
}

stage_nostd() {
    need_rust || return 1
    need_command ld binutils || return 1
    local target=$TARGET/nostd-probe
    local build=(env CARGO_TARGET_DIR="$target" cargo build --locked --manifest-path "$PROBE/Cargo.toml")
    check "builds without std and without a heap" 900 "${build[@]}" || return 1
    local link=("$PROBE/link" "$target/debug/libgiot_nostd_probe.a")
    check "links: only memory intrinsics and the board's contracts are missing" 60 "${link[@]}" "$target/probe.elf" &&
        size "$target/probe.elf"
    check_fails "the proof notices std" 900 'duplicate lang item' "${build[@]}" --features leak_std
    check_fails "the proof notices a heap" 900 'no global memory allocator' "${build[@]}" --features leak_alloc
    check "builds with a call into the C library" 900 "${build[@]}" --features leak_libc &&
        check_fails "the proof notices that call" 60 'undefined reference' "${link[@]}" "$target/leaky.elf"
}

stage_store() {
    need_build || return 1
    run_programs gateway/store '.*'
}

# ---- bytes from outside --------------------------------------------------------------------------------------------

stage_fuzz() {
    need_build || return 1
    run_programs tests giot_tests fuzz::
    # libFuzzer is C++.
    need_command c++ g++ || return 1
    local name seconds=${GIOT_FUZZ_S:-10} target=$TARGET/fuzz triple
    triple=$(rustc -vV | sed -n 's/^host: //p')
    # Run inside the folder for its .cargo/config.toml; a named target keeps the coverage counters out of build scripts.
    check "the fuzz targets build" 1200 \
        env -C "$FUZZ" CARGO_TARGET_DIR="$target" cargo build --release --locked --target "$triple" || return 1
    while read -r name; do
        mkdir -p "$target/found/$name" "$FUZZ/corpus/$name"
        # New inputs go to the first folder, under target/; the committed corpus is only read.
        check "libFuzzer $name, $seconds s" $((seconds + 120)) "$target/$triple/release/$name" \
            -max_total_time="$seconds" -max_len=2048 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
            -artifact_prefix="$target/found/$name-" "$target/found/$name" "$FUZZ/corpus/$name"
    done < <(sed -n 's/^name = "\(.*\)"$/\1/p' "$FUZZ/Cargo.toml" | grep -v '^giot-')
}

# ---- the whole -----------------------------------------------------------------------------------------------------

stage_it() {
    need_mosquitto && need_command sqlite3 sqlite3 && need_command unshare util-linux && need_python && need_build || return 1
    run_programs tests it --skip qemu:: --skip sinks::
}

stage_sink() {
    need_mosquitto && need_tsdb && need_command openssl openssl && need_command python3 python3 && need_build || return 1
    run_programs tests it sinks::
}

# ---- the node on a chip --------------------------------------------------------------------------------------------

# need_embedded: the compiler of the boards in EMBEDDED_RUSTC.
need_embedded() {
    need_rust && need_command size binutils || return 1
    EMBEDDED_RUSTC=$("$ROOT/tests/lib/embedded-rustc" "$EMBEDDED_TARGET" "$TARGET/embedded") && return 0
    count_failed "no compiler for $EMBEDDED_TARGET: run \`rustup target add $EMBEDDED_TARGET\`"
    return 1
}

# build_image BOARD NAME [ARGUMENT…]: a board's image at $IMAGES/NAME. Cargo finds the target in the board's folder.
build_image() {
    local board=$1 name=$2
    shift 2
    check "the image $name builds" 1200 env -C "$board" RUSTC="$EMBEDDED_RUSTC" CARGO_TARGET_DIR="$IMAGES" \
        cargo build --release --locked "$@" || return 1
    cp "$IMAGES/$EMBEDDED_TARGET/release/node" "$IMAGES/$name"
}

# check_size ELF FLASH-MAX RAM-MAX
check_size() {
    local sizes
    if sizes=$(sizes_within "$@"); then
        count_passed "size of the image: ${sizes##*$'\n'}"
    else
        count_failed "the image outgrows its bounds: ${sizes##*$'\n'}"
    fi
    echo "$sizes"
}

# sizes_within ELF FLASH-MAX RAM-MAX: prints what the image takes of either; fails beyond the bounds.
sizes_within() {
    size -A "$1" | awk -v flash_max="$2" -v ram_max="$3" '
        $1 ~ /^\.(trap|rwtext|text|rodata|data|bss)(\.wifi)?$/ { print; size[$1] += $2 }
        END {
            for (name in size) {
                if (name !~ /^\.bss/) flash += size[name]
                if (name !~ /^\.(text|rodata)/) ram += size[name]
            }
            printf "flash %d of %d bytes, static RAM %d of %d bytes\n", flash, flash_max, ram, ram_max
            exit !(flash > 0 && flash <= flash_max && ram <= ram_max)
        }'
}

# check_stack ELF MAX INTERRUPTS [SEEN]
check_stack() {
    need_command riscv64-unknown-elf-objdump binutils-riscv64-unknown-elf && need_command python3 python3 || return 1
    local said
    if said=$("$ROOT/tests/lib/stack_bound.py" "$1" --max "$2" --interrupts "$3" --measured "${4:-0}"); then
        count_passed "${said##*$'\n'}"
    else
        count_failed "the stack has no such bound: ${said##*$'\n'}"
    fi
    echo "$said"
}

stage_qemu() {
    need_command qemu-system-riscv32 qemu-system-misc && need_command faketime faketime && need_embedded || return 1
    IMAGES=$TARGET/qemu-riscv32
    build_image "$QEMU_BOARD" node-faults --features fault-injection && build_image "$QEMU_BOARD" node || return 1
    check_size "$IMAGES/node" "$QEMU_FLASH_MAX" "$QEMU_RAM_MAX"
    need_build || return 1
    rm -f "$LOGS/qemu-figures"
    # A node takes a twentieth of a core and mostly waits.
    GIOT_QEMU_IMAGES=$IMAGES GIOT_QEMU_FIGURES=$LOGS/qemu-figures run_programs tests it qemu:: --test-threads=4
    local code=$?
    [ -f "$LOGS/qemu-figures" ] && say "   $(cat "$LOGS/qemu-figures")"
    # What was seen proves the method that the field's image is judged by.
    check_stack "$IMAGES/node" "$QEMU_STACK_MAX" 1 "$(sed -n 's/^peak stack \([0-9]*\) .*/\1/p' "$LOGS/qemu-figures")"
    return "$code"
}

# partitions_fit CSV FLASH-LENGTH IMAGE-LENGTH: the table is in order, aligned and inside the flash, and each of its two
# firmware slots takes the image.
partitions_fit() {
    local name type subtype offset len align end=$((0x9000)) n_slots=0
    while IFS=$', \t' read -r name type subtype offset len; do
        [[ -z $name || $name = '#'* ]] && continue
        align=$((0x1000))
        [ "$type" = app ] && align=$((0x10000))
        printf '%-13s %-5s %-6s %8d + %8d\n' "$name" "$type" "$subtype" "$((offset))" "$((len))"
        if ((offset % align || len % 0x1000 || len == 0 || offset < end)); then
            echo "$name is not aligned, or overlaps what is before it"
            return 1
        fi
        end=$((offset + len))
        [ "$type" = app ] || continue
        n_slots=$((n_slots + 1))
        ((len >= $3)) || { echo "$name is too small for an image of $3 bytes"; return 1; }
    done <"$1"
    ((end <= $2)) || { echo "the table ends at $end, beyond the flash of $2 bytes"; return 1; }
    ((n_slots == 2)) || { echo "$n_slots firmware slots instead of two"; return 1; }
}

# The image for chips that people buy. No machine here runs it: it builds, links, fits and is well-formed.
stage_boards() {
    need_embedded && need_esptool || return 1
    IMAGES=$TARGET/esp32c3
    build_image "$FIELD_BOARD" node || return 1
    check_size "$IMAGES/node" "$FIELD_FLASH_MAX" "$FIELD_RAM_MAX"
    check_stack "$IMAGES/node" "$FIELD_STACK_MAX" "$FIELD_INTERRUPTS"
    local image=$IMAGES/node.bin
    check "the image for the bootloader is made" 60 \
        "$ESPTOOL" --chip esp32c3 elf2image --flash-size 4MB --output "$image" "$IMAGES/node" || return 1
    # Of its checksum and its hash.
    check "it is well-formed" 60 bash -c "
        '$ESPTOOL' --chip esp32c3 image-info '$image' | tee /dev/stderr | grep -c '(valid)' | grep -qx 2"
    if partitions_fit "$FIELD_BOARD/partitions.csv" "$FIELD_FLASH_LEN" "$(stat -c %s "$image")"; then
        count_passed "either firmware slot takes its $(stat -c %s "$image") bytes"
    else
        count_failed "the partition table does not carry the image"
    fi
}

# start_giot NAME ARGUMENT…: the built program on free ports in a fresh data folder; HTTP, MQTT, DATA, GIOT_PID.
start_giot() {
    local name=$1 line
    shift
    DATA=$LOGS/$STAGE-data
    rm -rf "$DATA"
    start_server "$LOGS/$STAGE-giot.log" "$GIOT_BIN" "$name" --data "$DATA" --http 127.0.0.1:0 --mqtt 127.0.0.1:0 "$@"
    GIOT_PID=$STARTED
    if ! line=$(wait_for_line "$LOGS/$STAGE-giot.log" '^ready http=' 120 "$GIOT_PID"); then
        cat "$LOGS/$STAGE-giot.log"
        count_failed "giot $name did not become ready"
        return 1
    fi
    read -r HTTP MQTT < <(sed 's|.*http=\(http://\)\?\([^ /]*\).*mqtt=\(mqtt://\)\?\([^ /]*\).*|\2 \4|' <<<"$line")
}

stage_browser() {
    need_chromium && need_npm_ci "$ROOT/tests/browser" && need_build || return 1
    start_giot demo || return 1
    GIOT_URL=http://$HTTP suite "the page in Chromium" 600 \
        env -C "$ROOT/tests/browser" node --test --test-reporter=tap --test-concurrency=1
    local code=$?
    tail -n 40 "$LOGS/$STAGE-giot.log"
    stop_server "$GIOT_PID"
    return "$code"
}

# Throughput is measured by hand (README); here only that a burst is stored whole.
stage_bench() {
    need_mosquitto && need_build || return 1
    start_giot serve --anonymous || return 1
    local n_messages=5000 burst=$LOGS/$STAGE-burst
    # One JSON object a line, one second apart, from a fixed moment.
    seq 1 "$n_messages" | awk '{ printf "{\"n\":%d,\"ts\":%.0f}\n", $1, 1750000000000 + $1 * 1000 }' >"$burst"
    check "a burst of $n_messages messages is acknowledged" 120 bash -c "
        mosquitto_pub -h '${MQTT%:*}' -p '${MQTT##*:}' -q 1 -t giot/v1/smoke/json -l <'$burst'"
    check "what was acknowledged is in the store, once" 120 bash -c "
        '$GIOT_BIN' export --data '$DATA' --device smoke --metric n | tail -n +2 | cut -d, -f2 | sort -n |
            awk '\$1 != NR { exit 1 } END { exit NR != $n_messages }'"
    stop_server "$GIOT_PID"
}

# ---- words ---------------------------------------------------------------------------------------------------------

stage_doc() {
    need_rust && need_page || return 1
    RUSTDOCFLAGS="-D warnings" check "the documentation builds without warnings" "$BUILD_LIMIT_S" \
        cargo doc --workspace --no-deps --locked
    suite "examples in the documentation" "$SUITE_LIMIT_S" cargo test --workspace --doc --locked
}
