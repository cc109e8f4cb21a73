// Huge pages for large outputs.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace likelihead {

// Asks for 2 MiB pages for memory that is about to be touched for the first time. Faulting 4 KiB pages in one
// by one costs more than the whole computation; where the pages are there already this changes nothing.
inline void advise_huge_pages(void* start, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t page = size_t(2) << 20;
  if (bytes < 2 * page) return;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(start) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(start) + bytes) / page * page;
  // Advice only: a kernel without such pages refuses, and nothing is lost.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)start;
  (void)bytes;
#endif
}

}  // namespace likelihead
