#include <err.h>

#include "cmd/cmd.h"
#include "push/push.h"

int cmd_push(const cmdline *line, const conf *settings)
{
    (void)line;
    char fault[512];
    push_sockets sockets;
    if (!listen_open_push(settings, &sockets, fault, sizeof fault)) {
        warnx("%s", fault);
        return CMD_CONFIG;
    }
    return push_run(settings, &sockets);
}
