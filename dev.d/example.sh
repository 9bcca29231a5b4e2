# shellcheck shell=bash
# The requests that `up` sends and shows: a phone and a laptop of a new user.

# request TOKEN METHOD PATH [BODY]: sends the request and prints it with the reply.
request() {
    local -a body=()
    [[ -z ${4:-} ]] || body=(-H 'Content-Type: application/json' -d "$4")
    printf '  %s %s\n' "$2" "/api$3"
    [[ -z ${4:-} ]] || printf '    > %s\n' "$4"
    printf '    < %s\n\n' "$(curl -sS --cacert "$RUN/tls/cert.pem" -X "$2" -H "Authorization: Bearer $1" \
        "${body[@]}" "$(url)$3")"
}

ago() { date -u -d "$1 minutes ago" +%Y-%m-%dT%H:%M:%SZ; } # ago MINUTES

# operation ID TYPE TIMESTAMP DATA: a body for POST /sync/operations
operation() {
    printf '{"operations":[{"id":"%s","type":"%s","entity":"book","entityId":"book-1",' "$1" "$2"
    printf '"timestamp":"%s","data":%s}]}' "$3" "$4"
}

example() {
    local token
    token=$(token_mint "demo-$(date +%s)-$$")
    say "Example requests, from a phone and a laptop of a new user:"
    say
    say "1. The phone adds a book."
    request "$token" POST /sync/operations \
        "$(operation phone-1 create "$(ago 30)" '{"title":"The Dispossessed","pageCount":341}')"
    say "2. The laptop pulls and gets it."
    request "$token" GET "/sync/changes?since=$(ago 60)"
    say "3. The laptop corrected the title ten minutes ago."
    request "$token" POST /sync/operations \
        "$(operation laptop-1 update "$(ago 10)" '{"title":"The Dispossessed: An Ambiguous Utopia"}')"
    say "4. The phone was offline. Twenty minutes ago it edited the title, too, and added a note. Its title is older"
    say "   than the laptop's and loses; the note is kept. The reply reports the conflict with both values."
    request "$token" POST /sync/operations \
        "$(operation phone-2 update "$(ago 20)" '{"title":"Dispossessed","notes":"read on the train"}')"
    say "5. Both devices pull and get the same book."
    request "$token" GET "/sync/changes?since=$(ago 60)"
    say "6. Get the sync status."
    request "$token" GET /sync/status
}
