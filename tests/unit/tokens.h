/*
 * Keys and tokens for the tests of lib/token. They are made and signed with OpenSSL alone, so that libjwt is compared
 * with another implementation.
 */
#ifndef BOOKY_TESTS_TOKENS_H
#define BOOKY_TESTS_TOKENS_H

#include "base/arena.h"
#include "token/keys.h"
#include "token/verify.h"
#include "unit.h"

#define K1 "0123456789abcdef0123456789abcdef"
#define K2 "fedcba9876543210fedcba9876543210"

/* All tokens are verified at this second; the leeway is 30 seconds. */
#define NOW INT64_C(1700000000)
#define LATER "1700003600"

#define HEAD "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}"
#define HEAD_RSA "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"rsa\"}"
#define HEAD_EC "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"ec\"}"
#define ANN "{\"userId\":\"ann\",\"exp\":" LATER "}"
#define EXP(value) "{\"userId\":\"ann\",\"exp\":" value "}"

/* An unchecked fixture: makes the key pairs once for all tests of a case. */
void tokens_setup(void);
void tokens_teardown(void);

/* A file of a folder of keys. "@rsa" and similar names stand for keys that are made here (key_file_content). */
typedef struct file {
    const char *name, *text;
    size_t len; /* 0: of the string */
} file;

extern const file one_key[], two_keys[], one_rsa[], all_keys[];

/* Writes `files` (ended by one without a name) into a new folder, loads it with the other settings of `c`, and removes
 * it. */
token_keys *keys_load(const file *files, conf c, char *fault, size_t fault_size);

/* The same; fails the test when the folder is refused. */
token_keys *keys_load_valid(const file *files, conf c);

typedef enum signer { BY_K1, BY_K2, BY_RSA, BY_EC, BY_RSA_PEM, BY_STRANGER, BY_NOBODY } signer;

/* A token of any header and claims. */
char *token_make(arena *a, const char *header, const char *claims, signer by);

char *base64url(arena *a, const void *data, size_t len);
char *sign_hmac(arena *a, const char *text, const char *key);

/* `before`, then `fill` that many times, then `after`: for claims that are too long to write down. */
char *text_repeat(arena *a, const char *before, const char *fill, size_t times, const char *after);

/* A token, and whether it is accepted. */
typedef struct token_row {
    const char *name;
    const char *reason; /* of the refusal; NULL: accepted */
    const char *user;   /* NULL: ann */
    const file *keys;   /* NULL: one_key */
    signer by;
    const char *header, *claims; /* NULL: HEAD, ANN */
    char *(*header_of)(arena *), *(*claims_of)(arena *);
    char *(*damage)(arena *, char *); /* done to the token after it was signed */
    conf c;
} token_row;

void token_row_check(const token_row *r);

/* token_verify without the reason. */
rc token_try(token_keys *k, arena *a, const char *token, int64_t now_ms, token_identity *who);

#endif
