// Large outputs: huge pages, and whether to write them past the caches.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
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

// Whether an output, not touched yet, may be written past the caches: what the pass touches, inputs included, is so large
// that no cache holds the output until it is read next. Smaller outputs are left in the caches for whoever reads them,
// however long it takes to write them. And not where its pages are yet to come from the operating system, which zeroes
// them in the caches: measured, 8 % slower. glibc keeps what is freed below 32 MiB, and gives back what is larger.
inline bool may_bypass_caches(void* start, size_t bytes, size_t touched) {
#if defined(__linux__)
  constexpr size_t larger_than_caches = size_t(32) << 20;
  if (touched < larger_than_caches) return false;
  const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));
  const uintptr_t middle = (reinterpret_cast<uintptr_t>(start) + bytes / 2) / page * page;
  unsigned char there = 0;
  return mincore(reinterpret_cast<void*>(middle), 1, &there) == 0 && (there & 1);
#else
  (void)start;
  (void)bytes;
  (void)touched;
  return false;
#endif
}

}  // namespace likelihead
