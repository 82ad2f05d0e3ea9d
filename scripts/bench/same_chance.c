/* Loaded before the C library while paths are counted: the same "random" bytes in every process, so that hash tables are laid out the same. */
#include <stddef.h>
#include <sys/types.h>

static unsigned long long state = 1;

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
    unsigned char *bytes = buffer;
    (void)flags;
    for (size_t at = 0; at < length; at++) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        bytes[at] = (unsigned char)(state >> 56);
    }
    return (ssize_t)length;
}
