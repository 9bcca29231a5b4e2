#include "call.h"

#include "json.h"

rc call_fail(call *c, rc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->message = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    return code;
}

void call_detail(call *c, const char *path, const char *message)
{
    if (c->detail_count++ >= CALL_DETAILS) return;
    c->details.a = c->a;
    strbuf_puts(&c->details, c->details.len > 0 ? ",{" : "{");
    json_write_member(&c->details, "path", path);
    json_write_member(&c->details, "message", message);
    strbuf_putc(&c->details, '}');
}
