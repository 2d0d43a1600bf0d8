/* What standin.c and standin_library.c agree upon. */
#include <sys/socket.h>

enum { CHANNEL = 3 };

/* Room for one descriptor. */
union ancillary {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
};
