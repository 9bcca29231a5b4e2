/* conf.[ch]: defaults, then the file, then the environment. Each fault is one line with its place and its reason. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "unit.h"

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X180 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static conf c;
static char folder[] = "/tmp/booky-conf-XXXXXX", path[64], one[64], two[64];

static void setup(void)
{
    for (const conf_row *row = conf_rows; row->name; row++) { /* the environment of the developer must not matter */
        char name[96];
        snprintf(name, sizeof name, "BOOKY_%s", row->name);
        for (char *c = name; *c; c++) *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
        unsetenv(name);
    }
    fclose(fopen(path, "w"));
}

/* An unchecked fixture: it runs in the parent process, so that a failing test leaves no files. */
static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/conf", folder);
    snprintf(one, sizeof one, "%s/1.conf", folder);
    snprintf(two, sizeof two, "%s/2.conf", folder);
}

static void remove_folder(void)
{
    unlink(path);
    unlink(one);
    unlink(two);
    rmdir(folder);
}

static void teardown(void)
{
    conf_free(&c);
}

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "w");
    fwrite(text, 1, len, f);
    fclose(f);
}

/* Loads the file, with `variable` ("NAME=value" or NULL) in the environment. */
static bool load(const char *variable, char *fault, size_t size)
{
    char copy[400] = "";
    if (variable) {
        snprintf(copy, sizeof copy, "%s", variable);
        char *equals = strchr(copy, '=');
        *equals = '\0';
        setenv(copy, equals + 1, 1);
    }
    bool loaded = conf_load(&c, path, fault, size);
    if (variable) unsetenv(copy);
    return loaded;
}

/* A setting as text, by its name. */
static const char *value_of(const char *name)
{
    static char number[32];
    for (const conf_row *row = conf_rows; row->name; row++) {
        if (strcmp(row->name, name) != 0) continue;
        const void *field = (const char *)&c + row->offset;
        if (row->type == CONF_STRING || row->type == CONF_CHOICE) return *(const char *const *)field;
        snprintf(number, sizeof number, row->type == CONF_OCTAL ? "%04llo" : "%lld", *(const long long *)field);
        return number;
    }
    return "no such setting";
}

static const struct {
    const char *setting, *value;
} defaults[] = {
    {"server.socket", "/run/booky-sync.sock"},
    {"server.socket_mode", "0660"},
    {"server.socket_group", ""},
    {"server.backlog", "1024"},
    {"pool.drain_timeout", "30"},
    {"database.dsn", "dbname=booky"},
    {"database.password_file", ""},
    {"database.admin_dsn", "dbname=booky"},
    {"database.statement_timeout", "15000"},
    {"database.lock_timeout", "3000"},
    {"auth.keys_dir", "/etc/booky-sync/keys.d"},
    {"auth.issuer", ""},
    {"auth.audience", ""},
    {"auth.user_claims", "userId,sub"},
    {"auth.leeway", "30"},
    {"limits.body", "10485760"},
    {"limits.full_body", "33554432"},
    {"limits.full_items", "100000"},
    {"limits.operations", "1000"},
    {"limits.entity", "1048576"},
    {"limits.depth", "64"},
    {"sync.conflict_resolution", "merge"},
    {"sync.clock_skew", "300"},
    {"retention.tombstones", "180"},
    {"retention.ledger", "90"},
    {"retention.snapshots", "30"},
    {"erasure.journal", "/var/lib/booky-sync/erasures"},
    {"log.level", "info"},
};

START_TEST(without_a_file_the_defaults_apply)
{
    char fault[300];
    ck_assert_msg(conf_load(&c, NULL, fault, sizeof fault), "%s", fault);
    ck_assert_str_eq(fault, "");
    for (size_t i = 0; i < COUNT(defaults); i++)
        ck_assert_msg(strcmp(value_of(defaults[i].setting), defaults[i].value) == 0, "%s: %s", defaults[i].setting,
                      value_of(defaults[i].setting));
    ck_assert_int_eq(c.workers, 2 * sysconf(_SC_NPROCESSORS_ONLN));
}
END_TEST

START_TEST(every_row_is_complete)
{
    for (const conf_row *row = conf_rows; row->name; row++) {
        ck_assert_msg(strchr(row->name, '.') && row->help[strlen(row->help) - 1] == '.', "%s: help", row->name);
        ck_assert_msg((row->type == CONF_CHOICE) == (row->choices != NULL), "%s: choices", row->name);
        ck_assert_msg(row->type != CONF_INTEGER || (row->unit && row->min < row->max), "%s: bounds", row->name);
        for (const conf_row *other = conf_rows; other < row; other++)
            ck_assert_msg(other->offset != row->offset && strcmp(other->name, row->name) != 0, "%s: twice", row->name);
    }
}
END_TEST

static const struct {
    const char *name, *file, *variable, *setting, *value;
} loaded[] = {
    {"an empty file", "", NULL, "pool.drain_timeout", "30"},
    {"a setting", "[pool]\nworkers = 3\n", NULL, "pool.workers", "3"},
    {"without spaces", "[pool]\nworkers=3\n", NULL, "pool.workers", "3"},
    {"without a newline at the end", "[pool]\nworkers = 3", NULL, "pool.workers", "3"},
    {"line ends of Windows", "[pool]\r\nworkers = 3\r\n", NULL, "pool.workers", "3"},
    {"a byte order mark", "\xEF\xBB\xBF[pool]\nworkers = 3\n", NULL, "pool.workers", "3"},
    {"comments and empty lines", "# one\n; two\n\n[pool]\n# three\nworkers = 3 ; four\n", NULL, "pool.workers", "3"},
    {"a setting of another section keeps its default", "[pool]\nworkers = 3\n", NULL, "limits.depth", "64"},
    {"a section in two places", "[pool]\nworkers = 3\n[log]\n[pool]\ndrain_timeout = 4\n", NULL, "pool.drain_timeout",
     "4"},
    {"the lower bound", "[limits]\nbody = 1024\n", NULL, "limits.body", "1024"},
    {"the upper bound", "[limits]\nbody = 1073741824\n", NULL, "limits.body", "1073741824"},
    {"an octal number with a zero", "[server]\nsocket_mode = 0600\n", NULL, "server.socket_mode", "0600"},
    {"an octal number without", "[server]\nsocket_mode = 777\n", NULL, "server.socket_mode", "0777"},
    {"a choice", "[sync]\nconflict_resolution = manual\n", NULL, "sync.conflict_resolution", "manual"},
    {"the last choice", "[log]\nlevel = debug\n", NULL, "log.level", "debug"},
    {"a text with equals signs", "[database]\ndsn = host=db port=5433 dbname=x\n", NULL, "database.dsn",
     "host=db port=5433 dbname=x"},
    {"an empty text", "[server]\nsocket_group =\n", NULL, "server.socket_group", ""},
    {"a line of the maximum length", "[auth]\nissuer = " X180 "123456789\n", NULL, "auth.issuer", X180 "123456789"},
    {"the environment over the default", "", "BOOKY_POOL_WORKERS=7", "pool.workers", "7"},
    {"the environment over the file", "[pool]\nworkers = 3\n", "BOOKY_POOL_WORKERS=7", "pool.workers", "7"},
    {"a long text from the environment", "", "BOOKY_DATABASE_DSN=" X180 " # ; " X50, "database.dsn", X180 " # ; " X50},
    {"an empty text from the environment", "[auth]\nissuer = x\n", "BOOKY_AUTH_ISSUER=", "auth.issuer", ""},
    {"a name with an underscore", "", "BOOKY_SERVER_SOCKET_MODE=0644", "server.socket_mode", "0644"},
    {"a choice from the environment", "", "BOOKY_LOG_LEVEL=warn", "log.level", "warn"},
    {"other variables are ignored", "", "BOOKY_NO_SUCH_SETTING=1", "limits.depth", "64"},
};

START_TEST(a_setting_is_loaded)
{
    char fault[300];
    write_file(loaded[_i].file, strlen(loaded[_i].file));
    ck_assert_msg(load(loaded[_i].variable, fault, sizeof fault), "%s: %s", loaded[_i].name, fault);
    const char *value = value_of(loaded[_i].setting);
    ck_assert_msg(strcmp(value, loaded[_i].value) == 0, "%s: \"%s\"", loaded[_i].name, value);
}
END_TEST

/* FILE in a message stands for the file's path. */
static const struct {
    const char *name, *file, *variable, *fault;
} faults[] = {
    {"below the limit", "[pool]\nworkers = 0\n", NULL, "FILE:2: pool.workers: 0 is below 1 processes"},
    {"above the limit", "[pool]\n\n# many\nworkers = 1025\n", NULL,
     "FILE:4: pool.workers: 1025 is above 1024 processes"},
    {"a negative number", "[sync]\nclock_skew = -1\n", NULL, "FILE:2: sync.clock_skew: -1 is below 0 seconds"},
    {"one byte below", "[limits]\nbody = 1023\n", NULL, "FILE:2: limits.body: 1023 is below 1024 bytes"},
    {"the ledger is kept for at least 90 days", "[retention]\nledger = 89\n", NULL,
     "FILE:2: retention.ledger: 89 is below 90 days"},
    {"not a number", "[limits]\ndepth = deep\n", NULL, "FILE:2: limits.depth: \"deep\" is not a whole number"},
    {"a number with a unit", "[limits]\nbody = 10M\n", NULL, "FILE:2: limits.body: \"10M\" is not a whole number"},
    {"a fraction", "[limits]\ndepth = 4.5\n", NULL, "FILE:2: limits.depth: \"4.5\" is not a whole number"},
    {"an empty number", "[limits]\ndepth =\n", NULL, "FILE:2: limits.depth: \"\" is not a whole number"},
    {"a number beyond 64 bits", "[limits]\nbody = 99999999999999999999\n", NULL,
     "FILE:2: limits.body: \"99999999999999999999\" is not a whole number"},
    {"not an octal number", "[server]\nsocket_mode = 0680\n", NULL,
     "FILE:2: server.socket_mode: \"0680\" is not an octal number"},
    {"a mode above the limit", "[server]\nsocket_mode = 1777\n", NULL,
     "FILE:2: server.socket_mode: 1777 is above 0777"},
    {"a mode below zero", "[server]\nsocket_mode = -1\n", NULL, "FILE:2: server.socket_mode: -1 is below 0000"},
    {"an unknown choice", "[sync]\nconflict_resolution = newest\n", NULL,
     "FILE:2: sync.conflict_resolution: \"newest\" is not one of merge,local,server,manual"},
    {"a choice in capitals", "[log]\nlevel = INFO\n", NULL,
     "FILE:2: log.level: \"INFO\" is not one of error,warn,info,debug"},
    {"two choices", "[log]\nlevel = warn,info\n", NULL,
     "FILE:2: log.level: \"warn,info\" is not one of error,warn,info,debug"},
    {"a prefix of a choice", "[log]\nlevel = inf\n", NULL,
     "FILE:2: log.level: \"inf\" is not one of error,warn,info,debug"},
    {"an empty choice", "[log]\nlevel =\n", NULL, "FILE:2: log.level: \"\" is not one of error,warn,info,debug"},
    {"an unknown setting", "[pool]\nworker = 4\n", NULL, "FILE:2: pool.worker: no such setting"},
    {"an unknown section", "[pools]\nworkers = 4\n", NULL, "FILE:2: pools.workers: no such setting"},
    {"a prefix of a section", "[poo]\nworkers = 4\n", NULL, "FILE:2: poo.workers: no such setting"},
    {"a dot in the wrong place", "[poo]\n.workers = 4\n", NULL, "FILE:2: poo..workers: no such setting"},
    {"no section", "workers = 4\n", NULL, "FILE:1: .workers: no such setting"},
    {"a name in capitals", "[pool]\nWorkers = 4\n", NULL, "FILE:2: pool.Workers: no such setting"},
    {"neither section nor setting", "[pool]\nworkers\n", NULL, "FILE:2: not a section, setting or comment"},
    {"a section that is not closed", "[pool\n", NULL, "FILE:1: not a section, setting or comment"},
    {"a setting after such a section", "[pool\nworkers = 4\n", NULL,
     "FILE:1: not a section, setting or comment\nFILE:2: .workers: no such setting"},
    {"a setting twice", "[pool]\nworkers = 4\n\nworkers = 4\n", NULL,
     "FILE:4: pool.workers: set twice, or the line is indented"},
    {"a continuation line", "[database]\ndsn = host=db\n  dbname=booky\n", NULL,
     "FILE:3: database.dsn: set twice, or the line is indented"},
    {"every fault is reported", "[pool]\nworkers = 0\ndrain_timeout = -1\n[log]\nlevel = loud\n",
     "BOOKY_LIMITS_DEPTH=deep",
     "FILE:2: pool.workers: 0 is below 1 processes\nFILE:3: pool.drain_timeout: -1 is below 0 seconds\n"
     "FILE:5: log.level: \"loud\" is not one of error,warn,info,debug\n"
     "BOOKY_LIMITS_DEPTH: limits.depth: \"deep\" is not a whole number"},
    {"broken lines among other faults, in order", "[pool]\nx\nworkers = 0\n[y\n\n; fine\nz\nstart_timeout = 0\n", NULL,
     "FILE:2: not a section, setting or comment\nFILE:3: pool.workers: 0 is below 1 processes\n"
     "FILE:4: not a section, setting or comment\nFILE:7: not a section, setting or comment\n"
     "FILE:8: pool.start_timeout: 0 is below 1 seconds"},
    {"a setting after a line that is too long", "# " X180 X50 "\n[pool]\nworkers = 0\n", NULL,
     "FILE:1: longer than 198 bytes\nFILE:3: pool.workers: 0 is below 1 processes"},
    {"a line that is too long", "[auth]\nissuer = " X180 "1234567890\n", NULL, "FILE:2: longer than 198 bytes"},
    {"a comment that is too long", "# " X180 X50 "\n", NULL, "FILE:1: longer than 198 bytes"},
    {"a fault in the environment", "", "BOOKY_POOL_WORKERS=0",
     "BOOKY_POOL_WORKERS: pool.workers: 0 is below 1 processes"},
    {"an empty number in the environment", "",
     "BOOKY_LIMITS_DEPTH=", "BOOKY_LIMITS_DEPTH: limits.depth: \"\" is not a whole number"},
    {"an unknown choice in the environment", "", "BOOKY_LOG_LEVEL=loud",
     "BOOKY_LOG_LEVEL: log.level: \"loud\" is not one of error,warn,info,debug"},
};

START_TEST(each_fault_is_reported_in_one_line)
{
    char fault[1000], expected[1000] = "";
    write_file(faults[_i].file, strlen(faults[_i].file));
    ck_assert_msg(!load(faults[_i].variable, fault, sizeof fault), "%s: accepted", faults[_i].name);
    for (const char *p = faults[_i].fault, *file; *p; p = file + 4) {
        size_t used = strlen(expected);
        file = strstr(p, "FILE");
        snprintf(expected + used, sizeof expected - used, "%.*s%s", (int)(file ? file - p : (long)strlen(p)), p,
                 file ? path : "");
        if (!file) break;
    }
    ck_assert_msg(strcmp(fault, expected) == 0, "%s: %s", faults[_i].name, fault);
}
END_TEST

START_TEST(a_missing_file_is_reported)
{
    char fault[100], small[20];
    unlink(path);
    ck_assert(!conf_load(&c, path, fault, sizeof fault));
    ck_assert_str_eq(fault + strlen(path), ": No such file or directory");
    conf_free(&c);
    ck_assert(!conf_load(&c, path, small, sizeof small)); /* a message that does not fit is truncated */
    ck_assert_int_eq(strncmp(small, path, sizeof small - 1), 0);
    ck_assert_uint_eq(strlen(small), sizeof small - 1);
}
END_TEST

static size_t count_lines(const char *text)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    return lines;
}

START_TEST(what_does_not_fit_of_many_faults_is_left_out)
{
    char text[4000] = "", fault[20000], all[20000];
    for (int i = 0; i < 150; i++) strcat(text, i % 3 ? "[limits]\n" : "depth\n");
    for (int i = 0; i < 150; i++) strcat(text, "x = 1\n");
    write_file(text, strlen(text));
    ck_assert(!load(NULL, all, sizeof all));
    ck_assert_uint_eq(count_lines(all), 100);
    ck_assert_ptr_nonnull(strstr(all, ":1: not a section"));
    ck_assert_ptr_nonnull(strstr(all, ":58: not a section")); /* the twentieth */
    ck_assert_ptr_nonnull(strstr(all, ":151: limits.x: no such setting"));
    for (size_t size = 1; size < 300; size++) {
        conf_free(&c);
        memset(fault, '#', sizeof fault);
        ck_assert(!load(NULL, fault, size));
        size_t len = strlen(fault), first = strcspn(all, "\n");
        ck_assert_uint_lt(len, size);
        ck_assert_int_eq(strncmp(fault, all, len), 0);
        ck_assert_msg(len == (size <= first ? size - 1 : len) && (len <= first || all[len] == '\n'), "%zu: %s", size,
                      fault);
    }
}
END_TEST

START_TEST(a_file_that_includes_itself_twice_is_not_read_many_times)
{
    char text[400], fault[8000];
    int len = snprintf(text, sizeof text, "include = %s\ninclude = %s\nworkers\n", path, path);
    write_file(text, (size_t)len);
    ck_assert(!load(NULL, fault, sizeof fault));
    ck_assert_uint_eq(count_lines(fault), 1);
}
END_TEST

START_TEST(a_file_includes_others)
{
    char text[400], fault[400];
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(i ? two : one, "w");
        fputs(i ? "[limits]\noperations = 300\ndepth = 9\n" : "[limits]\noperations = 200\n", f);
        fclose(f);
    }
    int len =
        snprintf(text, sizeof text, "[limits]\noperations = 100\ninclude = %s/*.conf\n[pool]\nworkers = 3\n", folder);
    write_file(text, (size_t)len);
    ck_assert_msg(load(NULL, fault, sizeof fault), "%s", fault);
    ck_assert_int_eq(c.operations, 300); /* the last one read, by name */
    ck_assert_int_eq(c.depth, 9);
    ck_assert_int_eq(c.workers, 3); /* the rest of the file is read */
    conf_free(&c);
    len = snprintf(text, sizeof text, "[limits]\ninclude = %s/*.none\ninclude = %s/none\n", folder, folder);
    write_file(text, (size_t)len);
    ck_assert(!load(NULL, fault, sizeof fault)); /* a pattern may match no file, a name must exist */
    ck_assert_ptr_nonnull(strstr(fault, "/none: No such file or directory"));
    conf_free(&c);
    len = snprintf(text, sizeof text, "[limits]\ninclude = %s\n", path);
    write_file(text, (size_t)len);
    ck_assert(!load(NULL, fault, sizeof fault));
    ck_assert_ptr_nonnull(strstr(fault, ":2: include: more than 8 files deep"));
}
END_TEST

Suite *suite_conf(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("conf");
    tcase_add_unchecked_fixture(t, make_folder, remove_folder);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, without_a_file_the_defaults_apply);
    tcase_add_test(t, every_row_is_complete);
    tcase_add_loop_test(t, a_setting_is_loaded, 0, COUNT(loaded));
    tcase_add_loop_test(t, each_fault_is_reported_in_one_line, 0, COUNT(faults));
    tcase_add_test(t, what_does_not_fit_of_many_faults_is_left_out);
    tcase_add_test(t, a_file_that_includes_itself_twice_is_not_read_many_times);
    tcase_add_test(t, a_missing_file_is_reported);
    tcase_add_test(t, a_file_includes_others);
    suite_add_tcase(s, t);
    return s;
}
