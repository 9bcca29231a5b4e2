# shellcheck shell=bash
# ./dev up, down, token and url: the private server.

cmd_up() {
    local page
    stack_open
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}"
    node_install
    run_open
    say "Building (log: $DIR/log/build.log)"
    logged build build up
    logged install build_install up
    # In the background, so that a failure (npm's registry may be unreachable) does not end this shell.
    logged page page_build &
    wait $! || { page="(not built)" && say "The demo page was not built; everything else works without it."; }
    say "Starting database, worker pool and nginx (logs: $RUN/log)"
    logged start stack_start
    say
    example
    page=${page-http://127.0.0.1:$(cat "$RUN/port-plain")/}
    cat <<END
Demo page, a phone and a laptop side by side: $page
Server: $(url)   (self-signed certificate: $RUN/tls/cert.pem)

  TOKEN=\$(./dev token alice)
  curl -k -H "Authorization: Bearer \$TOKEN" $(url)/sync/status
  curl -k -H "Authorization: Bearer \$TOKEN" "$(url)/sync/changes?since=2020-01-01T00:00:00Z"
  curl -k -H "Authorization: Bearer \$TOKEN" -d '{"force": true}' $(url)/sync/full

  ./dev up       again after a change: builds and restarts what changed
  ./dev check    runs all tests, with a server of their own
  ./dev down     stops the server; --purge also removes its state
END
}

cmd_down() {
    [[ $# -eq 0 || $* == --purge ]] || usage_error down
    cd /
    if [[ -d $DIR ]]; then
        stack_open
        stack_stop
        say "Stopped."
    else
        say "There is nothing to stop in $STATE."
    fi
    [[ ${1:-} == --purge ]] || return 0
    stack_purge
    rm -rf "$DIR"
    down_others
    rmdir "$STATE" 2>/dev/null || true
    say "Removed the state in $STATE."
}

# Removes what the tests and the benchmark left, unless they are running. The inputs that `fuzz` found are kept.
down_others() {
    local stack
    for stack in check torture bench; do
        stack_select $stack
        if [[ -d $DIR ]] && exec 9>"$DIR/lock" && flock -n 9; then
            stack_stop
            stack_purge
            rm -rf "$DIR"
        fi
    done
}

cmd_token() {
    [[ $# -eq 1 && -n $1 ]] || usage_error token
    stack_must_exist
    token_mint "$1"
}

cmd_url() {
    stack_must_exist
    url
}
