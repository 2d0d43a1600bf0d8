/* another: a thread binds to port 80 without the channel, under no_new_privs; while it waits for an answer, another binds
 * the same socket to port 8080. There is no answer, and it is told so. */
#include "unseen.h"

static void *bind_it(void *argument)
{
    int fd = *(int *)argument;
    MUST(try_ip(fd, "127.0.0.1", 80) == EACCES);
    return NULL;
}

int main(void)
{
    pthread_t binder;
    int fd;
    prepare_stops();
    let_go();
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    fd = tcp();
    MUST(pthread_create(&binder, NULL, bind_it, &fd) == 0);
    stop_at("binding");
    granted(fd, 8080);
    stop_at("elsewhere");
    MUST(pthread_join(binder, NULL) == 0);
    MUST(port_of(fd) == 8080);
    puts("done");
    return 0;
}
