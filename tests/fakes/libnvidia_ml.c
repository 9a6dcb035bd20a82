/* Stands for NVML. Its GPUs are the lines of the file `gpus` beside this library, which is read again at every call, so
 * that a test can change them under a running process. gpus.py writes the file, and lists its columns. In a container
 * that device_plugin.py has given GPUs, FAKE_NVML_VISIBLE lists their UUIDs, and the others are not there. Functions
 * that are not here are missing in this "driver", as newer ones are in an older one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, GPU_IS_LOST = 15 };
enum { GPUS = 16, XID_EVENT = 8 };
typedef unsigned long long u64;
typedef struct {
    char uuid[96], name[96];
    u64 memory_mib, used_mib, cores, millijoules;
    unsigned mig, processes, links, capped_ms, ecc_errors, lost;
    int xid;
} Gpu;
typedef void *Device;

static unsigned read_gpus(Gpu *gpus) {
    Dl_info own;
    char path[4096];
    if (!dladdr((void *)read_gpus, &own)) return 0;
    snprintf(path, sizeof path, "%.*s/gpus", (int)(strrchr(own.dli_fname, '/') - own.dli_fname), own.dli_fname);
    FILE *file = fopen(path, "r");
    const char *visible = getenv("FAKE_NVML_VISIBLE");
    unsigned count = 0;
    if (!file) return 0;
    while (count < GPUS) {
        Gpu *g = gpus + count;
        if (fscanf(file, " %95[^,],%95[^,],%llu,%llu,%llx,%llu,%u,%u,%u,%u,%u,%d,%u", g->uuid, g->name, &g->memory_mib,
                   &g->used_mib, &g->cores, &g->millijoules, &g->mig, &g->processes, &g->links, &g->capped_ms,
                   &g->ecc_errors, &g->xid, &g->lost) != 13)
            break;
        if (!visible || strstr(visible, g->uuid)) count++;
    }
    fclose(file);
    return count;
}

/* Return 0 and the GPU, or the error that the real library would return. A handle is the GPU's number plus 1. */
static int find(Device device, Gpu *found) {
    Gpu gpus[GPUS];
    u64 number = (u64)device - 1;
    if (number >= read_gpus(gpus)) return INVALID_ARGUMENT;
    *found = gpus[number];
    return found->lost ? GPU_IS_LOST : OK;
}

#define ANSWER(name, type, value)                \
    int name(Device device, type *out) {         \
        Gpu gpu;                                 \
        int error = find(device, &gpu);          \
        if (!error) *out = (value);              \
        return error;                            \
    }

int nvmlInit(void) { return OK; }
int nvmlInit_v2(void) { return OK; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int error) { (void)error; return "an error of the fake NVML"; }
int nvmlSystemGetDriverVersion(char *out, unsigned length) { snprintf(out, length, "580.0.0"); return OK; }
int nvmlSystemGetCudaDriverVersion(int *out) { *out = 13000; return OK; }

int nvmlDeviceGetCount_v2(unsigned *out) { Gpu gpus[GPUS]; *out = read_gpus(gpus); return OK; }
int nvmlDeviceGetCount(unsigned *out) { return nvmlDeviceGetCount_v2(out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *out) {
    Gpu gpu;
    *out = (Device)(u64)(index + 1);
    return find(*out, &gpu);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, Device *out) {
    Gpu gpus[GPUS];
    unsigned count = read_gpus(gpus);
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) {
            *out = (Device)(u64)(i + 1);
            return gpus[i].lost ? GPU_IS_LOST : OK;
        }
    return NOT_FOUND;
}
static int text(Device device, char *out, unsigned length, int is_uuid) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (!error) snprintf(out, length, "%s", is_uuid ? gpu.uuid : gpu.name);
    return error;
}
int nvmlDeviceGetUUID(Device device, char *out, unsigned length) { return text(device, out, length, 1); }
int nvmlDeviceGetName(Device device, char *out, unsigned length) { return text(device, out, length, 0); }

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
int nvmlDeviceGetPciInfo_v3(Device device, Pci *out) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (!error) snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", (unsigned)(u64)device);
    return error;
}
int nvmlDeviceGetCudaComputeCapability(Device device, int *major, int *minor) {
    Gpu gpu;
    *major = 9, *minor = 0;
    return find(device, &gpu);
}
typedef struct { u64 total, free, used; } Memory;
ANSWER(nvmlDeviceGetMemoryInfo, Memory, ((Memory){gpu.memory_mib << 20, 0, gpu.used_mib << 20}))
static int constant(Device device, unsigned *out, unsigned value) {
    Gpu gpu;
    *out = value;
    return find(device, &gpu);
}
int nvmlDeviceGetClockInfo(Device device, int clock, unsigned *out) { return constant(device, out, clock == 1 ? 1500 : 2600); }
int nvmlDeviceGetMaxClockInfo(Device device, int clock, unsigned *out) { return constant(device, out, clock == 1 ? 1980 : 3201); }
int nvmlDeviceGetPowerUsage(Device device, unsigned *out) { return constant(device, out, 350500); }
int nvmlDeviceGetPowerManagementLimit(Device device, unsigned *out) { return constant(device, out, 600000); }
int nvmlDeviceGetPowerManagementDefaultLimit(Device device, unsigned *out) { return constant(device, out, 700000); }
int nvmlDeviceGetTemperature(Device device, int sensor, unsigned *out) { (void)sensor; return constant(device, out, 45); }
int nvmlDeviceGetPersistenceMode(Device device, unsigned *out) { return constant(device, out, 1); }
int nvmlDeviceGetComputeMode(Device device, unsigned *out) { return constant(device, out, 0); }
int nvmlDeviceGetMaxPcieLinkGeneration(Device device, unsigned *out) { return constant(device, out, 5); }
int nvmlDeviceGetMaxPcieLinkWidth(Device device, unsigned *out) { return constant(device, out, 16); }
typedef struct { unsigned gpu, memory; } Rates;
ANSWER(nvmlDeviceGetUtilizationRates, Rates, ((Rates){98, 40}))
ANSWER(nvmlDeviceGetTotalEnergyConsumption, u64, gpu.millijoules)
int nvmlDeviceGetEccMode(Device device, unsigned *now, unsigned *pending) { *pending = 1; return constant(device, now, 1); }
int nvmlDeviceGetMigMode(Device device, unsigned *now, unsigned *pending) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (!error) *now = *pending = gpu.mig;
    return error;
}
static int set_words(Device device, unsigned size, u64 *out, int is_cores) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (error) return error;
    memset(out, 0, size * sizeof *out);
    out[0] = is_cores ? gpu.cores : 1;
    return OK;
}
int nvmlDeviceGetCpuAffinity(Device device, unsigned size, u64 *out) { return set_words(device, size, out, 1); }
int nvmlDeviceGetMemoryAffinity(Device device, unsigned size, u64 *out, unsigned scope) {
    (void)scope;
    return set_words(device, size, out, 0);
}
typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } Process;
int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *out) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (error) return error;
    unsigned room = *count;
    *count = gpu.processes;
    if (room < gpu.processes) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < gpu.processes; i++) out[i] = (Process){4000 + i, 1 << 20, ~0u, ~0u};
    return OK;
}
typedef struct { unsigned field, scope; long long time, latency; int type, error; union { u64 number; double real; } value; } Field;
int nvmlDeviceGetFieldValues(Device device, int count, Field *fields) {
    Gpu gpu;
    int error = find(device, &gpu);
    for (int i = 0; !error && i < count; i++) {
        fields[i].type = 3; /* unsigned long long */
        fields[i].error = fields[i].field == 76 ? NOT_SUPPORTED : OK;
        fields[i].value.number = fields[i].field == 270 ? (u64)gpu.capped_ms * 1000000 : 0;
    }
    return error;
}
int nvmlDeviceGetTotalEccErrors(Device device, int uncorrected, int counter, u64 *out) {
    Gpu gpu;
    int error = find(device, &gpu);
    (void)counter;
    if (!error) *out = uncorrected ? gpu.ecc_errors : 0;
    return error;
}
int nvmlDeviceGetNvLinkState(Device device, unsigned link, unsigned *out) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (!error) *out = link < gpu.links;
    return error;
}
int nvmlDeviceGetNvLinkRemoteDeviceType(Device device, unsigned link, unsigned *out) { (void)link; return constant(device, out, 2); }
int nvmlDeviceGetTopologyCommonAncestor(Device device, Device other, unsigned *out) { (void)other; return constant(device, out, 40); }
int nvmlDeviceGetP2PStatus(Device device, Device other, int index, unsigned *out) {
    (void)other;
    return index == 0 ? constant(device, out, 0) : INVALID_ARGUMENT;
}
/* A GPU reports an Xid error when its column changes to that number. One whose column is -1 reports none to programs. */
typedef struct { Device device; int told; } Events;
typedef struct { Device device; u64 type, data; unsigned gpu_instance, compute_instance; } Event;
int nvmlEventSetCreate(Events **out) { *out = calloc(1, sizeof **out); return OK; }
int nvmlEventSetFree(Events *events) { free(events); return OK; }
int nvmlDeviceRegisterEvents(Device device, u64 types, Events *events) {
    Gpu gpu;
    int error = find(device, &gpu);
    if (error) return error;
    if (gpu.xid < 0 || types != XID_EVENT) return NOT_SUPPORTED;
    *events = (Events){device, gpu.xid};
    return OK;
}
int nvmlEventSetWait_v2(Events *events, Event *out, unsigned milliseconds) {
    Gpu gpu;
    int error = find(events->device, &gpu);
    (void)milliseconds;
    if (error && error != GPU_IS_LOST) return error;
    if (gpu.xid <= 0 || gpu.xid == events->told) return TIMEOUT;
    events->told = gpu.xid;
    *out = (Event){events->device, XID_EVENT, (u64)gpu.xid, ~0u, ~0u};
    return OK;
}
