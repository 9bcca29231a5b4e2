# shellcheck shell=bash
# Steps of `check` that look at the sources without building them, and the symbols of the engine.

MAX_COLUMNS=120
MAX_LINES=400

# sources [FIND_EXPRESSION...]: the files of the tree, relative to ROOT, except hidden and generated ones.
sources() {
    cd "$ROOT"
    find . \( -path './.?*' -o -path './build*' -o -path './autom4te.cache' -o -path "./${STATE#"$ROOT"/}" \
        -o -name node_modules -o -path ./client/dist -o -path ./client/examples/library/dist -o -path ./docs/html \) \
        -prune -o -type f \
        ! -path ./configure ! -path ./configure~ ! -path ./Makefile.in ! -path ./aclocal.m4 "$@" -printf '%P\n' | sort
}

check_shell() { # with -a, also the files that these source
    cd "$ROOT"
    shellcheck -x -a dev tests/package.sh .ci/run completions/booky-sync debian/booky-sync.postrm systemd/backup.sh
}

check_manual() { mandoc -Tlint -W warning "$ROOT"/docs/man/*.[58]; }

check_lists() { # the makefiles name every source file
    local file unlisted=0
    cd "$ROOT"
    for file in dev.d/* lib/*/*.[ch] fcgi-app/*/*.[ch] migrations/*.sql nginx/*.conf nginx/*/*.conf systemd/*.* \
        docs/*.* docs/site/*.* docs/man/* docs/examples/* docs/examples/scale/* monitoring/*.* client/*.* \
        client/src/*.ts client/demo/*.* client/examples/library/{,src/}*.* client/test/{,server/}*.mjs tests/*.sh \
        tests/*.mjs tests/package/* tests/{unit,db,fuzz,memory}/*.[ch] \
        tests/bench/*.* tests/bench/peer/*.* tests/contract/*.* tests/clients/*.* tests/e2e/*.* \
        tests/e2e/restart/*.*; do
        [[ ! -f $file || $file == *.mk ]] || grep -qF "${file%.in}" ./*/local.mk ||
            { say "$file is in no local.mk" && unlisted=1; }
    done
    return $unlisted
}

check_layout() {
    local -a files
    mapfile -t files < <(sources -name '*.[ch]')
    cd "$ROOT"
    "$CLANG_FORMAT" --dry-run -Werror "${files[@]}"
}

check_length() {
    local -a files
    local failed=0
    mapfile -t files < <(sources -regex '.*\.\(c\|h\|sh\|awk\|mjs\|js\|tsx?\|css\|html\)')
    cd "$ROOT"
    files+=(dev .ci/run)
    if grep -anHE "^.{$((MAX_COLUMNS + 1))}" "${files[@]}"; then
        say "The lines above have more than $MAX_COLUMNS columns."
        failed=1
    fi
    wc -l "${files[@]}" | awk -v limit=$MAX_LINES \
        '$2 != "total" && $1 > limit { print $2 ": " $1 " lines, the limit is " limit; bad = 1 } END { exit bad }' ||
        failed=1
    return $failed
}

# No include goes up a floor or round in a circle. The folders of lib/ and then those of fcgi-app/, from low to high:
FLOORS="base token engine store sync http serve push cmd"

check_includes() {
    cd "$ROOT"
    grep -rnE --include='*.[ch]' '^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*["<]' lib fcgi-app |
        awk -v floors="$FLOORS" -f dev.d/includes.awk
}

# docs/architecture.dot against the tree, and architecture.svg against it.
check_drawing() {
    local from to failed=0
    cd "$ROOT"
    diff <(grep -oE '^ +"(lib|fcgi-app)/[a-z]+" \[' docs/architecture.dot | tr -d ' "[' | sort) \
        <(printf '%s\n' lib/*/ fcgi-app/*/ | sed 's,/$,,' | sort) ||
        { say "The boxes of docs/architecture.dot (<) are not the folders (>)." && failed=1; }
    while read -r from to; do
        grep -qE "#include \"${to#*/}/" "$from"/*.[ch] ||
            { say "docs/architecture.dot: $from includes nothing of $to" && failed=1; }
    done < <(sed 's/\[.*//' docs/architecture.dot |
        awk -F'"' '/^ +"[^"]+" -> "/ { for (i = 2; i + 2 < NF; i += 2) print $i, $(i + 2) }')
    diff <(drawn <docs/architecture.svg) <(dot -Tsvg docs/architecture.dot | drawn) ||
        { say "docs/architecture.svg is old: the first line of architecture.dot says how to make it." && failed=1; }
    return $failed
}

drawn() { grep -oE '<(title|text)[^>]*>[^<]*' | sed 's/<[^>]*>//' | sort; } # texts, boxes and arrows of an SVG

# check_engine BUILD: the objects of lib/engine use no symbol of libpq and none of store/db.
check_engine() {
    local source name symbol failed=0
    local -a objects
    build_enter "$1"
    for source in "$ROOT"/lib/engine/*.c; do
        name=$(basename "$source" .c)
        # An object has the name of its library in front if the library has flags of its own.
        mapfile -t objects < <(compgen -G "lib/engine/$name.o" || compgen -G "lib/engine/lib*-$name.o")
        ((${#objects[@]} > 0)) || { say "lib/engine/$name.c has no object" && failed=1 && continue; }
        while read -r symbol; do
            grep -m 1 -nw "$symbol" "$source" | sed "s|^|lib/engine/$name.c:|" || say "lib/engine/$name.c: $symbol"
            failed=1
        done < <(nm -u "${objects[@]}" | awk '$2 ~ /^(PQ|db_)/ { print $2 }')
    done
    return $failed
}
