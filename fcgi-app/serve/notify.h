/* Notifications to the service manager, as sd_notify(3). */
#ifndef BOOKY_NOTIFY_H
#define BOOKY_NOTIFY_H

/* Sends `state`, for example "READY=1", if the service manager set NOTIFY_SOCKET. */
void notify_send(const char *state);

#endif
