/* The sample configuration and booky-sync.conf(5) describe exactly the settings of the table in conf.c. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "unit.h"

/* One setting as a document describes it. */
typedef struct entry {
    char name[64];   /* section.key */
    char text[2048]; /* the sample: the comment above it; the manual: the lines after it */
    char value[256]; /* the sample: the default after the equals sign */
} entry;

static entry entries[256];
static size_t entry_count;
static char section[16];

/* Copies `from` up to one of `ends` into to[size]; fails the test when it does not fit. */
static void copy(char *to, size_t size, const char *from, const char *ends)
{
    size_t len = strcspn(from, ends);
    ck_assert_msg(len < size, "too long for this test: %s", from);
    memcpy(to, from, len);
    to[len] = '\0';
}

static FILE *open_document(const char *name)
{
    char path[4096];
    const char *srcdir = getenv("srcdir"); /* automake's */
    snprintf(path, sizeof path, "%s/docs/%s", srcdir ? srcdir : ".", name);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s: cannot be read; srcdir must name the source tree", path);
    entry_count = 0;
    *section = '\0';
    return f;
}

/* `line` begins with the key. */
static entry *add_entry(const char *line)
{
    ck_assert_msg(entry_count < COUNT(entries), "too many settings for this test");
    entry *e = &entries[entry_count++];
    *e = (entry){0};
    copy(e->name, sizeof e->name, section, "");
    strcat(e->name, ".");
    copy(e->name + strlen(e->name), sizeof e->name - strlen(e->name), line, " =\n");
    return e;
}

static void append(char *text, size_t size, const char *line)
{
    copy(text + strlen(text), size - strlen(text), line, "");
}

/* Lines are "[section]", "# comment" or ";key = default". A comment belongs to the setting directly below it. */
static void read_sample(void)
{
    FILE *f = open_document("examples/booky-sync.conf");
    char line[512], comment[2048] = "";
    while (fgets(line, sizeof line, f)) {
        if (*line == '#')
            append(comment, sizeof comment, line + 1);
        else if (*line == '[')
            copy(section, sizeof section, line + 1, "]");
        else if (*line != '\n') {
            ck_assert_msg(*line == ';', "the sample changes a setting: %s", line);
            const char *equals = strchr(line, '=');
            ck_assert_msg(equals != NULL, "not a section, comment or setting: %s", line);
            entry *e = add_entry(line + 1);
            copy(e->value, sizeof e->value, equals + 1 + strspn(equals + 1, " "), "\n");
            copy(e->text, sizeof e->text, comment, "");
        }
        if (*line != '#') *comment = '\0';
    }
    fclose(f);
}

/* In .Sh SETTINGS: ".Ss [section]", ".It Cm key", then the text of the setting. */
static void read_manual(void)
{
    FILE *f = open_document("man/booky-sync.conf.5");
    char line[512];
    bool settings = false;
    entry *e = NULL;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, ".Sh ", 4) == 0) settings = strcmp(line, ".Sh SETTINGS\n") == 0;
        if (!settings) continue;
        if (strncmp(line, ".Ss [", 5) == 0)
            copy(section, sizeof section, line + 5, "]");
        else if (strncmp(line, ".It Cm ", 7) == 0)
            e = add_entry(line + 7);
        else if (strcmp(line, ".El\n") == 0)
            e = NULL;
        else if (e)
            append(e->text, sizeof e->text, line);
    }
    fclose(f);
}

/* Each row has one entry, and each entry has a row. */
static void check_names(void)
{
    for (size_t i = 0; i < entry_count; i++) {
        const conf_row *row = conf_rows;
        while (row->name && strcmp(row->name, entries[i].name) != 0) row++;
        ck_assert_msg(row->name != NULL, "%s: there is no such setting", entries[i].name);
    }
    for (const conf_row *row = conf_rows; row->name; row++) {
        int found = 0;
        for (size_t i = 0; i < entry_count; i++) found += strcmp(row->name, entries[i].name) == 0;
        ck_assert_msg(found == 1, "%s: described %d times", row->name, found);
    }
}

static const entry *entry_of(const conf_row *row)
{
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(row->name, entries[i].name) == 0) return &entries[i];
    ck_abort_msg("%s: is missing", row->name);
    return NULL;
}

/* Whether `word` is in `text` as a whole word, in upper or lower case. */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = text; (p = strcasestr(p, word)) != NULL; p++)
        if ((p == text || !isalnum((unsigned char)p[-1])) && !isalnum((unsigned char)p[len])) return true;
    return false;
}

static void check_choices(const conf_row *row, const char *text)
{
    char list[256], *rest;
    if (!row->choices) return;
    snprintf(list, sizeof list, "%s", row->choices);
    for (char *choice = strtok_r(list, ",", &rest); choice; choice = strtok_r(NULL, ",", &rest))
        ck_assert_msg(has_word(text, choice), "%s: the choice %s is missing", row->name, choice);
}

START_TEST(the_sample_names_the_settings)
{
    read_sample();
    check_names();
}
END_TEST

START_TEST(the_sample_has_default_unit_and_choices)
{
    read_sample();
    for (const conf_row *row = conf_rows; row->name; row++) {
        const entry *e = entry_of(row);
        if (row->fallback)
            ck_assert_msg(strcmp(e->value, row->fallback) == 0, "%s: the default is \"%s\", not \"%s\"", row->name,
                          row->fallback, e->value);
        else
            ck_assert_msg(has_word(e->text, "unset"), "%s: the meaning of unset is missing", row->name);
        ck_assert_msg(!row->unit || has_word(e->text, row->unit), "%s: the unit %s is missing", row->name, row->unit);
        check_choices(row, e->text);
    }
}
END_TEST

START_TEST(the_manual_names_the_settings)
{
    read_manual();
    check_names();
}
END_TEST

START_TEST(the_manual_has_default_bounds_unit_and_choices)
{
    read_manual();
    for (const conf_row *row = conf_rows; row->name; row++) {
        const entry *e = entry_of(row);
        char expected[512];
        if (!row->fallback)
            snprintf(expected, sizeof expected, "\nDefault: ");
        else if (!*row->fallback)
            snprintf(expected, sizeof expected, "\nDefault: empty.\n");
        else
            snprintf(expected, sizeof expected, "\nDefault:\n.Ql %s .\n", row->fallback);
        ck_assert_msg(strstr(e->text, expected) != NULL, "%s: this is missing:%s", row->name, expected);
        if (row->type == CONF_INTEGER) {
            snprintf(expected, sizeof expected, "\n%lld to %lld %s.\n", (long long)row->min, (long long)row->max,
                     row->unit);
            ck_assert_msg(strstr(e->text, expected) != NULL, "%s: this is missing:%s", row->name, expected);
        }
        check_choices(row, e->text);
    }
}
END_TEST

Suite *suite_docs(void);

Suite *suite_docs(void)
{
    Suite *s = suite_create("docs");
    TCase *t = tcase_create("settings");
    tcase_add_test(t, the_sample_names_the_settings);
    tcase_add_test(t, the_sample_has_default_unit_and_choices);
    tcase_add_test(t, the_manual_names_the_settings);
    tcase_add_test(t, the_manual_has_default_bounds_unit_and_choices);
    suite_add_tcase(s, t);
    return s;
}
