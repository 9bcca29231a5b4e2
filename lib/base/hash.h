/* A hash for tables whose keys come from requests. */
#ifndef BOOKY_HASH_H
#define BOOKY_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 with a random key of the process, so that nobody can choose keys that collide. Not for storing. */
uint64_t hash_bytes(const char *bytes, size_t len);

#endif
