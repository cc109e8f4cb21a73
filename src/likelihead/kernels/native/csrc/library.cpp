// The library's name space, and which instruction set this processor gets.
#include <torch/csrc/stable/library.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "common.h"
#include "stores.h"

#ifdef LK_FIRST_GLIBC
// What GCC's headers ask before they count the owners of a pointer without atomics: glibc has it from 2.32 on.
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
#endif

namespace likelihead {
namespace {

const Kernels& pick() {
  const char* asked = std::getenv("LIKELIHEAD_ISA");
  auto allowed = [&](const char* name) { return !asked || !*asked || std::strcmp(asked, name) == 0; };
#ifdef LK_X86
  __builtin_cpu_init();
  // Both halves of the question, the processor's and the operating system's, are in these builtins.
  if (allowed("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return kernels_avx512;
  if (allowed("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kernels_avx2;
#else
  (void)allowed;
#endif
  return kernels_baseline;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& picked = pick();
  return picked;
}

std::string isa() { return kernels().name; }

std::string store_kind() {
  const Stores known = stores();
  return known == Stores::unknown ? "not measured yet" : known == Stores::past ? "past" : "cached";
}

}  // namespace likelihead

STABLE_TORCH_LIBRARY(likelihead, m) {
  m.def("isa() -> str");
  m.def("stores() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(likelihead, CompositeExplicitAutograd, m) {
  m.impl("isa", TORCH_BOX(&likelihead::isa));
  m.impl("stores", TORCH_BOX(&likelihead::store_kind));
}
