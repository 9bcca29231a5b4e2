#include "cmd/cmdline.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 28 }; /* where the explanation of an option begins */

static const cmdline_option common[] = {
    {"config", 'c', "FILE", OPTIONAL, "read the settings from FILE (default: " CMDLINE_CONFIG ")"},
    {"help", 'h', NULL, OPTIONAL, "show this text"},
    {0},
};

/* The options of a row, then the common ones; NULL after the last. */
static const cmdline_option *option_at(const command *row, size_t i)
{
    size_t own = 0;
    while (row->options[own].name) own++;
    const cmdline_option *option = i < own ? &row->options[i] : &common[i - own];
    return option->name ? option : NULL;
}

/* Whether `row` is the command `name` or one of its verbs. */
static bool belongs_to(const command *row, const char *name)
{
    size_t len = strcspn(row->name, " ");
    return strlen(name) == len && strncmp(row->name, name, len) == 0;
}

static const char *verb_of(const command *row)
{
    const char *space = strchr(row->name, ' ');
    return space ? space + 1 : NULL;
}

/* Usage texts */

/* Lists all commands, or the verbs of the one called `name`. */
static void print_commands(FILE *out, const command *table, const char *name)
{
    fprintf(out, "usage: booky-sync %s%sCOMMAND [OPTION]...\n\ncommands:\n", name ? name : "", name ? " " : "");
    for (const command *row = table; row->name; row++)
        if (!name || belongs_to(row, name)) fprintf(out, "  %-17s  %s\n", row->name, row->help);
    fputs("\noptions:\n  -h, --help         show this text; after a command: show its options\n", out);
    if (!name) fputs("  --version          show the version\n", out);
    fputs("\nSee booky-sync(8).\n", out);
}

static void print_usage(FILE *out, const command *row)
{
    const cmdline_option *option;
    fprintf(out, "usage: booky-sync %s", row->name);
    for (size_t i = 0; (option = option_at(row, i)); i++)
        if (option->letter != 'h')
            fprintf(out, option->required ? " --%s%s%s" : " [--%s%s%s]", option->name, option->value ? " " : "",
                    option->value ? option->value : "");
    for (size_t i = 0; row->operands[i]; i++) fprintf(out, " %s", row->operands[i]);
    fputc('\n', out);
}

static int help(const command *row)
{
    const cmdline_option *option;
    print_usage(stdout, row);
    printf("\n%c%s.\n\noptions:\n", toupper((unsigned char)*row->help), row->help + 1);
    for (size_t i = 0; (option = option_at(row, i)); i++) {
        int width = printf("  -%c, --%s%s%s", option->letter, option->name, option->value ? " " : "",
                           option->value ? option->value : "");
        printf("%*s  %s\n", HELP_COLUMN - width, "", option->help);
    }
    puts("\nSee booky-sync(8).");
    return CMD_OK;
}

/* After an error was printed. */
static int refuse(const command *row)
{
    print_usage(stderr, row);
    fprintf(stderr, "`booky-sync %s --help` shows the options.\n", row->name);
    return CMD_USAGE;
}

int cmdline_refuse(const cmdline *line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vwarnx(fmt, ap);
    va_end(ap);
    return refuse(line->command);
}

/* Reading */

/* Options as getopt_long(3) wants them. Two verbs may have the same option: getopt does not mind equal entries. */
typedef struct getopt_table {
    struct option list[32];
    char letters[3 * 32];
    size_t count;
} getopt_table;

static void add_options(getopt_table *t, const command *row)
{
    const cmdline_option *option;
    for (size_t i = 0; (option = option_at(row, i)); i++) {
        if (t->count + 1 == sizeof t->list / sizeof *t->list) abort();
        t->list[t->count++] =
            (struct option){option->name, option->value ? required_argument : no_argument, NULL, option->letter};
        const char letter[] = {option->letter, option->value ? ':' : '\0', '\0'};
        strcat(t->letters, letter);
    }
}

/* Finds the row of the command argv[0] with its verb, and removes the verb from argv. Options may stand before it
 * (`user --json list`): it is the first operand that the options of all verbs leave. Without such a row it prints an
 * error, or the help if that was asked for, and returns NULL with *exit_code. */
static const command *find_verb(const command *rows, int *argc, char **argv, int *exit_code)
{
    const char *name = argv[0];
    bool help_wanted = false;
    getopt_table options = {.letters = "+"}; /* stop at the first operand */
    for (const command *row = rows; row->name; row++)
        if (belongs_to(row, name)) add_options(&options, row);
    opterr = 0;
    optind = 0;
    for (int c; (c = getopt_long(*argc, argv, options.letters, options.list, NULL)) != -1;)
        if (c == 'h') help_wanted = true;
    const char *verb = argv[optind];
    for (const command *row = rows; verb && row->name; row++)
        if (belongs_to(row, name) && strcmp(verb_of(row), verb) == 0) {
            memmove(argv + optind, argv + optind + 1, (size_t)(*argc - optind) * sizeof *argv);
            --*argc;
            return row;
        }
    if (!help_wanted && verb) warnx("%s %s: no such command", name, verb);
    if (!help_wanted && !verb) warnx("%s: COMMAND is missing", name);
    print_commands(help_wanted ? stdout : stderr, rows, name);
    *exit_code = help_wanted ? CMD_OK : CMD_USAGE;
    return NULL;
}

/* Whether `value` is what `expected` asks for: one of its choices, if it has any. */
static bool is_allowed(const char *expected, const char *value)
{
    size_t len = strlen(value);
    if (!strchr(expected, '|')) return true;
    for (const char *choice = expected; choice; choice = strchr(choice, '|') ? strchr(choice, '|') + 1 : NULL)
        if (strcspn(choice, "|") == len && strncmp(choice, value, len) == 0) return true;
    return false;
}

static int check(const cmdline *line, int operand_count)
{
    const command *row = line->command;
    int wanted = 0;
    for (const cmdline_option *option = row->options; option->name; option++) {
        const char *value = line->values[(int)option->letter];
        if (!value && option->required) return cmdline_refuse(line, "--%s is required: %s", option->name, option->help);
        if (value && option->value && !is_allowed(option->value, value))
            return cmdline_refuse(line, "--%s %s: must be %s", option->name, value, option->value);
    }
    for (; row->operands[wanted]; wanted++) {
        if (wanted == operand_count) return cmdline_refuse(line, "%s is missing", row->operands[wanted]);
        if (!is_allowed(row->operands[wanted], line->operands[wanted]))
            return cmdline_refuse(line, "%s: must be %s", line->operands[wanted], row->operands[wanted]);
    }
    if (operand_count > wanted) return cmdline_refuse(line, "unexpected operand: %s", line->operands[wanted]);
    return CMD_RUN;
}

/* Reads options and operands after argv[0], the name of the command. */
static int read_arguments(int argc, char **argv, cmdline *line)
{
    getopt_table options = {0};
    add_options(&options, line->command);
    argv[0] = program_invocation_short_name; /* getopt begins its messages with it */
    opterr = 1;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, options.letters, options.list, NULL)) != -1;) {
        if (c == 'h') return help(line->command);
        if (c == '?') return refuse(line->command);
        line->values[c] = optarg ? optarg : "";
    }
    line->config = line->values['c'];
    line->operands = argv + optind;
    return check(line, argc - optind);
}

int cmdline_read(const command *table, int argc, char **argv, cmdline *line)
{
    static char full_name[64]; /* warnx keeps the pointer */
    int exit_code = CMD_OK;
    *line = (cmdline){0};
    program_invocation_short_name = "booky-sync";
    if (argc < 2) return print_commands(stderr, table, NULL), CMD_USAGE;
    const char *name = argv[1];
    if (is_allowed("-h|--help|help", name)) return print_commands(stdout, table, NULL), CMD_OK;

    const command *row = table;
    while (row->name && !belongs_to(row, name)) row++;
    if (!row->name) {
        warnx("%s: no such command", name);
        return print_commands(stderr, table, NULL), CMD_USAGE;
    }
    argc--;
    argv++;
    if (verb_of(row)) row = find_verb(row, &argc, argv, &exit_code);
    if (!row) return exit_code;
    snprintf(full_name, sizeof full_name, "booky-sync %s", row->name);
    program_invocation_short_name = full_name;
    line->command = row;
    return read_arguments(argc, argv, line);
}

const char *cmdline_get(const cmdline *line, const char *name)
{
    const cmdline_option *option = line->command->options;
    while (option->name && strcmp(option->name, name) != 0) option++;
    if (!option->name) abort();
    return line->values[(int)option->letter];
}
