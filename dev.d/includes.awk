# Reads the lines FILE:LINE:#include… of lib/ and fcgi-app/, and prints those that break the order of the floors.
# `floors` lists the folders from low to high. A module is x.c and x.h; modules of one floor must not include each other
# in a circle.

BEGIN {
    count = split(floors, list, " ")
    for (i = 1; i <= count; i++) rank[list[i]] = i
}

{
    match($0, /^[^:]*:[0-9]+:/)
    line = substr($0, 1, RLENGTH) " " substr($0, RLENGTH + 1)
    split($0, part, /[:"<>]/)
    from = module(part[1])
    to = part[4]
}

!(floor(from) in rank) {
    report("the folder is not in the list of floors")
    next
}

/</ {
    if (to == "libpq-fe.h" && rank[floor(from)] < rank["store"]) report("libpq, below store/")
    next
}

!(floor(to) in rank) {
    report("the include does not name its floor")
    next
}

rank[floor(to)] > rank[floor(from)] {
    report("goes up from " floor(from) "/ to " floor(to) "/")
    next
}

floor(to) == floor(from) {
    to = module("/" to)
    if (from == to || (from, to) in includes) next
    includes[from, to] = line
    uses[from] = uses[from] " " to
}

END {
    for (name in uses) if (!(name in state)) visit(name)
    exit bad
}

# module("lib/engine/merge.c") and module("/engine/merge.h") are "engine/merge".
function module(path) {
    sub(/^[^\/]*\//, "", path)
    sub(/\.[ch]$/, "", path)
    return path
}

function floor(path) {
    if (path !~ /^[^\/]+\/[^\/]+$/) return ""
    sub(/\/.*/, "", path)
    return path
}

function report(problem) {
    print line "    " problem
    bad = 1
}

# Depth-first search: chain[1..depth] leads to the module that is visited.
function visit(name,    list, count, i) {
    state[name] = "open"
    chain[++depth] = name
    count = split(uses[name], list, " ")
    for (i = 1; i <= count; i++) {
        if (!(list[i] in state)) visit(list[i])
        else if (state[list[i]] == "open") circle(list[i])
    }
    state[name] = "done"
    depth--
}

function circle(start,    i) {
    bad = 1
    print "circle:"
    for (i = depth; chain[i] != start; i--) continue
    for (; i < depth; i++) print "  " includes[chain[i], chain[i + 1]]
    print "  " includes[chain[depth], start]
}
