/*
 * The keys that tokens are verified with.
 *
 * A folder of key files is the whole key management: KID.hmac or KID.pem adds a key, and removing the file retires it.
 * During a rotation the old and the new key are in the folder together.
 *
 * The file decides the algorithm, never the token: a .hmac file can only verify HS256. An attack by algorithm confusion
 * is therefore impossible.
 */
#ifndef BOOKY_KEYS_H
#define BOOKY_KEYS_H

#include <openssl/types.h>
#include <stddef.h>

#include "base/conf.h"
#include "token/cache.h"
#include "token/claims.h"

typedef enum token_algorithm { TOKEN_HS256, TOKEN_RS256, TOKEN_ES256 } token_algorithm;

typedef struct token_key {
    char *kid;
    token_algorithm algorithm; /* fixed when the file is read */
    unsigned char *file;       /* the HMAC secret, or the PEM text */
    size_t file_len;
    EVP_PKEY *public; /* NULL for HMAC */
} token_key;

/* The keys, the rules for claims, and the cache of verified tokens. Only this floor reads the members. Not for use by
 * several threads at once. */
typedef struct token_keys {
    token_key *list; /* in the order of the file names */
    size_t count;
    claims_rules rules;
    token_cache *cache;
} token_keys;

/* Reads c->keys_dir and the other settings of [auth].
 *
 * KID.hmac: the bytes of the file, without one trailing newline, are an HS256 secret of at least 32 bytes.
 * KID.pem: one public key, RSA of at least 2048 bits for RS256, or EC P-256 for ES256.
 * Other files and hidden files are ignored.
 *
 * Returns NULL, and one line in `fault` that names file, limit and value, when a key is not usable or there is none.
 * Keeps no pointer into `c`. Release with token_keys_free. */
token_keys *token_keys_load(const conf *c, char *fault, size_t fault_size);

/* Wipes the secrets and frees; `k` may be NULL. */
void token_keys_free(token_keys *k);

/* The name of the algorithm as in the `alg` member of a header. */
const char *token_algorithm_name(token_algorithm algorithm);

#endif
