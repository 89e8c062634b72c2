/* Tells a test of every call that makes files durable or changes names, and waits until the test
 * has looked at the files.
 *
 *     cc -shared -fPIC -o recorder.so recorder.c -ldl
 *     LD_PRELOAD=recorder.so HYPE_RECORDER=SOCKET hype ...
 *
 * After the call, a line goes to a Unix socket: "sync INODE" or "names 0". The answer is one byte.
 * Writes are not recorded: the test reads the files themselves.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void tell(const char *kind, unsigned long long inode)
{
    const char *place = getenv("HYPE_RECORDER");
    int before = errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[64], answer;
    int length, end;

    if (place == NULL || strlen(place) >= sizeof address.sun_path)
        return;
    strcpy(address.sun_path, place);
    end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    length = snprintf(line, sizeof line, "%s %llu\n", kind, inode);
    if (end < 0 || connect(end, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(end, line, length) != length || read(end, &answer, 1) != 1) {
        fprintf(stderr, "recorder: nobody answers at %s\n", place);
        abort();
    }
    close(end);
    errno = before;
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (real == NULL) \
        real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int synced(int result, int descriptor)
{
    struct stat about;
    if (result == 0 && fstat(descriptor, &about) == 0)
        tell("sync", (unsigned long long)about.st_ino);
    return result;
}

static int named(int result)
{
    if (result == 0)
        tell("names", 0);
    return result;
}

int fsync(int descriptor)
{
    REAL(int, "fsync", int);
    return synced(real(descriptor), descriptor);
}

int fdatasync(int descriptor)
{
    REAL(int, "fdatasync", int);
    return synced(real(descriptor), descriptor);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    return named(real(from, to));
}

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    return named(real(a, from, b, to));
}

int renameat2(int a, const char *from, int b, const char *to, unsigned int flags)
{
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned int);
    return named(real(a, from, b, to, flags));
}

int link(const char *from, const char *to)
{
    REAL(int, "link", const char *, const char *);
    return named(real(from, to));
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    REAL(int, "linkat", int, const char *, int, const char *, int);
    return named(real(a, from, b, to, flags));
}

int symlink(const char *from, const char *to)
{
    REAL(int, "symlink", const char *, const char *);
    return named(real(from, to));
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    return named(real(path));
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    return named(real(folder, path, flags));
}

int rmdir(const char *path)
{
    REAL(int, "rmdir", const char *);
    return named(real(path));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    return named(real(path, mode));
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    return named(real(folder, path, mode));
}
