/* raw: binds 127.0.0.1:80 past libc, then through it. */
#include "bind.h"

int main(void)
{
    address a = ip("127.0.0.1", 80);
    int fd = tcp();
    printf("%s\n", error_name(syscall(SYS_bind, fd, &a, sizeof a.v4) ? errno : 0));
    printf("%s\n", error_name(try_bind(fd, &a, sizeof a.v4)));
    return 0;
}
