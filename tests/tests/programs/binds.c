/* binds PORT...: tells for each, one after the other, whether 127.0.0.1:PORT can be bound: the errno, 0 for success. */
#include <stdio.h>
#include <stdlib.h>

#include "try_bind.h"

int main(int argc, char **argv)
{
    for (argv++; *argv; argv++)
        printf("%s %d\n", *argv, try_bind(atoi(*argv)));
    return 0;
}
