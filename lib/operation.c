#include "operation.h"

#include <endian.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef struct reader {
    arena *a;
    const conf *conf;
    const char *path;
    operation *op;
} reader;

static bool refuse(reader *r, rc code, const char *member, const char *message)
{
    if (r->op->failed != RC_OK) return false;
    r->op->failed = code;
    r->op->where = arena_printf(r->a, "%s%s", r->path, member);
    r->op->reason = message;
    r->op->message = arena_printf(r->a, "%s: %s", r->op->where, message);
    return false;
}

static const char *const policies[] = {"merge", "local", "server", "manual"};

const char *policy_name(policy p)
{
    return policies[p];
}

bool policy_find(const char *name, policy *out)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(policies[i], name) != 0) continue;
        *out = (policy)i;
        return true;
    }
    return false;
}

rc device_read(call *c, const json_t *value, const char **device)
{
    size_t length = json_is_string(value) ? json_characters(json_string_value(value), json_string_length(value)) : 0;
    if (length < 1 || length > DEVICE_ID_MAX)
        return call_invalid(c, "deviceId", "must be a string of 1 to %d characters", DEVICE_ID_MAX);
    *device = json_string_value(value);
    return RC_OK;
}

static const char *make_id(arena *a)
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) abort();
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40); /* a version 4 UUID, RFC 9562 */
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    strbuf out = STRBUF(a);
    for (size_t i = 0; i < sizeof b; i++)
        strbuf_printf(&out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
    return out.data;
}

/* A string of 1..max characters, or NULL with the operation refused. */
static const char *read_text(reader *r, const json_t *from, const char *name, size_t max)
{
    const json_t *value = json_object_get(from, name);
    size_t length = json_characters(json_string_value(value), json_string_length(value));
    if (json_is_string(value) && length >= 1 && length <= max) return json_string_value(value);
    const char *message = !value || json_is_null(value) ? "is required"
                          : !json_is_string(value)
                              ? "must be a string"
                              : arena_printf(r->a, "must have 1 to %zu characters, has %zu", max, length);
    refuse(r, RC_VALIDATION, arena_printf(r->a, ".%s", name), message);
    return NULL;
}

/* An optional instant; absent or null leaves *out alone. */
static bool read_instant(reader *r, const json_t *from, const char *parent, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(from, name);
    if (!value || json_is_null(value) || json_instant(value, out)) return true;
    return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s.%s", parent, name),
                  "not an RFC 3339 instant or integer milliseconds since 1970");
}

/* What the result echoes. Read first, so that a refused operation can be told apart. */
static void read_names(reader *r, const json_t *from)
{
    operation *op = r->op;
    const json_t *id = json_object_get(from, "id");
    if (!id || json_is_null(id))
        op->id = make_id(r->a);
    else if (!(op->id = read_text(r, from, "id", OPERATION_ID_MAX)))
        op->id = json_string_value(id); /* to be echoed */
    op->kind_name = json_string_value(json_object_get(from, "entity"));
    op->entity_id = json_string_value(json_object_get(from, "entityId"));
}

static bool read_type(reader *r, const json_t *from)
{
    static const char *const types[] = {"create", "update", "delete"};
    const char *type = json_string_value(json_object_get(from, "type"));
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i], type) != 0) continue;
        r->op->type = (operation_type)i;
        r->op->type_name = types[i];
        return true;
    }
    return refuse(r, RC_VALIDATION, ".type", "must be one of create, update, delete");
}

static bool read_entity(reader *r, const json_t *from)
{
    operation *op = r->op;
    op->kind = op->kind_name ? kind_find(op->kind_name) : NULL;
    if (!op->kind) {
        strbuf list = STRBUF(r->a);
        for (const kind *const *k = kinds; *k; k++) strbuf_printf(&list, "%s%s", list.len ? ", " : "", (*k)->name);
        return refuse(r, RC_VALIDATION, ".entity", arena_printf(r->a, "must be one of %s", list.data));
    }
    if (op->kind->fixed_id && !json_object_get(from, "entityId"))
        op->entity_id = op->kind->fixed_id;
    else
        op->entity_id = read_text(r, from, "entityId", ENTITY_ID_MAX);
    op->stored_id = op->kind->fixed_id ? op->kind->fixed_id : op->entity_id;
    return op->entity_id != NULL;
}

static bool read_policy(reader *r, const json_t *from)
{
    const json_t *value = json_object_get(from, "conflictResolution");
    const char *name = json_string_value(value);
    if (!value || json_is_null(value)) name = r->conf->conflict_resolution;
    if (name && policy_find(name, &r->op->policy)) return true;
    return refuse(r, RC_VALIDATION, ".conflictResolution", "must be one of merge, local, server, manual");
}

/* SHA-256 over what is asked: names, and the data with its members sorted. How the client spelled it, and what it adds
 * for itself (retryCount, …), is left out. */
static void hash(reader *r)
{
    operation *op = r->op;
    strbuf asked = STRBUF(r->a);
    strbuf_printf(&asked, "%s %s %s ", op->type_name, op->kind->name, op->stored_id);
    json_write_sorted(&asked, op->data);
    if (EVP_Digest(asked.data, asked.len, op->hash, NULL, EVP_sha256(), NULL) != 1) arena_exhausted(r->a); /* nothing else can be wrong */
    uint64_t at = htobe64((uint64_t)op->at);
    memcpy(op->hash + 32, &at, sizeof at);
}

const char *operation_hash_hex(arena *a, const operation *op)
{
    strbuf out = STRBUF(a);
    for (int i = 0; i < OPERATION_HASH; i++) strbuf_printf(&out, "%02x", op->hash[i]);
    return out.data;
}

bool operation_repeats(const operation *op, const char *hash_hex)
{
    char hex[2 * OPERATION_HASH + 1];
    for (int i = 0; i < OPERATION_HASH; i++) snprintf(hex + 2 * i, 3, "%02x", op->hash[i]);
    if (strncmp(hex, hash_hex, 64) != 0) return false;
    static const char absent[] = "8000000000000000"; /* MERGE_NEVER */
    _Static_assert(MERGE_NEVER == INT64_MIN, "as written above");
    return strcmp(hex + 64, hash_hex + 64) == 0 || strcmp(hex + 64, absent) == 0 || strcmp(hash_hex + 64, absent) == 0;
}

/* Takes the members that are not data out of it. */
static bool strip(reader *r, const char *member, int64_t *updated_at)
{
    json_t *data = r->op->data;
    const json_t *id = json_object_get(data, "id");
    if (id && (!json_is_string(id) || strcmp(json_string_value(id), r->op->entity_id) != 0))
        return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s.id", member), "must equal entityId");
    if (!read_instant(r, data, member, "createdAt", &r->op->created_at)) return false;
    if (!read_instant(r, data, member, "updatedAt", updated_at)) return false;
    json_object_del(data, "id");
    json_object_del(data, "createdAt");
    json_object_del(data, "updatedAt");
    return true;
}

/* Checks op->data, which stands at `member`, and takes out of it what is not data. */
static bool check_data(reader *r, const char *member, int64_t *updated_at)
{
    operation *op = r->op;
    const char *path = "";
    if (!json_within_depth(op->data, (size_t)r->conf->depth))
        return refuse(r, RC_VALIDATION, member,
                      arena_printf(r->a, "nested deeper than %lld levels (limits.depth)", (long long)r->conf->depth));
    if (op->id) hash(r); /* an item of a full sync has none and is not remembered */
    if (!strip(r, member, updated_at)) return false;
    const char *message = kind_check(r->a, op->kind, op->data, op->type == OPERATION_CREATE, &path);
    if (message) return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s%s", member, path), message);
    if (op->size <= (size_t)r->conf->entity) return true;
    strbuf text = STRBUF(r->a);
    json_write(&text, op->data);
    if (text.len <= (size_t)r->conf->entity) return true;
    return refuse(r, RC_TOO_LARGE, member,
                  arena_printf(r->a, "%zu bytes, limits.entity is %lld", text.len, (long long)r->conf->entity));
}

static bool read_data(reader *r, const json_t *from, int64_t *updated_at)
{
    operation *op = r->op;
    json_t *data = json_object_get(from, "data");
    if (op->type == OPERATION_DELETE) { /* what a deletion carries is of no consequence */
        op->data = json_new_object(r->a);
        hash(r);
        return true;
    }
    if (!json_is_object(data)) return refuse(r, RC_VALIDATION, ".data", data ? "must be an object" : "is required");
    op->data = data;
    return check_data(r, ".data", updated_at);
}

/* For an operation that cannot be kept: finds what can be echoed among its members. */
static void salvage(reader *r, const char *text, size_t len)
{
    json_slice *parts;
    size_t count;
    json_fault fault;
    operation *op = r->op;
    if (!json_split(r->a, '{', text, len, 1000, &parts, &count, &fault)) return;
    for (size_t i = 0; i < count; i++) {
        const char **to = strcmp(parts[i].key, "id") == 0         ? &op->id
                          : strcmp(parts[i].key, "entity") == 0   ? &op->kind_name
                          : strcmp(parts[i].key, "entityId") == 0 ? &op->entity_id
                                                                  : NULL;
        if (to) *to = json_string_value(json_read(r->a, parts[i].text, parts[i].len, 1, &fault));
    }
}

bool operation_read(arena *a, const conf *c, const char *text, size_t len, const char *path, operation *out,
                    json_fault *fault)
{
    *out = (operation){.at = MERGE_NEVER, .created_at = MERGE_NEVER, .base = MERGE_NEVER, .size = len};
    reader r = {a, c, path, out};
    int64_t updated_at = MERGE_NEVER;
    json_t *from = json_read(a, text, len, SIZE_MAX, fault);
    if (!from && fault->kind == JSON_FAULT_SYNTAX) return false;
    if (!from) {
        salvage(&r, text, len);
        refuse(&r, RC_VALIDATION, fault->path, fault->message);
        return true;
    }
    if (!json_is_object(from)) {
        refuse(&r, RC_VALIDATION, "", "must be an object");
        return true;
    }
    read_names(&r, from);
    if (out->failed != RC_OK || !read_type(&r, from) || !read_entity(&r, from)) return true;
    if (!read_instant(&r, from, "", "timestamp", &out->at) || !read_instant(&r, from, "", "baseVersion", &out->base))
        return true;
    if (!read_policy(&r, from)) return true;
    if (!read_data(&r, from, &updated_at)) return true;
    if (out->at == MERGE_NEVER) out->at = updated_at;
    return true;
}

bool operation_read_item(arena *a, const conf *c, const kind *k, const char *text, size_t len, const char *path,
                         operation *out, json_fault *fault)
{
    *out = (operation){.type = OPERATION_CREATE,
                       .type_name = "create",
                       .kind = k,
                       .kind_name = k->name,
                       .at = MERGE_NEVER,
                       .created_at = MERGE_NEVER,
                       .base = MERGE_NEVER,
                       .size = len};
    reader r = {a, c, path, out};
    out->data = json_read(a, text, len, SIZE_MAX, fault);
    if (!out->data && fault->kind == JSON_FAULT_SYNTAX) return false;
    if (!out->data) return refuse(&r, RC_VALIDATION, fault->path, fault->message), true;
    if (!json_is_object(out->data)) return refuse(&r, RC_VALIDATION, "", "must be an object"), true;
    if (k->fixed_id) {
        json_object_del(out->data, "id");
        out->entity_id = k->fixed_id;
    } else if (!(out->entity_id = read_text(&r, out->data, "id", ENTITY_ID_MAX))) {
        return true;
    }
    out->entity_id = out->stored_id = arena_strdup(a, out->entity_id); /* the member is taken out of the data */
    check_data(&r, "", &out->at);
    return true;
}
