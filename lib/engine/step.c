#include "engine/step.h"

#include "base/json.h"
#include "engine/merge.h"

const char *step_text(resolver *r, entity *e)
{
    return entity_text(e, r->stamp, r->a);
}

const char *step_local_text(const step *s)
{
    if (s->op->type == OPERATION_DELETE) return NULL;
    strbuf out = STRBUF(s->r->a);
    json_write(&out, s->op->data);
    return out.data;
}

void step_spend(resolver *r, size_t bytes)
{
    r->budget = bytes < r->budget ? r->budget - bytes : 0;
}

void step_log(step *s, conflict_reason reason, const char *resolution, const entity *other, int64_t server_at,
              const char *server_data)
{
    const char *local_data = step_local_text(s);
    size_t index = conflict_add(&s->r->log, &(conflict){.kind = s->e->kind->name,
                                                        .entity_id = s->e->id,
                                                        .other_id = other ? other->id : NULL,
                                                        .reason = reason,
                                                        .open = resolution == NULL,
                                                        .resolution = resolution,
                                                        .operation_id = s->op->id,
                                                        .device = s->r->device,
                                                        .local_at = s->sent_at,
                                                        .server_at = server_at,
                                                        .local_data = local_data,
                                                        .server_data = server_data});
    step_spend(s->r, conflict_bytes(&s->r->log, index));
    if (s->out->has_conflict) return;
    s->out->has_conflict = true;
    s->out->conflict = index;
}
