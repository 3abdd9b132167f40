/* A stand-in for the library of NVIDIA's driver: it counts one GPU if it can do what WANTS says, one word after another.

   names     a name for a thread of its own, given by another one
   listens   a socket of the machine's own that listens
   memory    memory of a file without a name
   account   to be the account that it was built by
   visible   CUDA_VISIBLE_DEVICES not to be there
   starts    to start a program
   PATH      to read that file
*/
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *waits(void *nothing) {
    pthread_mutex_lock(&held);
    pthread_mutex_unlock(&held);
    return nothing;
}

static int names(void) {
    pthread_t thread;
    pthread_mutex_lock(&held);
    if (pthread_create(&thread, NULL, waits, NULL)) return 0;
    int refused = pthread_setname_np(thread, "stand-in");
    pthread_mutex_unlock(&held);
    pthread_join(thread, NULL);
    return !refused;
}

static int listens(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0stand-in"};
    int one = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return one >= 0 && !bind(one, (struct sockaddr *)&name, sizeof name) && !listen(one, 4);
}

static int starts(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0 && waitpid(child, NULL, 0) == child;
}

static int does(const char *what) {
    if (!strcmp(what, "names")) return names();
    if (!strcmp(what, "listens")) return listens();
    if (!strcmp(what, "memory")) return memfd_create("stand-in", 0) >= 0;
    if (!strcmp(what, "account")) return geteuid() == BUILT_BY;
    if (!strcmp(what, "visible")) return getenv("CUDA_VISIBLE_DEVICES") == NULL;
    if (!strcmp(what, "starts")) return starts();
    return open(what, O_RDONLY) >= 0;
}

static int ready = 0;

int cuInit(unsigned flags) {
    char wants[] = WANTS, *rest = wants, *what;
    while ((what = strsep(&rest, " ")) != NULL)
        if (*what && !does(what)) return 304;
    ready = 1;
    return 0;
}

int cuDeviceGetCount(int *count) {
    *count = ready;
    return ready ? 0 : 3;
}

int cuGetErrorName(int error, const char **name) {
    *name = error == 304 ? "CUDA_ERROR_OPERATING_SYSTEM" : "CUDA_ERROR_UNKNOWN";
    return 0;
}
