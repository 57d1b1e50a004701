# shellcheck shell=bash
# Running and counting: used by tests/run, holds no stage.
#
# Words: a *stage* is a named function stage_NAME with one log; a *check* is one command that passes or fails; a
# *suite* is a command whose output says how many tests passed and failed.
# Everything a stage prints goes to its log; the terminal gets one line a check, and an excerpt on failure.

STAGE=
STAGE_LOG=/dev/null
# What the terminal shows of a failed stage: of each failed check or suite its last words.
EXCERPT=/dev/null
EXCERPT_LINES=60
STAGE_PASSED=0
STAGE_FAILED=0
TOTAL_PASSED=0
TOTAL_FAILED=0
STARTED_PIDS=()
SUMMARY=()

results_start() {
    # Descriptor 3 is the terminal; 1 and 2 go to the log while a stage runs.
    exec 3>&1
}

say() { printf '%s\n' "$*" >&3; }

# run_stage NAME
run_stage() {
    STAGE=$1
    STAGE_LOG=$LOGS/$STAGE.log
    STAGE_PASSED=0
    STAGE_FAILED=0
    local began=$SECONDS
    EXCERPT=$LOGS/$STAGE.excerpt
    : >"$STAGE_LOG"
    : >"$EXCERPT"
    say "== $STAGE"
    if ! "stage_$STAGE" >>"$STAGE_LOG" 2>&1; then
        # A stage returns an error when it could not run to its end; its failed checks are counted already.
        [ "$STAGE_FAILED" -gt 0 ] || count_failed "the stage could not run"
    fi
    [ $((STAGE_PASSED + STAGE_FAILED)) -gt 0 ] || count_failed "the stage ran no test"
    local took=$((SECONDS - began))
    if [ "$STAGE_FAILED" -gt 0 ]; then
        say "-- $STAGE failed; all of it is in ${STAGE_LOG#"$ROOT"/}:"
        [ -s "$EXCERPT" ] || tail -n "$EXCERPT_LINES" "$STAGE_LOG" >"$EXCERPT"
        sed 's/^/   | /' "$EXCERPT" >&3
    fi
    SUMMARY+=("$(printf '%-9s %5d passed %4d failed %5d s' "$STAGE" "$STAGE_PASSED" "$STAGE_FAILED" "$took")")
    TOTAL_PASSED=$((TOTAL_PASSED + STAGE_PASSED))
    TOTAL_FAILED=$((TOTAL_FAILED + STAGE_FAILED))
}

# results_close: the table, the closing line, the exit code.
results_close() {
    local line
    say ""
    for line in "${SUMMARY[@]}"; do say "$line"; done
    say "$TOTAL_PASSED passed, $TOTAL_FAILED failed"
    [ "$TOTAL_FAILED" -eq 0 ] || exit 1
    exit 0
}

count_failed() {
    STAGE_FAILED=$((STAGE_FAILED + 1))
    say "   FAILED $*"
    printf 'FAILED %s\n' "$*" >>"$STAGE_LOG"
}

count_passed() {
    STAGE_PASSED=$((STAGE_PASSED + 1))
    say "   ok     $*"
}

# note TEXT: something the reader should know that is neither passed nor failed.
note() {
    say "   note   $*"
    printf 'note: %s\n' "$*" >>"$STAGE_LOG"
}

# check NAME SECONDS COMMAND…: counts one.
check() {
    local name=$1 limit_s=$2
    shift 2
    local out=$LOGS/$STAGE.check code
    printf '\n$ %s\n' "$*"
    timeout --kill-after=10 "$limit_s" "$@" >"$out" 2>&1
    code=$?
    cat "$out"
    if [ "$code" -eq 0 ]; then
        count_passed "$name"
    else
        tail -n "$EXCERPT_LINES" "$out" >>"$EXCERPT"
        count_failed "$name$(reason_of "$code" "$limit_s")"
        return 1
    fi
}

# check_fails NAME SECONDS TEXT COMMAND…: counts one; passes when the command fails and says TEXT (a basic regex).
check_fails() {
    local name=$1 limit_s=$2 text=$3 out=$LOGS/$STAGE.negative
    shift 3
    printf '\n$ ! %s\n' "$*"
    if timeout --kill-after=10 "$limit_s" "$@" >"$out" 2>&1; then
        tee -a "$EXCERPT" <"$out"
        count_failed "$name: succeeded, but must not"
        return 1
    fi
    cat "$out"
    if grep -q -e "$text" "$out"; then
        count_passed "$name"
    else
        tail -n "$EXCERPT_LINES" "$out" >>"$EXCERPT"
        count_failed "$name: failed, but not with \"$text\""
        return 1
    fi
}

# suite NAME SECONDS COMMAND…: counts the tests that the command's own closing lines report.
suite() {
    local name=$1 limit_s=$2 out=$LOGS/$STAGE.suite code passed failed
    shift 2
    printf '\n$ %s\n' "$*"
    timeout --kill-after=10 "$limit_s" "$@" >"$out" 2>&1
    code=$?
    cat "$out"
    read -r passed failed < <(sum_results "$out")
    # A suite that died without saying which test failed is a failure all the same.
    if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
        printf 'FAILED %s%s\n' "$name" "$(reason_of "$code" "$limit_s")"
    fi
    STAGE_PASSED=$((STAGE_PASSED + passed))
    STAGE_FAILED=$((STAGE_FAILED + failed))
    if [ "$failed" -gt 0 ]; then
        failures_of "$out" >>"$EXCERPT"
        say "   FAILED $name: $passed passed, $failed failed$(reason_of "$code" "$limit_s")"
        grep -E "^(test [^ ]* \.\.\. FAILED|not ok )" "$out" | head -n 40 | sed "s/^/          /" >&3
        return 1
    fi
    say "   ok     $name: $passed passed"
}

# sum_results FILE: "PASSED FAILED", summed over the closing lines of cargo test and of Node's runner.
sum_results() {
    awk '
        /^test result: / {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) ~ /^passed/) passed += $i
                if ($(i + 1) ~ /^failed/) failed += $i
            }
        }
        /^(#|ℹ) pass [0-9]+$/ { passed += $3 }
        /^(#|ℹ) fail [0-9]+$/ { failed += $3 }
        /^(#|ℹ) cancelled [0-9]+$/ { failed += $3 }
        END { print passed + 0, failed + 0 }
    ' "$1"
}

# failures_of FILE: what a runner says about its failed tests; the end of the output where it says nothing.
failures_of() {
    local found
    # cargo test repeats the output of failed tests after "failures:", Node's runner below "not ok".
    found=$(awk '/^failures:$/ { on = 1 } /^test result:/ { on = 0 } /^not ok / { on = 40 } on; /^[^n]/ && on > 1 { on-- }' "$1")
    if [ -n "$found" ]; then head -n "$EXCERPT_LINES" <<<"$found"; else tail -n "$EXCERPT_LINES" "$1"; fi
}

reason_of() {
    if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        printf ' (stopped after %s s)' "$2"
    elif [ "$1" -ne 0 ]; then
        printf ' (exit code %s)' "$1"
    fi
}

# start_server LOG COMMAND…: in the background; its pid is in STARTED and it is ended with the run at the latest.
start_server() {
    local log=$1
    shift
    # Whoever waits for a line of it must not find one of the run before.
    : >"$log"
    "$@" >"$log" 2>&1 &
    STARTED=$!
    STARTED_PIDS+=("$STARTED")
}

# stop_server PID: asks, waits up to ten seconds, then insists. Only ever a pid that start_server gave.
stop_server() {
    local pid=$1 i
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((i = 0; i < 100; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

stop_started() {
    local pid
    for pid in ${STARTED_PIDS[@]+"${STARTED_PIDS[@]}"}; do stop_server "$pid"; done
    STARTED_PIDS=()
}

# wait_for_line FILE REGEX SECONDS PID: prints the first matching line; fails when the process ends or time is up.
wait_for_line() {
    local file=$1 regex=$2 limit_s=$3 pid=$4 i
    for ((i = 0; i < limit_s * 5; i++)); do
        grep -m1 -E -e "$regex" "$file" 2>/dev/null && return 0
        kill -0 "$pid" 2>/dev/null || { echo "the process ended before \"$regex\" appeared" >&2; return 1; }
        sleep 0.2
    done
    echo "no \"$regex\" within $limit_s s" >&2
    return 1
}
