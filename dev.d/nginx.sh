# shellcheck shell=bash
# nginx of a stack: the files of nginx/ as they are installed, with the stack's sockets, port, certificate and log.

# The part of nginx.conf that differs from host to host. Debian's default for the temporary folders is below /var/lib.
nginx_main() {
    [[ $EUID -ne 0 ]] || say "user $ACCOUNT;"
    cat <<END
worker_processes 2;
worker_shutdown_timeout 60s;
worker_rlimit_nofile 16384;
pid $RUN/pid/nginx;
error_log $RUN/log/nginx-error.log warn;
events { worker_connections 8192; }
http {
    client_body_temp_path $RUN/nginx/tmp-body;
    proxy_temp_path $RUN/nginx/tmp-proxy;
    fastcgi_temp_path $RUN/nginx/tmp-fastcgi;
    uwsgi_temp_path $RUN/nginx/tmp-uwsgi;
    scgi_temp_path $RUN/nginx/tmp-scgi;
    access_log off;
END
}

nginx_write() { # nginx_write PORT PLAIN_PORT
    local rate=rate-off.conf origins="\"~^https?://(localhost|127[.]0[.]0[.]1)(:[0-9]+)?\$\" \$http_origin;"
    [[ ${RATE_LIMIT:-} != published ]] || rate=rate.conf
    ln -sfn "$RUN/inst/share/booky-sync/nginx/booky-sync" "$RUN/nginx/booky-sync"
    # Web apps on this host may use the API, such as one that a bundler serves on http://localhost:5173.
    sed "0,/default \"\";/s#default \"\";#&\n    $origins#" "$RUN/nginx/booky-sync/cors.conf" >"$RUN/nginx/cors.conf"
    sed "s#/usr/share/booky-sync/docs#$RUN/page/docs#" "$RUN/nginx/booky-sync/docs.conf" >"$RUN/nginx/docs.conf"
    {
        nginx_main
        cat <<END
    include booky-sync/http.conf;
    include cors.conf;
    include booky-sync/$rate;
    upstream booky_sync { server unix:$RUN/sock/pool.sock max_fails=0; }
    upstream booky_sync_push { server unix:$RUN/sock/push.sock max_fails=0; }
    upstream booky_sync_status { server unix:$RUN/sock/status.sock max_fails=0; }
    server {
        listen 127.0.0.1:$1 ssl http2;
        listen 127.0.0.1:$2; # without TLS, so that no browser warns; for browsers this address is a secure context
        server_name localhost;
        ssl_certificate $RUN/tls/cert.pem;
        ssl_certificate_key $RUN/tls/key.pem;
        access_log $RUN/log/nginx-access.log booky_json buffer=64k flush=1s;
END
        page_locations
        cat <<END
        include booky-sync/server.conf;
    }
}
END
    } >"$RUN/nginx/nginx.conf"
    say "$1" >"$RUN/port"
    say "$2" >"$RUN/port-plain"
}

nginx_run() { # nginx_run ARGUMENT...
    nginx -p "$RUN/nginx/" -e "$RUN/log/nginx-error.log" -c "$RUN/nginx/nginx.conf" "$@" 9>&-
}

nginx_version() { cat "$RUN"/nginx/{nginx,cors,docs}.conf "$RUN"/nginx/booky-sync/*.conf | sha256sum; }

# Starts nginx on its previous ports or the next free ones. A running nginx is reloaded if its configuration changed.
# The port without TLS is 8080 where the other one is 8443.
nginx_start() {
    local port plain
    port=$(cat "$RUN/port" 2>/dev/null || say "$FIRST_PORT")
    plain=$(cat "$RUN/port-plain" 2>/dev/null || say $((FIRST_PORT - 363)))
    if pid_alive nginx; then
        # An nginx that listens on one port only was started by an older version of this script.
        [[ -s $RUN/port-plain ]] || until port_free "$plain"; do plain=$((plain + 1)); done
        nginx_write "$port" "$plain"
        [[ $(nginx_version) != "$(cat "$RUN/pid/nginx.started" 2>/dev/null)" ]] || return 0
        nginx_run -s reload
        # Give the old workers time to stop accepting, so that the next client reaches a new one.
        sleep 0.5
    else
        until port_free "$port"; do port=$((port + 1)); done
        until port_free "$plain"; do plain=$((plain + 1)); done
        nginx_write "$port" "$plain"
        nginx_run
    fi
    nginx_version >"$RUN/pid/nginx.started"
}
