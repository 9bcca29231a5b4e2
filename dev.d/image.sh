# shellcheck shell=bash
# ./dev image: a container image (OCI) of the Debian package, without a registry: Debian by mmdebstrap, layers by umoci.
# At the end the image is tried: the pool and the push process run in containers of it, beside a PostgreSQL and an nginx
# of a stack, and a first write goes through them.

IMAGE_PACKAGES=(dpkg-dev debhelper mmdebstrap umoci runc jq docker-compose)
IMAGE_EXCLUDES=(doc man locale info lintian bash-completion) # below /usr/share

# Builds the Debian package of the checkout in DIR/package, with the files that git knows.
image_package() (
    set -e
    rm -rf "$DIR/package"
    mkdir -p "$DIR/package/src"
    git -C "$ROOT" ls-files -z --cached --others --exclude-standard |
        tar -C "$ROOT" --null --files-from=- -c | tar -x -C "$DIR/package/src"
    cd "$DIR/package/src"
    DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$JOBS" dpkg-buildpackage -b -us -uc
)

# The packages that the package in DIR/package depends on: of alternatives the standalone one, which needs no systemd.
image_depends() {
    dpkg-deb -f "$DIR"/package/booky-sync_*.deb Depends | tr ',' '\n' |
        sed -E 's/ *\([^)]*\)//g; s/^ +//; s/^.*\b(systemd-standalone-[a-z]+).*$/\1/; s/[ |].*$//' |
        sort -u | paste -sd,
}

# Makes the image oci:VERSION in DIR/oci. As root, so that the files in it belong to root.
image_build() { # image_build VERSION
    local image=$DIR/oci:$1 bundle=$DIR/bundle excluded=() name release
    release=$(sed -n "s/^VERSION_CODENAME=//p" /etc/os-release)
    for name in "${IMAGE_EXCLUDES[@]}"; do excluded+=("--dpkgopt=path-exclude=/usr/share/$name/*"); done
    rm -rf "$DIR/oci" "$bundle" "$DIR/rootfs.tar"
    mmdebstrap --variant=minbase "${excluded[@]}" --include="$(image_depends)" "$release" "$DIR/rootfs.tar"
    umoci init --layout "$DIR/oci"
    umoci new --image "$image"
    umoci unpack --image "$image" "$bundle"
    tar -x -C "$bundle/rootfs" --exclude='./dev/*' -f "$DIR/rootfs.tar"
    umoci repack --image "$image" --refresh-bundle --history.comment "Debian $release and the libraries" "$bundle"
    cp "$DIR"/package/booky-sync_*.deb "$bundle/rootfs/tmp/booky-sync.deb"
    chroot "$bundle/rootfs" env DEBIAN_FRONTEND=noninteractive dpkg -i /tmp/booky-sync.deb
    rm "$bundle/rootfs/tmp/booky-sync.deb"
    umoci repack --image "$image" --history.comment "booky-sync $1" "$bundle"
    umoci config --image "$image" --config.user booky-sync --config.entrypoint /usr/sbin/booky-sync \
        --config.cmd serve --config.stopsignal SIGTERM --config.workingdir / \
        --config.label org.opencontainers.image.title=booky-sync \
        --config.label "org.opencontainers.image.version=$1"
    umoci gc --layout "$DIR/oci"
    # The names under which Docker and Podman load it.
    jq --arg name "booky-sync:$1" '.manifests[0].annotations += { "org.opencontainers.image.ref.name": $name,
        "io.containerd.image.name": "docker.io/library/\($name)" }' "$DIR/oci/index.json" >"$DIR/index.json"
    mv "$DIR/index.json" "$DIR/oci/index.json"
    tar -c -C "$DIR/oci" -f "$DIR/booky-sync-$1.oci.tar" .
    rm -rf "$bundle" "$DIR/rootfs.tar"
}

# image_run NAME ARGUMENT...: runs booky-sync in a container of the image: its file system is read-only, it has no
# capabilities and no network, and it sees RUN. As ACCOUNT, to whom RUN belongs.
image_run() {
    local id=$1-$BASHPID bundle=$RUN/containers/$1 # so that pid_alive knows the process
    shift
    mkdir -p "$bundle"
    jq --arg run "$RUN" --arg root "$DIR/unpacked/rootfs" --argjson uid "$(id -u "$ACCOUNT")" \
        --argjson gid "$(id -g "$ACCOUNT")" '
        .root = { path: $root, readonly: true }
        | .process.terminal = false
        | .process.user = { uid: $uid, gid: $gid }
        | .process.args = [.process.args[0]] + $ARGS.positional
        | .process.noNewPrivileges = true
        | .process.capabilities = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] }
        | .mounts += [{ destination: $run, type: "bind", source: $run, options: ["rbind", "rw", "nosuid", "nodev"] }]
        ' --args -- "$@" <"$DIR/unpacked/config.json" >"$bundle/config.json"
    exec runc --root "$RUN/containers" run --bundle "$bundle" "$id"
}

# The functions of a stack, with the program in containers.
# shellcheck disable=SC2317
image_containers() {
    booky() { (image_run tool "$@"); }
    booky_start() { # booky_start NAME COMMAND
        (image_run "$1" "$2" --config "$RUN/booky-sync.conf") </dev/null >>"$RUN/log/$1.log" 2>&1 9>&- &
        say $! >"$RUN/pid/$1"
    }
}

# Starts everything, writes as one device, and reads as another that waits at a stream.
image_try() { # image_try VERSION
    local token reply stream
    local -a get=(curl -sS --cacert "$RUN/tls/cert.pem")
    rm -rf "$DIR/unpacked"
    umoci unpack --image "$DIR/oci:booky-sync:$1" "$DIR/unpacked"
    [[ $(jq .process.user.uid "$DIR/unpacked/config.json") != 0 ]] || die "the image runs as root"
    dpkg-deb -x "$DIR"/package/booky-sync_*.deb "$RUN/deb"
    mkdir -p "$RUN/inst/share/booky-sync/nginx"
    ln -sfn "$RUN/deb/etc/nginx/booky-sync" "$RUN/inst/share/booky-sync/nginx/booky-sync"
    image_containers
    [[ $(booky --version) == *"$1"* ]] || die "the image has another version: $(booky --version)"
    stack_start
    token=$(token_mint reader)
    get+=(-H "Authorization: Bearer $token")
    "${get[@]}" -N "$(url)/sync/events" >"$RUN/stream" &
    stream=$!
    sleep 1
    reply=$("${get[@]}" -H 'Content-Type: application/json' \
        -d '{"operations":[{"type":"create","entity":"book","entityId":"b1","data":{"title":"From a container"}}]}' \
        "$(url)/sync/operations")
    [[ $reply == *'"status":"success"'* ]] || die "the write was answered with $reply"
    reply=$("${get[@]}" "$(url)/sync/changes?since=0")
    [[ $reply == *'From a container'* ]] || die "the pull was answered with $reply"
    sleep 1
    kill "$stream"
    grep -q '^data:.*cursor' "$RUN/stream" || die "the stream had no event: $(cat "$RUN/stream")"
    booky status --config "$RUN/booky-sync.conf" >/dev/null
    booky purge --config "$RUN/booky-sync.conf"
    docker-compose -f "$ROOT/docs/examples/container/compose.yaml" config --quiet
}

image_stop() {
    stack_stop
    stack_purge
    rm -rf "$DIR/unpacked"
}

image_end() {
    local status=$?
    trap - EXIT
    cd /
    image_stop || true
    exit $status
}

cmd_image() {
    local version
    [[ $EUID -eq 0 ]] || die "an image holds files of several users: run it as root, with sudo $ROOT/dev image"
    stack_open
    trap image_end EXIT
    trap 'exit 130' INT TERM HUP PIPE
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${IMAGE_PACKAGES[@]}"
    image_stop # the leftovers of a killed run
    run_open
    say "Building the package"
    logged image-package image_package
    version=$(dpkg-deb -f "$DIR"/package/booky-sync_*.deb Version)
    say "Making the image"
    logged image-build image_build "$version"
    say "Trying it"
    logged image-try image_try "$version"
    say "The image: $DIR/booky-sync-$version.oci.tar ($(du -h "$DIR/booky-sync-$version.oci.tar" | cut -f1))"
    say "Load it with: docker load -i FILE, podman load -i FILE, or skopeo copy oci-archive:FILE …"
}
