/*
 * The head of a request. The first line is method, space and address; each further line is a FastCGI parameter
 * (NAME=value). The head is read and routed, and endpoints without a body run until they need the database.
 */
#include <fcgiapp.h>

#include "fuzz.h"
#include "http/api.h"
#include "http/request.h"
#include "http/route.h"

enum { LINES = 16 };

static void write_nowhere(void *to, const char *bytes, size_t len)
{
    (void)to, (void)bytes, (void)len;
}

static void check_refusal(request *r, rc code)
{
    strbuf text = STRBUF(r->a);
    if (code == RC_OK || code == RC_UNAVAILABLE || code == RC_FAILED || code == RC_NOT_MODIFIED) return;
    REQUIRE(r->ctx.message);
    json_write_string(&text, r->ctx.message, strlen(r->ctx.message));
    REQUIRE(text.len >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile sig_atomic_t cancelled;
    arena *a = arena_new();
    char *envp[LINES + 3] = {NULL}, *line = arena_strndup(a, (const char *)data, size), *rest;
    size_t count = 0;
    line = strtok_r(line, "\n", &rest);
    size_t space = line ? strcspn(line, " ") : 0;
    if (line && line[space]) {
        envp[count++] = arena_printf(a, "REQUEST_METHOD=%.*s", (int)space, line);
        envp[count++] = arena_printf(a, "REQUEST_URI=%s", line + space + 1);
        while (count < LINES && (line = strtok_r(NULL, "\n", &rest))) envp[count++] = line;
    }
    FCGX_Request fcgi = {.envp = envp};
    request r = {.a = a, .conf = fuzz_conf(), .db = fuzz_db(), .fcgi = &fcgi, .user = "fuzz", .cancelled = &cancelled};
    r.reply.a = r.ctx.a = a;
    rc code = request_read(&r);
    REQUIRE(strlen(r.id) >= 8 && strlen(r.id) <= REQUEST_ID_MAX && r.method);
    if (code == RC_OK) code = route_match(&r);
    REQUIRE(code != RC_OK || r.route);
    if (code == RC_OK && r.route->body == BODY_NONE) {
        r.ctx = (sync_ctx){.a = a, .conf = r.conf, .db = r.db, .user = r.user, .write = write_nowhere};
        code = r.route->run(&r);
        REQUIRE(code != RC_FAILED);
        REQUIRE(code != RC_OK || r.route->run == api_config);
    }
    check_refusal(&r, code);
    arena_free(a);
    return 0;
}
