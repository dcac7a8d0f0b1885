// Work shared among threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace cospair {

// Calls work(context) on up to `threads` threads, this one among them, and waits for all. Fewer may come; the work
// must be claimed piece by piece. It must not throw.
void share(void (*work)(void*), void* context, int threads);

// Calls work(index, worker) for every index below count, claimed one by one; work must not throw.
template <class Work>
void for_each(std::int64_t count, int threads, Work work) {
  struct Context {
    Work* work;
    std::int64_t count;
    std::atomic<std::int64_t> next{0};
    std::atomic<int> workers{0};
  } context{&work, count};
  share(
      [](void* given) {
        Context& c = *static_cast<Context*>(given);
        const int worker = c.workers.fetch_add(1);
        for (std::int64_t at; (at = c.next.fetch_add(1)) < c.count;) (*c.work)(at, worker);
      },
      &context, static_cast<int>(std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(count, 1))));
}

}  // namespace cospair
