/* Libraries to preload, one for each definition:
 *   COUNTING   tells what each bind came to,
 *   REFUSING   refuses every bind as the kernel refuses a privileged port, without asking it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifdef COUNTING
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    int result = next(fd, address, length), error = errno;
    dprintf(2, "counting: %s\n", result ? strerrorname_np(error) : "bound");
    errno = error;
    return result;
}
#elif defined REFUSING
int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    errno = EACCES;
    return -1;
}
#endif
