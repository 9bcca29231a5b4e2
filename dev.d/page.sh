# shellcheck shell=bash
# The demo page and the pages of /docs, RUN/page. Only development stacks serve the demo page, because it includes an
# access token.

# Builds the page with a user and a token of its own.
page_build() {
    local page=$RUN/page.new dir=$DIR/npm/client token
    rm -rf "$RUN/page" "$page" "$dir"/{src,demo}
    npm_install client
    cp -r "$ROOT"/client/{src,demo,tsconfig.json} "$dir"
    node "$dir/demo/build.mjs" "$page/demo"
    docs_build "$page/docs"
    config_write
    token=$(token_mint demo)
    (umask 077 && printf '{"user":"demo","token":"%s"}\n' "$token" >"$page/demo/config.json")
    [[ $EUID -ne 0 ]] || chown -R "$ACCOUNT" "$page"
    mv "$page" "$RUN/page"
}

docs_build() { # docs_build FOLDER: the API reference and the guides
    local dir=$DIR/npm/docs/site
    npm_install docs/site
    cp "$ROOT"/docs/site/*.{mjs,js,css} "$dir"
    node "$dir/build.mjs" "$ROOT" "$1"
}

# Builds the pages of /docs in the checkout. `make install` and `make dist` take them from there.
cmd_docs() {
    stack_open
    node_install
    rm -rf "$ROOT/docs/html"
    logged docs docs_build "$ROOT/docs/html"
    say "The pages are in docs/html. make install, make dist and the Debian package include them."
}

# The locations of the page for nginx.conf; nothing if the page was not built.
page_locations() {
    local policy="default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"
    policy+="; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    [[ -d $RUN/page ]] || return 0
    cat <<END
        include docs.conf;
        rewrite ^/$ /demo/index.html last;
        # A browser gets the page of the pool, curl the text.
        set \$booky_pool "\$http_accept \$args";
        if (\$booky_pool ~ "text/html[^ ]* \$") { rewrite ^/pool$ /demo/pool.html last; }
        location /demo/ {
            root $RUN/page;
            types { text/html html; text/javascript js; text/css css; image/svg+xml svg; application/json json map; }
            charset utf-8;
            charset_types text/css text/javascript;
            add_header Content-Security-Policy "$policy";
            add_header X-Content-Type-Options nosniff;
            add_header Referrer-Policy no-referrer;
            add_header Cache-Control no-cache;
            add_header Service-Worker-Allowed /;
        }
END
}
