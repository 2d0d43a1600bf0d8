/* preloaded.so: says so when it is loaded. */
#include <unistd.h>

__attribute__((constructor)) static void here(void) { write(2, "preloaded\n", 10); }
