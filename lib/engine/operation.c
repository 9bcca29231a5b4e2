#include "engine/operation.h"

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

static void set_fault(arena *a, operation *op, rc code, const char *where, const char *reason)
{
    op->failed = code;
    op->where = where;
    op->reason = reason;
    op->message = arena_printf(a, "%s: %s", where, reason);
}

static bool refuse(reader *r, rc code, const char *member, const char *message)
{
    if (r->op->failed == RC_OK) set_fault(r->a, r->op, code, arena_printf(r->a, "%s%s", r->path, member), message);
    return false;
}

/* Checks the members. An item of a full sync has no id. */
static const char *check_members(arena *a, const operation *op, const merge_state *held, const char **path)
{
    const char *message = op->id ? NULL : kind_check_lists(a, op->kind, op->data, held, path);
    return message ? message : kind_check(a, op->kind, op->data, held, path);
}

bool operation_settle(arena *a, operation *op, const merge_state *held)
{
    const char *path, *message = op->doubtful ? check_members(a, op, held, &path) : NULL;
    if (message) set_fault(a, op, RC_VALIDATION, arena_printf(a, "%s%s", op->doubtful, path), message);
    return !message;
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

/* A string of 1 to max characters; NULL: the operation was refused. */
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

/* An optional instant, when the person made the edit; absent or null leaves *out alone. */
static bool read_time(reader *r, const json_t *from, const char *parent, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(from, name);
    const char *fault = !value || json_is_null(value) ? NULL : json_instant_fault(value, out);
    return !fault || refuse(r, RC_VALIDATION, arena_printf(r->a, "%s.%s", parent, name), fault);
}

/* Another optional instant; absent or null leaves *out alone. */
static bool read_instant(reader *r, const json_t *from, const char *parent, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(from, name);
    if (!value || json_is_null(value) || json_instant(value, out)) return true;
    return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s.%s", parent, name),
                  "not an RFC 3339 instant or integer milliseconds since 1970");
}

/* Reads the members that the result echoes. They come first, so that the client can tell refused operations apart. */
static void read_names(reader *r, const json_t *from)
{
    operation *op = r->op;
    const json_t *id = json_object_get(from, "id");
    if (!id || json_is_null(id))
        op->id = make_id(r->a);
    else if (!(op->id = read_text(r, from, "id", OPERATION_ID_MAX)))
        op->id = json_string_value(id); /* refused, but echoed */
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

/* SHA-256 over the names, and over the data with its members sorted. The spelling of the JSON and members that a client
 * adds for itself (retryCount, …) make no difference. */
static void hash(reader *r)
{
    operation *op = r->op;
    strbuf asked = STRBUF(r->a);
    strbuf_printf(&asked, "%s %s %s ", op->type_name, op->kind->name, op->stored_id);
    json_write_sorted(&asked, op->data);
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(asked.data, asked.len, digest, NULL, EVP_sha256(), NULL) != 1)
        arena_exhausted(r->a); /* the only possible fault */
    uint64_t at = htobe64((uint64_t)op->at);
    memcpy(op->hash, digest, OPERATION_DIGEST);
    memcpy(op->hash + OPERATION_DIGEST, &at, sizeof at);
}

static void print_hash(const operation *op, char hex[2 * OPERATION_HASH + 1])
{
    for (int i = 0; i < OPERATION_HASH; i++) snprintf(hex + 2 * i, 3, "%02x", op->hash[i]);
}

const char *operation_hash_hex(arena *a, const operation *op)
{
    char *hex = arena_alloc(a, 2 * OPERATION_HASH + 1);
    print_hash(op, hex);
    return hex;
}

bool operation_repeats(const operation *op, const char *hash_hex)
{
    enum { DIGEST = 2 * OPERATION_DIGEST, AT = 16 }; /* digits */
    static const char absent[] = "8000000000000000"; /* MERGE_NEVER */
    _Static_assert(MERGE_NEVER == INT64_MIN, "as written above");
    char hex[2 * OPERATION_HASH + 1];
    size_t len = strlen(hash_hex);
    if (len == 0) return true; /* parked before hashes were kept */
    print_hash(op, hex);
    if (len < DIGEST + AT || strncmp(hex, hash_hex, DIGEST) != 0) return false;
    const char *own = hex + DIGEST, *other = hash_hex + len - AT;
    return strcmp(own, other) == 0 || strcmp(own, absent) == 0 || strcmp(other, absent) == 0;
}

/* Removes the members that every entity has and that are not data. */
static bool strip(reader *r, const char *member, int64_t *updated_at)
{
    json_t *data = r->op->data;
    const json_t *id = json_object_get(data, "id");
    if (id && (!json_is_string(id) || strcmp(json_string_value(id), r->op->entity_id) != 0))
        return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s.id", member), "must equal entityId");
    if (!read_instant(r, data, member, "createdAt", &r->op->created_at)) return false;
    bool is_time = r->op->at == MERGE_NEVER; /* it stands in for the timestamp */
    if (!(is_time ? read_time : read_instant)(r, data, member, "updatedAt", updated_at)) return false;
    json_object_del(data, "id");
    json_object_del(data, "createdAt");
    json_object_del(data, "updatedAt");
    return true;
}

/* Checks op->data, which stands at `member`, and strips it. */
static bool check_data(reader *r, const char *member, int64_t *updated_at)
{
    operation *op = r->op;
    const char *path = "";
    if (!json_within_depth(op->data, (size_t)r->conf->depth))
        return refuse(r, RC_VALIDATION, member,
                      arena_printf(r->a, "nested deeper than %lld levels (limits.depth)", (long long)r->conf->depth));
    if (op->id) hash(r); /* an item of a full sync has no id and does not go to the ledger */
    if (!strip(r, member, updated_at)) return false;
    const char *message = op->type == OPERATION_CREATE ? kind_missing(r->a, op->kind, op->data, &path) : NULL;
    if (message) return refuse(r, RC_VALIDATION, arena_printf(r->a, "%s%s", member, path), message);
    if (check_members(r->a, op, NULL, &path)) op->doubtful = arena_printf(r->a, "%s%s", r->path, member);
    if (op->size * JSON_WRITE_GROWTH <= (size_t)r->conf->entity) return true;
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
    if (op->type == OPERATION_DELETE) { /* the data of a deletion is ignored */
        op->data = json_new_object(r->a);
        hash(r);
        return true;
    }
    if (!json_is_object(data)) return refuse(r, RC_VALIDATION, ".data", data ? "must be an object" : "is required");
    op->data = data;
    return check_data(r, ".data", updated_at);
}

/* Reads the members to echo from an operation that cannot be stored. */
static void salvage(reader *r, const char *text, size_t len)
{
    enum { SALVAGE_MAX = 8192 }; /* bytes of an id, with escapes */
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
        if (to && parts[i].len <= SALVAGE_MAX)
            *to = json_string_value(json_read(r->a, parts[i].text, parts[i].len, 1, &fault));
    }
}

/* Refuses a text that would cost too much memory, before it is parsed. */
static bool check_values(reader *r, const char *text, size_t len, int most)
{
    r->op->values = json_count_values(text, len);
    return r->op->values <= (size_t)most ||
           refuse(r, RC_TOO_LARGE, "", arena_printf(r->a, "more than %d JSON values", most));
}

bool operation_read(arena *a, const conf *c, const char *text, size_t len, const char *path, operation *out,
                    json_fault *fault)
{
    *out = (operation){.at = MERGE_NEVER, .created_at = MERGE_NEVER, .base = MERGE_NEVER, .size = len};
    reader r = {a, c, path, out};
    int64_t updated_at = MERGE_NEVER;
    if (!check_values(&r, text, len, OPERATION_VALUES_MAX)) {
        out->values = 0; /* none is parsed */
        salvage(&r, text, len);
        return true;
    }
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
    if (!read_time(&r, from, "", "timestamp", &out->at) || !read_instant(&r, from, "", "baseVersion", &out->base))
        return true;
    if (!read_policy(&r, from)) return true;
    if (!read_data(&r, from, &updated_at)) return true;
    if (out->at == MERGE_NEVER) out->at = updated_at;
    return true;
}

/* `id`: of the entity; NULL: it is a member. */
static bool read_content(reader *r, const char *id, const char *text, size_t len, json_fault *fault)
{
    operation *out = r->op;
    const kind *k = out->kind;
    if (!check_values(r, text, len, OPERATION_ITEM_VALUES_MAX)) return true;
    out->data = json_read(r->a, text, len, SIZE_MAX, fault);
    if (!out->data && fault->kind == JSON_FAULT_SYNTAX) return false;
    if (!out->data) return refuse(r, RC_VALIDATION, fault->path, fault->message), true;
    if (!json_is_object(out->data)) return refuse(r, RC_VALIDATION, "", "must be an object"), true;
    if (k->fixed_id) {
        json_object_del(out->data, "id");
        out->entity_id = k->fixed_id;
    } else if (!(out->entity_id = id ? id : read_text(r, out->data, "id", ENTITY_ID_MAX))) {
        return true;
    }
    /* check_data removes the member that holds it */
    out->entity_id = out->stored_id = arena_strdup(r->a, out->entity_id);
    check_data(r, "", &out->at);
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
    return read_content(&r, NULL, text, len, fault);
}

bool operation_read_state(arena *a, const conf *c, const kind *k, const char *id, const json_slice *text, bool whole,
                          const char *path, operation *out, json_fault *fault)
{
    *out = (operation){.type = whole ? OPERATION_CREATE : OPERATION_UPDATE,
                       .kind = k,
                       .kind_name = k->name,
                       .at = MERGE_NEVER,
                       .created_at = MERGE_NEVER,
                       .base = MERGE_NEVER,
                       .size = text->len};
    reader r = {a, c, path, out};
    return read_content(&r, id, text->text, text->len, fault);
}
