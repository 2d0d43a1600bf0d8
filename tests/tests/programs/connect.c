/* connect: connects standard input, an AF_UNIX socket, to "broker" of the abstract ones; tells as which group. */
#include <err.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
    static const char name[] = "broker";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name, strlen(name));
    if (connect(0, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)))
        err(1, "connect");
    printf("as group %d\n", getegid());
    return 0;
}
