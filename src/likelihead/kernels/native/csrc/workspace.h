// Scratch memory of one thread, aligned for vectors; a small one on the stack.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

class Workspace {
 public:
  explicit Workspace(size_t bytes) : heap_(nullptr) {
    if (bytes <= sizeof(stack_)) return;
    heap_ = std::malloc(bytes + 64);
    if (!heap_) throw std::bad_alloc();
  }
  ~Workspace() { std::free(heap_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  template <class A>
  A* as() {
    if (!heap_) return reinterpret_cast<A*>(stack_);
    size_t address = reinterpret_cast<size_t>(heap_);
    return reinterpret_cast<A*>((address + 63) / 64 * 64);
  }

 private:
  alignas(64) char stack_[8192];
  void* heap_;
};

}  // namespace
