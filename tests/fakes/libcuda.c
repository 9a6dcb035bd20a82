/* Stands for CUDA's driver library. It has no device, and writes who called it into the file in FAKE_CUDA_LOG, as lines
 * "PID loaded" and "PID call NAME". CUDA's runtimes open it by its soname, libcuda.so.1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100 };

static void say(const char *what, const char *which) {
    const char *path = getenv("FAKE_CUDA_LOG");
    char line[256];
    if (!path) return;
    int length = snprintf(line, sizeof line, "%d %s %s\n", (int)getpid(), what, which);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0) return;
    if (write(file, line, length) < 0) perror(path);
    close(file);
}

__attribute__((constructor)) static void loaded(void) { say("loaded", ""); }

int cuInit(unsigned flags) { (void)flags; say("call", "cuInit"); return NO_DEVICE; }
int cuDriverGetVersion(int *version) { say("call", "cuDriverGetVersion"); *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { say("call", "cuDeviceGetCount"); *count = 0; return NO_DEVICE; }
int cuGetExportTable(const void **table, const void *id) {
    (void)id;
    say("call", "cuGetExportTable");
    *table = 0;
    return INVALID_VALUE;
}

static int refuse(void) { say("call", "other"); return NOT_INITIALIZED; }

int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *status);

static const struct { const char *name; void *address; } known[] = {
    {"cuInit", (void *)cuInit},
    {"cuDriverGetVersion", (void *)cuDriverGetVersion},
    {"cuDeviceGetCount", (void *)cuDeviceGetCount},
    {"cuGetExportTable", (void *)cuGetExportTable},
    {"cuGetProcAddress", (void *)cuGetProcAddress_v2},
};

int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *status) {
    (void)version;
    (void)flags;
    say("call", "cuGetProcAddress");
    *function = (void *)refuse;
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) *function = known[i].address;
    if (status) *status = 0;
    return 0;
}

int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, 0);
}
