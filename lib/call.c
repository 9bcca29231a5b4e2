#include "call.h"

#include "poke.h"

rc call_confirm(call *c)
{
    db_param user = db_text(c->user);
    return DB_RUN(c->db, c->a, {.id = SQL_ROLLBACK}, {.id = SQL_BEGIN}, {.id = SQL_IDENTIFY, .params = &user},
                  {.id = SQL_CLOCK_LOCK, .params = &user}, {.id = SQL_COMMIT});
}

rc call_fail(call *c, rc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->message = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    return code;
}

void call_changes(call *c, int64_t epoch, int64_t stamp, const char *device)
{
    c->change.any = true;
    c->change.epoch = epoch;
    c->change.stamp = stamp;
    c->change.device = poke_device(device);
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

rc call_invalid(call *c, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(c->a, fmt, ap);
    va_end(ap);
    call_detail(c, path, message);
    return call_fail(c, RC_VALIDATION, "%s: %s", path, message);
}

rc call_bad_json(call *c, const char *path, const json_fault *fault)
{
    const char *where = arena_printf(c->a, "%s%s", path, fault->path);
    if (*where == '.') where++;
    if (*where == '\0') return call_fail(c, RC_VALIDATION, "the body: %s", fault->message);
    return call_invalid(c, where, "%s", fault->message);
}
