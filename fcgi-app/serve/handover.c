/*
 * The members travel as lines of text in a memory file, which outlives execv; an environment variable names its
 * descriptor. Rejected: the variable itself, because the kernel limits one to 128 KiB, less than a thousand requests
 * can need; the board, because another version may have another layout.
 */
#include "serve/handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "http/route.h"

#define VARIABLE "BOOKY_HANDOVER"

enum { NAME_SIZE = 64, TAKEN_GENERATION = -1 };

/* Of a line: pid, when it is killed, start of the request, 1 if there is a request, its endpoint, its id. */
#define LINE_WRITTEN "%d %lld %lld %d %s %s\n"
#define LINE_READ "%d %lld %lld %d %63s %67s"

static void write_member(FILE *out, const pool *p, const member *m)
{
    const board_slot *slot = pool_slot(p, m);
    const progress *current = slot ? &slot->progress : NULL;
    int32_t endpoint = current ? atomic_load(&current->endpoint) : -1;
    fprintf(out, LINE_WRITTEN, (int)m->pid, (long long)m->kill_after_us,
            current ? (long long)atomic_load(&current->request_started_us) : 0,
            current && atomic_load(&current->stage) >= 0, endpoint >= 0 ? routes[endpoint].name : "-",
            current && *current->request_id ? current->request_id : "-");
}

void handover_pass(pool *p)
{
    char value[32];
    int fd = memfd_create("booky-sync", 0); /* without FD_CLOEXEC */
    FILE *out = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    if (!out) {
        log_event(LOG_LEVEL_WARN, "pool", "no memory to hand over the workers; nobody will watch them");
        return;
    }
    for (member *m = NULL; (m = pool_next_member(p, m));) write_member(out, p, m);
    fclose(out);
    snprintf(value, sizeof value, "%d %d", (int)getpid(), fd);
    setenv(VARIABLE, value, 1);
}

/* A pid that is not that of a child may belong to anybody. */
static bool is_child(pid_t pid)
{
    siginfo_t info;
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int32_t find_endpoint(const char *name)
{
    for (int32_t i = 0; routes[i].name; i++)
        if (strcmp(routes[i].name, name) == 0) return i;
    return -1;
}

/* Its slot has what it was doing. The pid of the slot stays 0: the status page shows the workers of this program. */
static bool take_member(pool *p, int row, const char *line)
{
    int pid, busy;
    long long kill_after_us, started_us;
    char endpoint[NAME_SIZE], id[PROGRESS_ID_SIZE];
    if (sscanf(line, LINE_READ, &pid, &kill_after_us, &started_us, &busy, endpoint, id) != 6) return false;
    if (!is_child(pid)) return false;
    progress *current = &p->board->slots[row].progress;
    atomic_store(&current->stage, busy ? 0 : STAGE_IDLE);
    atomic_store(&current->endpoint, find_endpoint(endpoint));
    atomic_store(&current->request_started_us, started_us);
    if (strcmp(id, "-") != 0) strcpy(current->request_id, id);
    p->members[row] = (member){
        .pid = pid, .slot = row, .generation = TAKEN_GENERATION, .stopping = true, .kill_after_us = kill_after_us};
    return true;
}

void handover_take(pool *p)
{
    int pid, fd, count = 0;
    char line[256];
    const char *value = getenv(VARIABLE);
    bool ours = value && sscanf(value, "%d %d", &pid, &fd) == 2 && pid == getpid();
    unsetenv(VARIABLE);
    FILE *in = ours && lseek(fd, 0, SEEK_SET) == 0 ? fdopen(fd, "r") : NULL;
    if (!in) return;
    /* The other half of the rows is for the workers of this program. */
    while (count < BOARD_SLOTS / 2 && fgets(line, sizeof line, in)) count += take_member(p, count, line);
    fclose(in);
    if (count > 0) log_event(LOG_LEVEL_INFO, "pool", "%d processes of the program before finish their requests", count);
}
