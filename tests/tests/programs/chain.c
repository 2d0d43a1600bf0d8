/* chain LEVEL LAST exec|fork: tells what program number LEVEL is given, and becomes or starts the next, up to LAST. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "try_bind.h"

static void tell(const char *level, const char *list, char **entries)
{
    for (; *entries; entries++)
        if (!strncmp(*entries, "LD_PRELOAD", 10) || !strncmp(*entries, "RAUTHBIND", 9))
            printf("%s %s %s\n", level, list, *entries);
}

int main(int argc, char **argv, char **envp)
{
    struct stat status;
    int sockets = 0, last = atoi(argv[1]) >= atoi(argv[2]);
    char next[16];

    for (int fd = 0; fd < 4096; fd++)
        sockets += !fstat(fd, &status) && S_ISSOCK(status.st_mode);
    printf("%s sockets %d\n%s bind %d\n", argv[1], sockets, argv[1], try_bind(80));
    tell(argv[1], "envp", envp);
    tell(argv[1], "environ", environ);
    fflush(stdout);
    if (last)
        return 0;
    if (!strcmp(argv[3], "fork") && fork())
        return wait(NULL) < 0;
    snprintf(next, sizeof next, "%d", atoi(argv[1]) + 1);
    argv[1] = next;
    execv(argv[0], argv);
    return 1;
}
