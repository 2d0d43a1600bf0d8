/* abandoned: a child binds a socket that it has from its parent, and may be killed while it waits. Tells the child's
 * process id; then what the socket is bound to, and what the parent gets. */
#include "bind.h"

int main(void)
{
    int fd = tcp(), other = tcp();
    prepare_stops();
    granted(other, 81);
    stop_at("ready");
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0)
        _exit(try_ip(fd, "127.0.0.1", 80));
    printf("child %d\n", pid);
    fflush(stdout);
    int status;
    MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stop_at("killed");
    printf("port %d, then ", port_of(fd));
    printf("%s\n", error_name(try_ip(fd, "127.0.0.1", 80)));
    return 0;
}
