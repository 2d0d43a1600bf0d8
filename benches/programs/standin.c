/* standin LIBRARY UID COMMAND [ARG...]: not privbind, but the least that a bind can cost in its way, for machines where
 * privbind is not to be had. A child of root's stays behind and binds whatever it is sent: it has no rules. The command, as
 * the user UID, finds it at descriptor 3, by LIBRARY, which is built from standin_library.c. */
#define _GNU_SOURCE
#include <err.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "standin.h"

static void serve(int channel)
{
    for (;;) {
        struct sockaddr_storage address;
        union ancillary ancillary;
        struct iovec part = { .iov_base = &address, .iov_len = sizeof address };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary;
        ssize_t length = recvmsg(channel, &message, 0);
        if (length <= 0)
            _exit(0);
        int socket_;
        memcpy(&socket_, CMSG_DATA(&ancillary.header), sizeof socket_);
        char reply = bind(socket_, (void *)&address, length) == 0 ? 0 : 1;
        close(socket_);
        if (write(channel, &reply, 1) != 1)
            _exit(1);
    }
}

int main(int argc, char **argv)
{
    int ends[2];
    if (argc < 4)
        errx(2, "usage: standin LIBRARY UID COMMAND [ARG...]");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
        err(1, "socketpair");
    pid_t helper = fork();
    if (helper < 0)
        err(1, "fork");
    if (helper == 0) {
        close(ends[0]);
        serve(ends[1]);
    }
    close(ends[1]);
    if (ends[0] != CHANNEL && (dup2(ends[0], CHANNEL) < 0 || close(ends[0]) != 0))
        err(1, "dup2");
    uid_t uid = atoi(argv[2]);
    if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
        err(1, "setresuid");
    setenv("LD_PRELOAD", argv[1], 1);
    execvp(argv[3], argv + 3);
    err(1, "%s", argv[3]);
}
