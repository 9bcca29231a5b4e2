#include "fixture.h"

arena *a;

void fixture_setup(void)
{
    a = arena_new();
}

void fixture_teardown(void)
{
    arena_free(a);
}
