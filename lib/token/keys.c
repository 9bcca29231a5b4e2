#include "token/keys.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum {
    KID_MAX = 128,
    HMAC_MIN = 32,  /* bytes: RFC 7518 requires at least the size of the hash */
    RSA_MIN = 2048, /* bits */
    FILE_MAX = 16 * 1024,
    FILE_BUFFER = FILE_MAX + 2, /* one byte more shows that a file is too long; then a NUL */
};

const char *token_algorithm_name(token_algorithm algorithm)
{
    static const char *const names[] = {[TOKEN_HS256] = "HS256", [TOKEN_RS256] = "RS256", [TOKEN_ES256] = "ES256"};
    return names[algorithm];
}

/* One file of the folder, and where a fault in it is reported. */
typedef struct key_file {
    const char *dir, *name;
    char *fault;
    size_t fault_size;
} key_file;

/* Writes a sentence about the file to `fault`. Always returns false. */
static bool __attribute__((format(printf, 2, 3))) key_refuse(const key_file *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(f->fault, f->fault_size, "%s/%s: ", f->dir, f->name);
    if (n >= 0 && (size_t)n < f->fault_size) vsnprintf(f->fault + n, f->fault_size - (size_t)n, fmt, ap);
    va_end(ap);
    for (char *p = f->fault; *p; p++)
        if ((unsigned char)*p < ' ') *p = '?'; /* a file name may contain newlines, the fault is one line */
    return false;
}

static bool key_read(const key_file *f, token_key *key)
{
    char *path;
    if (asprintf(&path, "%s/%s", f->dir, f->name) < 0) abort();
    FILE *file = fopen(path, "re");
    free(path);
    if (!file) return key_refuse(f, "%s", strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* no copy of a secret in stdio's buffer */
    key->file = must(calloc(1, FILE_BUFFER));
    key->file_len = fread(key->file, 1, FILE_MAX + 1, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error) return key_refuse(f, "%s", strerror(error));
    if (key->file_len == 0) return key_refuse(f, "is empty");
    if (key->file_len > FILE_MAX) return key_refuse(f, "is longer than %d bytes", FILE_MAX);
    return true;
}

static bool key_parse_hmac(const key_file *f, token_key *key)
{
    if (memmem(key->file, key->file_len, "-----BEGIN ", 11))
        return key_refuse(f, "contains PEM; a public key as an HMAC secret would let anyone sign (name it KID.pem)");
    if (key->file[key->file_len - 1] == '\n') key->file_len--;
    if (key->file_len < HMAC_MIN)
        return key_refuse(f, "a secret of %zu bytes is below %d bytes", key->file_len, HMAC_MIN);
    key->algorithm = TOKEN_HS256;
    return true;
}

/* For an encrypted PEM: fails instead of asking on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *user)
{
    (void)buf, (void)size, (void)rwflag, (void)user;
    return -1;
}

static bool key_parse_pem(const key_file *f, token_key *key)
{
    int blocks = 0;
    const char *text = (const char *)key->file;
    if (strstr(text, "PRIVATE KEY-----"))
        return key_refuse(f, "contains a private key; only the public key belongs here (openssl pkey -pubout)");
    for (const char *p = text; (p = strstr(p, "-----BEGIN ")); p++) blocks++;
    if (blocks != 1) return key_refuse(f, "%d PEM blocks where exactly 1 is expected", blocks);

    BIO *bio = must(BIO_new_mem_buf(text, (int)key->file_len));
    key->public = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!key->public) return key_refuse(f, "is not a PEM public key (-----BEGIN PUBLIC KEY-----)");

    if (EVP_PKEY_is_a(key->public, "RSA")) {
        int bits = EVP_PKEY_get_bits(key->public);
        if (bits < RSA_MIN) return key_refuse(f, "an RSA key of %d bits is below %d bits", bits, RSA_MIN);
        key->algorithm = TOKEN_RS256;
        return true;
    }
    char curve[64] = "without a name";
    if (!EVP_PKEY_is_a(key->public, "EC"))
        return key_refuse(f, "a key of type %s is neither RSA nor EC", EVP_PKEY_get0_type_name(key->public));
    if (!EVP_PKEY_get_group_name(key->public, curve, sizeof curve, NULL)) ERR_clear_error();
    if (strcmp(curve, "prime256v1") != 0) return key_refuse(f, "an EC curve %s is not P-256 (prime256v1)", curve);
    key->algorithm = TOKEN_ES256;
    return true;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), tail = strlen(suffix);
    return len > tail && strcmp(name + len - tail, suffix) == 0;
}

static bool key_load(token_keys *k, const key_file *f)
{
    token_key *key = &k->list[k->count++]; /* counted before it is complete, so that token_keys_free sees it */
    size_t len = (size_t)(strrchr(f->name, '.') - f->name);
    if (len > KID_MAX) return key_refuse(f, "a kid of %zu bytes is above %d bytes", len, KID_MAX);
    key->kid = must(strndup(f->name, len));
    for (const char *p = key->kid; *p; p++)
        if (*p <= ' ' || *p > '~') return key_refuse(f, "a kid may contain printable ASCII only, and no space");
    for (const token_key *other = k->list; other < key; other++)
        if (strcmp(other->kid, key->kid) == 0) return key_refuse(f, "the kid %s has another file already", key->kid);
    if (!key_read(f, key)) return false;
    return has_suffix(f->name, ".hmac") ? key_parse_hmac(f, key) : key_parse_pem(f, key);
}

static int is_key_name(const struct dirent *e)
{
    return e->d_name[0] != '.' && (has_suffix(e->d_name, ".hmac") || has_suffix(e->d_name, ".pem"));
}

/* Not alphasort, whose order depends on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool folder_load(token_keys *k, const char *dir, char *fault, size_t fault_size)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, is_key_name, by_name);
    if (n < 0) {
        snprintf(fault, fault_size, "auth.keys_dir: %s: %s", dir, strerror(errno));
        return false;
    }
    if (n == 0) snprintf(fault, fault_size, "auth.keys_dir: %s: contains no KID.hmac and no KID.pem", dir);
    k->list = must(calloc((size_t)n + 1, sizeof *k->list));
    bool ok = n > 0;
    for (int i = 0; i < n; i++) {
        ok = ok && key_load(k, &(key_file){dir, entries[i]->d_name, fault, fault_size});
        free(entries[i]);
    }
    free(entries);
    return ok;
}

token_keys *token_keys_load(const conf *c, char *fault, size_t fault_size)
{
    token_keys *k = must(calloc(1, sizeof *k));
    k->cache = token_cache_new();
    if (claims_rules_load(&k->rules, c, fault, fault_size) && folder_load(k, c->keys_dir, fault, fault_size)) return k;
    token_keys_free(k);
    return NULL;
}

void token_keys_free(token_keys *k)
{
    if (!k) return;
    for (size_t i = 0; i < k->count; i++) {
        token_key *key = &k->list[i];
        free(key->kid);
        if (key->file) OPENSSL_cleanse(key->file, FILE_BUFFER);
        free(key->file);
        EVP_PKEY_free(key->public);
    }
    free(k->list);
    claims_rules_free(&k->rules);
    token_cache_free(k->cache);
    free(k);
}
