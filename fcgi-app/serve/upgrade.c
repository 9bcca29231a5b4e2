#include "serve/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/handover.h"
#include "serve/members.h"

/* Checked first, because the running program must not be replaced by one that fails to start. */
static bool can_start(const pool *p, char *fault, size_t fault_size)
{
    pool_settings s;
    if (access(p->exe, X_OK) != 0) {
        snprintf(fault, fault_size, "%s: %s", p->exe, strerror(errno));
        return false;
    }
    if (!pool_settings_load(&s, p->conf_path, fault, fault_size)) return false;
    pool_settings_free(&s);
    return true;
}

void upgrade_exec(pool *p, const char *why)
{
    char fault[8192];
    if (!can_start(p, fault, sizeof fault)) {
        log_event(LOG_LEVEL_ERROR, "pool", "cannot restart (%s): %s", why, fault);
        return;
    }
    log_event(LOG_LEVEL_WARN, "pool", "restarting: %s", why);
    for (member *m = NULL; (m = pool_next_member(p, m));) members_stop(p, m);
    handover_pass(p);
    listen_pass(p->listeners);
    execv(p->exe, p->argv);
    log_event(LOG_LEVEL_ERROR, "pool", "cannot execute %s: %s", p->exe, strerror(errno));
    exit(EXIT_FAILURE); /* the service manager starts the program again */
}
