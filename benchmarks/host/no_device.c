/* A CUDA driver of no device: what Triton calls succeeds at once, and launches are counted. */
#include <stddef.h>
#include <stdint.h>
static uint64_t launches;
uint64_t launchesSoFar(void) { return launches; }
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGetAttribute(int *v, int attribute, int d) {
  *v = attribute == 10 ? 32 : attribute == 97 || attribute == 81 ? 232448 : attribute == 16 ? 132 : 65536;
  return 0;
}
int cuCtxGetCurrent(void **c) { *c = (void *)1; return 0; }
int cuCtxSetCurrent(void *c) { return 0; }
int cuCtxGetDevice(int *d) { *d = 0; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)1; return 0; }
int cuModuleLoadData(void **m, const void *data) { *m = (void *)2; return 0; }
int cuModuleUnload(void *m) { return 0; }
int cuModuleGetFunction(void **f, void *m, const char *name) { *f = (void *)3; return 0; }
int cuFuncGetAttribute(int *v, int attribute, void *f) { *v = attribute == 0 ? 1024 : 0; return 0; }
int cuFuncSetAttribute(void *f, int attribute, int v) { return 0; }
int cuFuncSetCacheConfig(void *f, int c) { return 0; }
int cuGetErrorString(int e, const char **s) { *s = "there is no device"; return 0; }
int cuPointerGetAttribute(void *v, int attribute, uint64_t p) { *(uint64_t *)v = p; return 0; }
int cuPointerGetAttributes(unsigned n, void *a, void **v, uint64_t p) { return 0; }
int cuStreamIsCapturing(void *s, int *c) { *c = 0; return 0; }
int cuLaunchKernelEx(const void *config, void *f, void **params, void **extra) { launches++; return 0; }
int cuCtxGetLimit(size_t *v, int l) { *v = 0; return 0; }
int cuCtxSetLimit(int l, size_t v) { return 0; }
int cuTensorMapEncodeTiled(void) { return 1; }
int cuTensorMapEncodeIm2col(void) { return 1; }
int cuOccupancyMaxActiveClusters(int *n, void *f, void *c) { *n = 1; return 0; }
