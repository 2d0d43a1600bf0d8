/* A library that binds for a program that opens it. */
#include <sys/socket.h>

int bind_for_plugin(int fd, const struct sockaddr *address, socklen_t length)
{
    return bind(fd, address, length);
}
