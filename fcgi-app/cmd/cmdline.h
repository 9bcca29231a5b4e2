/*
 * The command line. One table row per subcommand (main.c) names its operands and options; reading the command line,
 * checking it and writing the usage text work from the row, so every subcommand behaves the same.
 */
#ifndef BOOKY_CMDLINE_H
#define BOOKY_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/conf.h"

#ifndef BOOKY_SYSCONFDIR
#define BOOKY_SYSCONFDIR "/etc"
#endif
#define CMDLINE_CONFIG BOOKY_SYSCONFDIR "/booky-sync/booky-sync.conf" /* read if --config is not given */

/* Exit codes; the last two as in sysexits.h. CMD_RUN: none yet, the command is to be run. */
enum { CMD_RUN = -1, CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 64, CMD_CONFIG = 78 };

enum { CMDLINE_OPTIONS = 5, CMDLINE_OPERANDS = 3 }; /* most that a row can have */

typedef struct cmdline_option {
    const char *name;  /* without the dashes; NULL ends the list */
    char letter;       /* unique among the options of all verbs of a command */
    const char *value; /* the name of its value, or its choices: "open|resolved"; NULL: the option is a flag */
    enum { OPTIONAL, REQUIRED } required;
    const char *help;
} cmdline_option;

typedef struct cmdline cmdline;

typedef struct command {
    const char *name; /* one word, or a command and a verb: "user erase"; NULL ends the table */
    int (*run)(const cmdline *line, const conf *settings); /* returns an exit code */
    const char *help;                                      /* one sentence without a full stop */
    const char *operands[CMDLINE_OPERANDS + 1];            /* names, or choices as above; all are required */
    cmdline_option options[CMDLINE_OPTIONS + 1];           /* without --config and --help, which every command has */
    bool checks_settings; /* runs also if the configuration has faults, which are printed before */
} command;

struct cmdline {
    const command *command;
    const char *config;      /* path of the configuration file, or NULL */
    bool faulty;             /* the configuration has faults; such settings have their defaults */
    char *const *operands;   /* as many as the row has */
    const char *values[128]; /* of the options, by letter: "" for a flag, NULL if not given */
};

/* Reads the command line, which must outlive *line, against the table. Returns CMD_RUN if line->command is to be run;
 * otherwise it has printed the usage text or an error and returns the exit code. From then on warn(3) and warnx(3)
 * begin their lines with the full name of the command: "booky-sync user erase: ". */
int cmdline_read(const command *table, int argc, char **argv, cmdline *line);

/* The value of an option: "" for a flag that was given, NULL if it was not. `name` must be an option of the command. */
const char *cmdline_get(const cmdline *line, const char *name);

/* Prints an error and the usage text to standard error; returns CMD_USAGE. */
int cmdline_refuse(const cmdline *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
