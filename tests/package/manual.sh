# shellcheck shell=bash
# The command blocks of docs/operations.md, for the stages of tests/package.sh. A block that begins with ```sh is
# executed; one that begins with ```sh example is not. The first block defines variables and functions for the others.

MANUAL=/package/manual # N.sh: block N; headings: "N<tab>heading" of each; done: the numbers of those that were executed

manual_split() {
    mkdir "$MANUAL"
    awk -v dir="$MANUAL" '
        inside && /^ *```$/ { inside = 0; next }
        inside && file { sub("^" indent, ""); print >file }
        inside { next }
        /^#+ / { heading = $0; sub(/^#+ /, "", heading) }
        /^ *```/ {
            inside = 1
            file = ""
            indent = $0
            sub(/`.*/, "", indent)
            if ($0 !~ /```sh$/) next
            file = dir "/" ++n ".sh"
            print n "\t" heading >(dir "/headings")
        }' /package/operations.md
}

# manual HEADING [FUNCTION...]: executes the blocks directly below the heading, each as a case of its own, in a shell
# that has the given functions. It stops at the first command that fails.
manual() {
    local heading=$1 number
    local -a numbers
    mapfile -t numbers < <(awk -F '\t' -v heading="$heading" '$2 == heading { print $1 }' "$MANUAL/headings")
    ((${#numbers[@]} > 0)) || die "the manual has no commands below \"$heading\""
    for number in "${numbers[@]}"; do
        expect "manual: $heading, block $number" manual_block "$number" "${@:2}"
    done
}

# manual_block NUMBER [FUNCTION...]: fails if a command of the block fails.
manual_block() {
    local number=$1
    shift
    say "$number" >>"$MANUAL/done"
    { (($# == 0)) || declare -f "$@"; cat "$MANUAL/1.sh" "$MANUAL/$number.sh"; } >"$MANUAL/running.sh"
    sed -i "s/^V=15 /V=$POSTGRESQL /" "$MANUAL/running.sh"
    bash -eu "$MANUAL/running.sh"
}

# manual_number HEADING [N]: the number of the Nth block below the heading.
manual_number() {
    awk -F '\t' -v heading="$1" -v n="${2:-1}" '$2 == heading && ++i == n { print $1 }' "$MANUAL/headings"
}

manual_complete() { # every block was executed, except the first one, which all others contain
    local left
    left=$(awk -F '\t' 'NR == FNR { done[$1]; next } $1 > 1 && !($1 in done)' "$MANUAL/done" "$MANUAL/headings")
    is "$left" ""
}
