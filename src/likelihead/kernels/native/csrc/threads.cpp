// When a second thread is worth waking, measured on the machine that it is to be woken on.
//
// The threads are torch's. If they have just worked they wait in a loop and start within a microsecond; on a machine
// whose cores others use as well, or which hands its threads over slowly, it may be fifty. A constant that suits the one
// is wrong by as much on the other.
#include <torch/csrc/stable/library.h>

#include <atomic>
#include <chrono>
#include <vector>

#include "common.h"

namespace likelihead {
namespace {

template <class F>
double least_seconds(int tries, const F& f) {
  using clock = std::chrono::steady_clock;
  double least = 1;
  for (int k = 0; k < tries; ++k) {
    const clock::time_point start = clock::now();
    f();
    least = std::min(least, std::chrono::duration<double>(clock::now() - start).count());
  }
  return least;
}

// Of one element of a loss with its gradient, in the cache.
double seconds_per_element() {
  constexpr int64_t examples = 32, classes = 128;
  std::vector<float> logits(examples * classes), grad(examples * classes);
  const std::vector<uint8_t> target(examples);
  double sum = 0;
  SoftmaxCall call;
  call.logits = logits.data();
  call.grad = grad.data();
  call.classes = double(classes);
  call.target = target.data();
  call.target_kind = Target::u8;
  call.weight_sum = classes;
  call.examples = call.chunk = examples;
  call.sums = &sum;
  return least_seconds(4, [&] { kernels().softmax(call, 0, 1); }) / double(examples * classes);
}

// Of handing work to all threads and hearing that it is done.
double seconds_to_wake(int64_t threads) {
  return least_seconds(8, [&] { torch::stable::parallel_for(0, threads, 1, [](int64_t, int64_t) {}); });
}

}  // namespace

int64_t worth_a_thread() {
  static std::atomic<int64_t> worth{0}, measured_for{0};
  const int64_t threads = torch::stable::get_num_threads();
  if (measured_for.load() != threads) {
    // As much work again as it takes to wake: what is in the caches of one core is not in the other's.
    const double elements = 2 * seconds_to_wake(threads) / seconds_per_element();
    worth.store(std::max<int64_t>(least_for_threads / 2, int64_t(std::min(elements, 1e6))));
    measured_for.store(threads);
  }
  return worth.load();
}

}  // namespace likelihead
