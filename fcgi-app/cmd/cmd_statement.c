#include <ctype.h>
#include <string.h>

#include "cmd/cmd.h"

/* A statement of an SQL file ends at a semicolon outside of strings, quoted names and comments. Not known: a function
 * body that begins with BEGIN ATOMIC, which has semicolons of its own. */

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Behind the string or name that begins at `p`. A doubled quote stands for itself; with `escapes`, so does one behind a
 * backslash. */
static const char *skip_quoted(const char *p, bool escapes)
{
    char quote = *p++;
    for (; *p; p++) {
        if (escapes && *p == '\\' && p[1])
            p++;
        else if (*p == quote && p[1] == quote)
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return p;
}

/* Behind the text between dollar tags that begins at `p`; one character further if it is no tag. */
static const char *skip_dollars(const char *p)
{
    size_t len = 1;
    while (is_name(p[len]) && !(len == 1 && isdigit((unsigned char)p[len]))) len++;
    if (p[len++] != '$') return p + 1;
    for (const char *end = p + len; (end = strchr(end, '$')); end++)
        if (strncmp(end, p, len) == 0) return end + len;
    return p + strlen(p);
}

/* Comments of this form are nested. */
static const char *skip_comment(const char *p)
{
    int depth = 0;
    do {
        bool opens = p[0] == '/' && p[1] == '*', closes = p[0] == '*' && p[1] == '/';
        depth += opens - closes;
        p += opens || closes ? 2 : 1;
    } while (*p && depth > 0);
    return p;
}

/* Behind the token at `p`, and in *is_text whether it is more than blanks, a comment or a semicolon. */
static const char *skip_token(const char *p, bool *is_text)
{
    const char *name = p;
    *is_text = false;
    if (p[0] == '-' && p[1] == '-') return p + strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*') return skip_comment(p);
    if (isspace((unsigned char)*p) || *p == ';') return p + 1;
    *is_text = true;
    if (*p == '\'' || *p == '"') return skip_quoted(p, false);
    if (*p == '$') return skip_dollars(p);
    if (!is_name(*p)) return p + 1;
    while (is_name(*p) || *p == '$') p++;
    return *p == '\'' && p == name + 1 && toupper((unsigned char)*name) == 'E' ? skip_quoted(p, true) : p;
}

char *cmd_next_statement(arena *a, const char **text)
{
    const char *p = *text, *begin = NULL;
    while (*p && !(begin && *p == ';')) {
        bool is_text;
        const char *next = skip_token(p, &is_text);
        if (is_text && !begin) begin = p;
        p = next;
    }
    *text = *p ? p + 1 : p;
    return begin ? arena_strndup(a, begin, (size_t)(p - begin)) : NULL;
}
