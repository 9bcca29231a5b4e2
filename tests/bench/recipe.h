/*
 * The requests that a benchmark makes, as recipes: text with marks that are filled in anew for each request. A file of
 * recipes is also read by wrk.lua, so that both load generators send the same.
 *
 * One recipe a line, its fields separated by tabs: weight, status that the reply must have, how often the reply's body
 * must hold a text (-1: not looked at), that text, method, target, one more header line or nothing, body or nothing.
 *
 *   @N@        a number that no other request has
 *   @1@ .. @9@ the number of a book, random and without repeats in one request (where there are that many): 100000 + 0
 * .. books-1
 *   @V@        the number of a book that is there to be deleted
 *   @T@ @S@    now and thirty seconds ago, milliseconds since 1970
 */
#ifndef BENCH_RECIPE_H
#define BENCH_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

typedef struct recipe_piece {
    const char *text;
    size_t len;
    char mark; /* what follows the text; 0: nothing, it is the last */
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

/* What the marks of one request stand for. */
typedef struct recipe_values {
    const char *token; /* of a random user */
    unsigned long long serial;
    long first, victim; /* random numbers */
    long long now;
} recipe_values;

/* Reads a file of recipes, and one of tokens, one a line, into the arena. Prints the fault and exits when it cannot. */
recipes recipes_read(arena *a, const char *path, const char *tokens, long books, long victims);

/* Chooses a recipe by weight, and draws its values. */
const recipe *recipe_draw(recipes *r, recipe_values *values);

/* Appends `pieces` with their marks filled in. */
void recipe_write(const recipes *r, const recipe_piece *pieces, const recipe_values *values, strbuf *out);

#endif
