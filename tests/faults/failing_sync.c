/* Lets fsync and fdatasync fail as a broken disk does: with EIO, for files below the path that the file named by
 * HEADWATER_TEST_FAILING_SYNC holds, for as long as that file is there. Loaded before the C library by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reads(const char *path, char *into, size_t size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, into, size - 1);
    close(file);
    if (length <= 0)
        return 0;
    into[length] = 0;
    return 1;
}

static int shall_fail(int file) {
    const char *flag = getenv("HEADWATER_TEST_FAILING_SYNC");
    char below[4096], name[64], path[4096];
    if (!flag || !reads(flag, below, sizeof below))
        return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

static int passed_on(const char *call, int file) {
    if (shall_fail(file)) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    return real(file);
}

int fsync(int file) {
    return passed_on("fsync", file);
}

int fdatasync(int file) {
    return passed_on("fdatasync", file);
}
