/* threads ROUNDS [linger]: 64 threads, half of them with TCP, that bind all at once, so many times after a few to begin
 * with, each a port of its own that is granted (200 and up) and one that is not (300 and up); with linger, sockets that
 * linger. */
#include "bind.h"

enum { THREADS = 64 };

static int rounds, linger;
static pthread_barrier_t start;

static void *work(void *argument)
{
    int i = (intptr_t)argument;
    sigset_t before = {0}, after = {0}, mine = only(SIGRTMIN + i % 30);
    MUST(pthread_sigmask(SIG_BLOCK, &mine, NULL) == 0 && pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    pthread_barrier_wait(&start);
    for (int round = 0; round < rounds; round++) {
        int fd = new_socket(i % 2 ? SOCK_DGRAM : SOCK_STREAM);
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){linger, 1}, sizeof(struct linger)) == 0);
        refused(fd, 300 + i);
        granted(fd, 200 + i);
        close(fd);
    }
    MUST(pthread_sigmask(SIG_BLOCK, NULL, &after) == 0 && memcmp(&before, &after, sizeof after) == 0);
    return NULL;
}

static void run(int number)
{
    pthread_t threads[THREADS];
    rounds = number;
    for (intptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    linger = argc == 3 && !strcmp(argv[2], "linger");
    prepare_stops();
    MUST(pthread_barrier_init(&start, NULL, THREADS) == 0);
    run(10);
    int before = count_descriptors();
    stop_at("warm");
    run(atoi(argv[1]));
    MUST(count_descriptors() == before);
    stop_at("done");
    return 0;
}
