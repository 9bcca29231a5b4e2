/*
 * The requests of a benchmark as recipes: text with marks that are replaced for each request. wrk.lua reads the same
 * files of recipes, so that both load generators send the same requests.
 *
 * One recipe per line, its fields separated by tabs: weight, status of the reply, how often the body of the reply must
 * hold a text (-1: unchecked), that text, method, target, a further header line or nothing, body or nothing.
 *
 *   @N@        a number that no other request has
 *   @1@ .. @9@ the number of a book, random and without repeats in one request (if there are enough books):
 *              100000 .. 100000 + books - 1
 *   @V@        the number of a book that may be deleted
 *   @T@ @S@    now and thirty seconds ago, milliseconds since 1970
 */
#ifndef BENCH_RECIPE_H
#define BENCH_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef struct recipe_piece {
    const char *text;
    size_t len;
    char mark; /* follows the text; 0: this is the last piece */
} recipe_piece;

typedef struct recipe {
    int weight, status, count;
    const char *expected, *method;
    recipe_piece *target, *header, *body;
} recipe;

typedef struct recipes {
    recipe *list;
    size_t count;
    int weights;   /* the sum */
    char **tokens; /* of the users */
    size_t token_count;
    long books, victims;
    unsigned long long serial; /* the next @N@ */
} recipes;

/* The values of the marks in one request. */
typedef struct recipe_values {
    const char *token; /* of a random user */
    unsigned long long serial;
    long first, victim; /* random numbers */
    long long now;
} recipe_values;

/* Reads a file of recipes, and one of tokens, one per line, into the arena. Prints the fault and exits if it cannot. */
recipes recipes_read(arena *a, const char *path, const char *tokens, long books, long victims);

/* Chooses a random recipe by weight, and random values for its marks. */
const recipe *recipe_draw(recipes *r, recipe_values *values);

/* Appends `pieces` with their marks replaced. */
void recipe_write(const recipes *r, const recipe_piece *pieces, const recipe_values *values, strbuf *out);

#endif
