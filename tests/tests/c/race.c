/* race TRIES: binds over and over to an address in which another thread changes the port all the time: 80 is granted, 99
 * is not, 20080 is everyone's. Each must come to be bound, and none, often enough for a race. */
#include "bind.h"

enum { GRANTED = 80, REFUSED = 99, FREE = 20080 };

static _Atomic uint16_t *port;
static atomic_int done;

static void *change(void *argument)
{
    static const int ports[] = {GRANTED, REFUSED, FREE};
    for (unsigned i = 0; !done; i++)
        *port = htons(ports[i % 3]);
    return argument;
}

int main(int argc, char **argv)
{
    static address a;
    int granted = 0, refused = 0, others = 0;
    pthread_t thread;
    MUST(argc == 2);
    const int tries = atoi(argv[1]), often = tries / 100;
    a = ip("127.0.0.1", GRANTED);
    port = (_Atomic uint16_t *)&a.v4.sin_port;
    MUST(pthread_create(&thread, NULL, change, NULL) == 0);
    for (int i = 0; i < tries; i++) {
        int fd = tcp(), error = try_bind(fd, &a, sizeof a.v4), bound = port_of(fd);
        MUST(error == 0 ? bound == GRANTED || bound == FREE : error == EACCES && bound == 0);
        *(error ? &refused : bound == GRANTED ? &granted : &others) += 1;
        close(fd);
    }
    done = 1;
    MUST(pthread_join(thread, NULL) == 0);
    MUST(granted > often && refused > often && others > often);
    return 0;
}
