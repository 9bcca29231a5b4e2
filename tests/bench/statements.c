/* Prints the statements of lib/store/sql.c by name, and the settings under which the workers run them, as JSON. The
 * benchmark makes its limits from them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "store/db_connect.h"
#include "store/sql.h"

int main(void)
{
    arena *a = arena_new();
    strbuf out = STRBUF(a);
    strbuf_putc(&out, '{');
    json_write_member(&out, "options", "-c search_path=booky " DB_PLANNER_OPTIONS);
    json_write_name(&out, "statements");
    strbuf_putc(&out, '{');
    for (int i = 0; i < SQL_COUNT; i++) json_write_member(&out, sql_statements[i].name, sql_statements[i].text);
    strbuf_puts(&out, "}}");
    puts(out.data);
    arena_free(a);
    return EXIT_SUCCESS;
}
