# shellcheck shell=bash
# A step of `check`: the tour in README.md names every file of the tree, and none that does not exist.
#
# The form of the tour, the section "## A tour of the sources":
# - A paragraph that begins with ** sets the folders of the tables after it: its words that end in a slash, for example
#   "**The heart.** `lib/engine/`: pure". Without such a word it is the root.
# - The first cell of a table row holds names, separated by commas: merge.c, kind_*.c. A name with a slash starts at the
#   root; a name that ends in a slash is a folder and stands for all that is in it.
# - In lib/ and fcgi-app/ each .c is named, or matched by a pattern; a folder does not stand for it. A .h is named only
#   if there is no .c of its name.
# - The target of a link anywhere in README.md counts as a name.
# - Other words that end in .c, .h, .sh, .mjs, .ts or the like must be the end of the path of a file.
# Hidden files in the root and README.md itself need no name.

check_tour() {
    local failed=0
    local -a files
    local -A named=()
    mapfile -t files < <(sources)
    cd "$ROOT"
    tour_read || failed=1
    tour_words || failed=1
    tour_missing || failed=1
    return $failed
}

tour() { # the section, each line with its number in front
    awk '/^## / { inside = /^## A tour of the sources/ } inside { print NR ":" $0 }' README.md
}

# Prints LINE NAME FOLDER... for each name in the first cells, and LINE NAME for each link.
tour_names() {
    tour | awk -F'|' '
        { line = $0; sub(/:.*/, "", line); sub(/^[0-9]+:/, "") }
        /^\*\*/ {
            folders = ""
            count = split($0, word, /[^A-Za-z0-9_.\/-]+/)
            for (i = 1; i <= count; i++) if (word[i] ~ /.\/$/) folders = folders " " word[i]
        }
        /^\|/ && $2 !~ /^ *(-+|files?|folders?) *$/ {
            gsub(/\]\([^)]*\)|[][`]/, "", $2)
            count = split($2, name, /[ ,]+/)
            for (i = 1; i <= count; i++) {
                if (name[i] != "") print line, name[i] (name[i] ~ /\// ? "" : folders)
            }
        }'
    grep -noE '\]\([^):#]+' README.md | sed -E 's/:\]\(/ /'
}

tour_read() { # fills `named`
    local line name folders folder path found failed=0
    while read -r line name folders; do
        found=no
        for folder in ${folders:-./}; do
            while read -r path; do
                [[ $name != */ || -d $path ]] || continue
                named[${path#./}]=1
                found=yes
            done < <(compgen -G "$folder$name")
        done
        [[ $found == yes ]] || { say "README.md:$line: $name does not exist${folders:+ in $folders}" && failed=1; }
    done < <(tour_names)
    return $failed
}

tour_words() { # words outside of the first cells that look like the name of a file
    local line word pattern list failed=0
    list=$(printf '%s\n' "${files[@]}")
    while read -r line word; do
        pattern=${word//./\\.}
        grep -qE "(^|/)${pattern//\*/[^/]*}\$" <<<"$list" ||
            { say "README.md:$line: there is no file $word" && failed=1; }
    done < <(tour | awk '
        {
            line = $0; sub(/:.*/, "", line); sub(/^[0-9]+:(\|[^|]*\|)?/, "")
            count = split($0, word, /[^A-Za-z0-9_.*\/-]+/)
            for (i = 1; i <= count; i++) {
                sub(/\.$/, "", word[i])
                if (word[i] ~ /[A-Za-z0-9_*]\.(c|h|sh|awk|mjs|ts|css|lua|sql|json|yaml|md|mk)$/) print line, word[i]
            }
        }')
    return $failed
}

tour_missing() { # files that have no name
    local file failed=0
    for file in "${files[@]}"; do
        case $file in
            README.md) continue ;;
            lib/*.h | fcgi-app/*.h) [[ ! -f ${file%.h}.c ]] || continue ;;
        esac
        tour_has "$file" || { say "README.md: the tour does not name $file" && failed=1; }
    done
    return $failed
}

tour_has() { # whether the file or a folder that holds it is named
    local path=$1
    [[ -z ${named[$path]:-} ]] || return 0
    [[ $path != @(lib|fcgi-app)/*.[ch] ]] || return 1
    while [[ $path == */* ]]; do
        path=${path%/*}
        [[ -z ${named[$path/]:-} ]] || return 0
    done
    return 1
}
