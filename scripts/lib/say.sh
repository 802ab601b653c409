# How set-up scripts speak: every long step says what it does, shows that it goes on, and ends with its time.
# Source it; POSIX sh.

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE...: one line that says what to do, and exit 1.
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step TITLE COMMAND...: runs COMMAND with its output in a log; shows the log's last line while it runs on a terminal, its tail when it fails.
step() {
    step_title=$1
    shift
    step_log=$(mktemp)
    step_began=$(date +%s)
    [ -t 2 ] || say "$step_title ..."
    # In the background also where nobody looks: only there `set -e` ends a function of several commands at the first that fails.
    "$@" >"$step_log" 2>&1 &
    step_process=$!
    trap 'kill "$step_process" 2>/dev/null; exit 130' INT
    while [ -t 2 ] && kill -0 "$step_process" 2>/dev/null; do
        printf '\r\033[K%s  %s s  %s' "$step_title" "$(($(date +%s) - step_began))" "$(tail -n 1 "$step_log" | cut -c 1-60)" >&2
        sleep 1
    done
    step_status=0
    wait "$step_process" || step_status=$?
    trap - INT
    [ ! -t 2 ] || printf '\r\033[K' >&2
    if [ "$step_status" -ne 0 ]; then
        tail -n 20 "$step_log" >&2
        rm -f "$step_log"
        die "$step_title failed after $(($(date +%s) - step_began)) s; its last words are above"
    fi
    rm -f "$step_log"
    say "$step_title: done in $(($(date +%s) - step_began)) s"
}
