// Whether large outputs are written past the caches, measured on the first of them.
//
// A store past the caches spares the read of its line, a third of a copy's traffic. But it holds one of the few buffers
// between a core and memory for longer. Which weighs more is up to the processor and to how many of its cores write: on
// one, segmentation takes 0.7 of the time, on another it may take longer. So the first large call alternates between the
// two, takes the time of each, and what has been faster serves all that follow. The values are the same.
#pragma once

#include <chrono>
#include <mutex>
#include <vector>

#include "common.h"

namespace likelihead {

enum class Stores : int { unknown, cached, past };

// What LIKELIHEAD_STORES=cached|past asks for, or what has been measured.
Stores stores();

class StoreTrial {
 public:
  // The chunks [first, last), a few with the one kind of stores and then a few with the other.
  template <class Kernel, class Call>
  void run(Kernel kernel, const Call& call, int64_t first, int64_t last) {
    using clock = std::chrono::steady_clock;
    Call kinds[2] = {call, call};
    kinds[0].past_caches = false;
    bool went_past = false;
    kinds[1].went_past = &went_past;
    std::vector<double> found[2];
    int turn = int(first / few & 1);
    for (int64_t k = first; k < last; k += few, turn ^= 1) {
      // The first of them also waits for what the others have left behind.
      const int64_t end = std::min(k + few, last), begin = std::min(k + 1, end);
      kernel(kinds[turn], k, begin);
      const clock::time_point start = clock::now();
      if (begin < end) kernel(kinds[turn], begin, end);
      if (end == k + few) found[turn].push_back(std::chrono::duration<double>(clock::now() - start).count());
    }
    if (!went_past) return;  // its layout does not allow it
    const std::lock_guard<std::mutex> lock(mutex_);
    for (int kind : {0, 1}) taken_[kind].insert(taken_[kind].end(), found[kind].begin(), found[kind].end());
  }
  void decide();

 private:
  static constexpr int64_t few = 4;
  std::mutex mutex_;
  std::vector<double> taken_[2];  // seconds: in the caches, past them
};

// Runs a call on torch's threads.
template <class Kernel, class Call>
void run_chunks(Kernel kernel, Call call, int64_t chunks, int64_t chunk_cost) {
  const Stores known = call.past_caches && kernels().past_caches ? stores() : Stores::cached;
  call.past_caches = known != Stores::cached;
  if (known != Stores::unknown)
    return for_chunks(chunks, chunk_cost, [&](int64_t first, int64_t last) { kernel(call, first, last); });
  StoreTrial trial;
  for_chunks(chunks, chunk_cost, [&](int64_t first, int64_t last) { trial.run(kernel, call, first, last); });
  trial.decide();
}

}  // namespace likelihead
