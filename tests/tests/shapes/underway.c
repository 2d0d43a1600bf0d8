/* underway: a thread binds without the channel, by a helper that is held up; meanwhile another looks around, closes what
 * somebody waits for, and cancels the first. */
#include "unseen.h"

static int listen_at(int port)
{
    int fd = tcp();
    MUST(try_ip(fd, "127.0.0.1", port) == 0 && listen(fd, 1) == 0);
    return fd;
}

static void *bind_it(void *argument)
{
    int fd = *(int *)argument;
    granted(fd, 80);
    /* Cancelled long since, this thread has still got what it asked for. */
    MUST(port_of(fd) == 80);
    pthread_testcancel();
    _exit(1);
}

int main(void)
{
    static surroundings before, after;
    char byte;
    int ends[2], listener, again, fd;
    void *result;
    pthread_t binder;
    prepare_stops();
    /* The channel's helper serves, so that when it is gone there is none. */
    fd = tcp();
    granted(fd, 80);
    close(fd);
    let_go();
    MUST(pipe(ends) == 0);
    fd = tcp();
    listener = listen_at(5000);
    stop_at("ready");
    look(&before);
    MUST(pthread_create(&binder, NULL, bind_it, &fd) == 0);
    stop_at("binding");
    /* No child, no signal. */
    MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    sigset_t pending;
    MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 0);
    /* What is closed is closed: nobody has a copy. */
    close(listener);
    again = listen_at(5000);
    close(again);
    close(ends[1]);
    MUST(read(ends[0], &byte, 1) == 0);
    close(ends[0]);
    MUST(pthread_cancel(binder) == 0);
    stop_at("cancelled");
    MUST(pthread_join(binder, &result) == 0 && result == PTHREAD_CANCELED);
    MUST(port_of(fd) == 80);
    close(fd);
    be_alone();
    look(&after);
    MUST(before.child == after.child && before.has_child == after.has_child && before.pending == after.pending);
    MUST(strcmp(before.threads, after.threads) == 0);
    puts("done");
    return 0;
}
