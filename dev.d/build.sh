# shellcheck shell=bash
# Builds out of the source tree: DIR/build-NAME, and DIR/npm/FOLDER for npm packages.

JOBS=$(nproc)
TARGETS=(all) # what build makes; a caller may have a local one

# build NAME CONFIGURE_ARGUMENT...: makes TARGETS in DIR/build-NAME.
build() {
    local dir=$DIR/build-$1
    shift
    [[ ! -e $ROOT/config.status ]] || die "the checkout is configured in place; run make distclean in it first"
    configure_make
    # Of another checkout, or with other arguments: its objects would count as current.
    [[ $(cat "$dir/dev-arguments" 2>/dev/null) == "$ROOT $*" ]] || rm -rf "$dir"
    mkdir -p "$dir"
    cd "$dir"
    if [[ ! -f dev-arguments ]]; then
        "$ROOT/configure" --quiet --prefix="$RUN/inst" --sysconfdir="$RUN/etc" "$@"
        printf '%s' "$ROOT $*" >dev-arguments
    fi
    make --no-print-directory -j"$JOBS" "${TARGETS[@]}"
}

# Runs autoreconf if configure is missing or older than its sources. The lock is for `up` and `check` when they build
# the same checkout at the same time.
configure_make() {
    (
        flock 8
        cd "$ROOT"
        [[ -f configure && -f Makefile.in &&
            -z $(find configure.ac Makefile.am m4 ./*/local.mk -newer configure) ]] ||
            { autoreconf --install && touch configure; }
    ) 8<"$ROOT/configure.ac"
}

build_install() { # build_install NAME: into RUN/inst
    make --no-print-directory -C "$DIR/build-$1" install
}

# npm_install FOLDER: makes DIR/npm/FOLDER/node_modules what FOLDER/package-lock.json says. npm's cache is in DIR too.
npm_install() {
    local dir=$DIR/npm/$1 lock
    mkdir -p "$dir"
    cp "$ROOT/$1"/{package.json,package-lock.json,.npmrc} "$dir"
    lock=$(sha256sum <"$dir/package-lock.json")
    if [[ $lock == "$(cat "$dir/installed" 2>/dev/null)" ]]; then return; fi
    rm -f "$dir/installed"
    (cd "$dir" && npm ci --cache "$DIR/npm/cache" --no-update-notifier --fetch-retry-mintimeout 1000)
    say "$lock" >"$dir/installed"
}
