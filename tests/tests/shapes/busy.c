/* busy: 16 threads bind at once without the channel, each a port of its own (200 and up) and one that is refused, while
 * others change the process's ids for the same ones, fork, load libraries and allocate. */
#include "unseen.h"
#include <dlfcn.h>

enum { THREADS = 16, ROUNDS = 15 };

static atomic_int done;
static pthread_barrier_t start;

static void *binds(void *argument)
{
    int i = (intptr_t)argument;
    pthread_barrier_wait(&start);
    for (int round = 0; round < ROUNDS; round++) {
        int fd = new_socket(i % 2 ? SOCK_DGRAM : SOCK_STREAM);
        refused(fd, 300 + i);
        granted_at(round, fd, 200 + i);
        close(fd);
    }
    return NULL;
}

static void *changes_ids(void *argument)
{
    while (!done)
        MUST(setuid(getuid()) == 0 && setgid(getgid()) == 0 && setresuid(-1, geteuid(), -1) == 0);
    return argument;
}

static void *forks(void *argument)
{
    int status;
    while (!done) {
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0)
            _exit(7);
        MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
    }
    return argument;
}

static void *loads(void *argument)
{
    while (!done) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        MUST(library && dlsym(library, "cos") && dlclose(library) == 0);
    }
    return argument;
}

static void *allocates(void *argument)
{
    for (size_t size = 1; !done; size = size * 7 % 1000003) {
        char *memory = malloc(size);
        MUST(memory);
        memset(memory, 1, size);
        free(memory);
    }
    return argument;
}

int main(void)
{
    void *(*const others[])(void *) = {changes_ids, forks, loads, allocates};
    pthread_t binders[THREADS], disturbers[4];
    let_go();
    int before = count_descriptors();
    MUST(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (int i = 0; i < 4; i++)
        MUST(pthread_create(&disturbers[i], NULL, others[i], NULL) == 0);
    for (intptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&binders[i], NULL, binds, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(binders[i], NULL) == 0);
    done = 1;
    for (int i = 0; i < 4; i++)
        MUST(pthread_join(disturbers[i], NULL) == 0);
    MUST(count_descriptors() == before);
    be_alone();
    bind_unseen();
    puts("done");
    return 0;
}
