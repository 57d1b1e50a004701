/* Writes down, in order, what a process does to the files of one folder: for tests that cut the power afterwards.
 *
 * Preloaded (LD_PRELOAD) with POWERCUT_DIR and POWERCUT_LOG set. Calls on files of that folder go through, and a record of each is
 * appended to the log: one byte of kind, three numbers of 8 bytes (inode or 0, offset or length, bytes that follow), the bytes; in the
 * machine's byte order. Kinds: C created (name), W written (bytes), T cut to a length, S synced, D the folder synced, R renamed
 * (from NUL to), L linked (from NUL to), U removed (name), A written to the file `acks` (bytes; only logged). Names are within the folder.
 *
 * SQLite's -shm file is no part of what must last and is not logged. What could write past this file ends the process with a word.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FREE, PLAIN, FOLDER, ACKS, SHARED };
#define FDS 4096
static unsigned char kind_of[FDS];
static uint64_t inode_of[FDS];
static char folder[4096];
static size_t folder_len;
static int log_fd = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what) {
    dprintf(2, "powercut: %s\n", what);
    _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("POWERCUT_DIR"), *log = getenv("POWERCUT_LOG");
    if (!dir || !log) return;
    snprintf(folder, sizeof folder, "%s/", dir);
    folder_len = strlen(folder);
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) die("no log");
}

/* The name within the folder, or NULL for a file elsewhere; "" is the folder. */
static const char *name_in(const char *path) {
    if (log_fd < 0 || !path) return NULL;
    if (strncmp(path, folder, folder_len) == 0) return path + folder_len;
    if (strlen(path) == folder_len - 1 && strncmp(path, folder, folder_len - 1) == 0) return "";
    return NULL;
}

static int ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static void record(char kind, uint64_t inode, uint64_t at, const void *bytes, uint64_t n) {
    unsigned char head[25];
    head[0] = kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &at, 8);
    memcpy(head + 17, &n, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, n}};
    if (syscall(SYS_writev, log_fd, parts, 2) != (long)(sizeof head + n)) die("the log is cut short");
}

static void record_two(char kind, const char *from, const char *to) {
    char both[8192];
    size_t n = strlen(from);
    if (n + strlen(to) + 1 > sizeof both) die("a long name");
    memcpy(both, from, n + 1);
    memcpy(both + n + 1, to, strlen(to));
    record(kind, 0, 0, both, n + 1 + strlen(to));
}

static int known(int fd) { return fd >= 0 && fd < FDS ? kind_of[fd] : FREE; }

static int open_any(int at, const char *path, int flags, mode_t mode) {
    const char *name = at == AT_FDCWD || (path && path[0] == '/') ? name_in(path) : NULL;
    if (!name) return syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&order);
    struct stat before;
    int existed = syscall(SYS_newfstatat, AT_FDCWD, path, &before, 0) == 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    int error = errno;
    if (fd >= FDS) die("too many files");
    if (fd >= 0) {
        struct stat now;
        if (syscall(SYS_newfstatat, fd, "", &now, AT_EMPTY_PATH) != 0) die("a file without an inode");
        inode_of[fd] = now.st_ino;
        kind_of[fd] = S_ISDIR(now.st_mode) ? FOLDER : ends(name, "-shm") ? SHARED : strcmp(name, "acks") == 0 ? ACKS : PLAIN;
        if (kind_of[fd] == PLAIN && !existed) record('C', now.st_ino, 0, name, strlen(name));
        if (kind_of[fd] == PLAIN && existed && (flags & O_TRUNC)) record('T', now.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&order);
    errno = error;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    if (fd >= 0 && fd < FDS) kind_of[fd] = FREE;
    return syscall(SYS_close, fd);
}

static ssize_t write_at(int fd, const void *bytes, size_t n, int64_t at, int moves) {
    int kind = known(fd);
    if (kind == FREE || kind == SHARED)
        return moves ? syscall(SYS_write, fd, bytes, n) : syscall(SYS_pwrite64, fd, bytes, n, at);
    pthread_mutex_lock(&order);
    if (moves) at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = moves ? syscall(SYS_write, fd, bytes, n) : syscall(SYS_pwrite64, fd, bytes, n, at);
    int error = errno;
    if (done > 0) record(kind == ACKS ? 'A' : 'W', inode_of[fd], at, bytes, done);
    pthread_mutex_unlock(&order);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t n) { return write_at(fd, bytes, n, 0, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return write_at(fd, bytes, n, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { return write_at(fd, bytes, n, at, 0); }

static int cut(int fd, int64_t n) {
    if (known(fd) != PLAIN) return syscall(SYS_ftruncate, fd, n);
    pthread_mutex_lock(&order);
    int done = syscall(SYS_ftruncate, fd, n);
    int error = errno;
    if (done == 0) record('T', inode_of[fd], n, "", 0);
    pthread_mutex_unlock(&order);
    errno = error;
    return done;
}

int ftruncate(int fd, off_t n) { return cut(fd, n); }
int ftruncate64(int fd, off64_t n) { return cut(fd, n); }

/* The log knows what was asked for; the disk itself need not be waited for. */
static int sync_any(int fd) {
    int kind = known(fd);
    if (kind == FREE) return syscall(SYS_fsync, fd);
    if (kind == PLAIN || kind == FOLDER) {
        pthread_mutex_lock(&order);
        record(kind == PLAIN ? 'S' : 'D', inode_of[fd], 0, "", 0);
        pthread_mutex_unlock(&order);
    }
    return 0;
}

int fsync(int fd) { return sync_any(fd); }
int fdatasync(int fd) { return sync_any(fd); }

static int two_names(char kind, const char *from, const char *to) {
    const char *a = name_in(from), *b = name_in(to);
    if ((a == NULL) != (b == NULL)) die("a name crosses the folder's edge");
    pthread_mutex_lock(&order);
    int done = kind == 'R' ? syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)
                           : syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    int error = errno;
    if (done == 0 && a && !ends(a, "-shm")) record_two(kind, a, b);
    pthread_mutex_unlock(&order);
    errno = error;
    return done;
}

int rename(const char *from, const char *to) { return two_names('R', from, to); }
int link(const char *from, const char *to) { return two_names('L', from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (a != AT_FDCWD || b != AT_FDCWD || flags) die("linkat in a form that is not known");
    return two_names('L', from, to);
}

int unlink(const char *path) {
    const char *name = name_in(path);
    pthread_mutex_lock(&order);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int error = errno;
    if (done == 0 && name && !ends(name, "-shm")) record('U', 0, 0, name, strlen(name));
    pthread_mutex_unlock(&order);
    errno = error;
    return done;
}

/* Ways to write that nobody takes today; a new one must not go unseen. */
#define NEVER(fd, what) if (known(fd) == PLAIN) die(what)
ssize_t writev(int fd, const struct iovec *parts, int n) { NEVER(fd, "writev"); return syscall(SYS_writev, fd, parts, n); }
int fallocate64(int fd, int mode, off64_t at, off64_t n) { NEVER(fd, "fallocate"); return syscall(SYS_fallocate, fd, mode, at, n); }
int posix_fallocate64(int fd, off64_t at, off64_t n) { NEVER(fd, "posix_fallocate"); return syscall(SYS_fallocate, fd, 0, at, n); }
ssize_t copy_file_range(int a, off64_t *x, int b, off64_t *y, size_t n, unsigned flags) {
    NEVER(b, "copy_file_range");
    return syscall(SYS_copy_file_range, a, x, b, y, n, flags);
}
void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t from) {
    if ((prot & PROT_WRITE) && (flags & MAP_SHARED)) NEVER(fd, "mmap");
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, from);
}
void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from) { return mmap64(at, n, prot, flags, fd, from); }
