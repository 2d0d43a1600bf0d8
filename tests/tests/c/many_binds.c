/* many_binds [closed]: for each line on its standard input, which is a number, 8 threads bind as often each, half of them
 * with TCP: a port of their own that is granted (200 and up), and every tenth time one that is not (300 and up). Says when
 * half of it is done, goes on until the next line has come, and tells how often a bind ended how, and how often one was done
 * again because the port was in use. With closed, it closes first what it does not know, as daemons do. */
#include "bind.h"

enum { THREADS = 8 };

enum outcome { BOUND, REFUSED, DENIED, UNSERVED, WRONG, AGAIN, OUTCOMES };

static int number;
static long each;
static atomic_int enough;
static atomic_long begun, outcomes[OUTCOMES];

static enum outcome try_once(int type, int port, int is_granted)
{
    int fd = new_socket(type), error, bound;
    while ((error = try_ip(fd, "127.0.0.1", port)) == EADDRINUSE)
        atomic_fetch_add(&outcomes[AGAIN], 1);
    bound = port_of(fd);
    close(fd);
    /* A supervisor may die after the bind and before it has said so. */
    if (error == ENOSYS)
        return UNSERVED;
    if (error == 0 && bound == port && is_granted)
        return BOUND;
    if (error == EACCES && bound == 0)
        return is_granted ? DENIED : REFUSED;
    dprintf(2, "bind to port %d: %s, and the socket has port %d\n", port, error_name(error), bound);
    return WRONG;
}

static void *work(void *argument)
{
    int i = (intptr_t)argument;
    for (long done = 0; done < each || !enough; done++) {
        if (atomic_fetch_add(&begun, 1) == each * THREADS / 2)
            dprintf(1, "round %d: under way\n", number);
        int is_granted = done % 10 != 0, port = is_granted ? 200 + i : 300 + i;
        atomic_fetch_add(&outcomes[try_once(i % 2 ? SOCK_DGRAM : SOCK_STREAM, port, is_granted)], 1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    char line[32];
    MUST(argc == 1 || (!strcmp(argv[1], "closed") && close_range(3, ~0U, 0) == 0));
    while (fgets(line, sizeof line, stdin)) {
        pthread_t threads[THREADS];
        number++;
        each = atol(line);
        enough = begun = 0;
        for (intptr_t i = 0; i < THREADS; i++)
            MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
        MUST(fgets(line, sizeof line, stdin));
        enough = 1;
        for (int i = 0; i < THREADS; i++)
            MUST(pthread_join(threads[i], NULL) == 0);
        dprintf(1, "round %d: done", number);
        for (int i = 0; i < OUTCOMES; i++)
            dprintf(1, " %ld", atomic_exchange(&outcomes[i], 0));
        dprintf(1, "\n");
    }
    return 0;
}
