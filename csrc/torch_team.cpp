// torch runs its own loops on a team of OpenMP threads. After each loop they look out for the next one, for up to 16
// milliseconds with GNU's library: a team that is at hand within 2 microseconds, and one that takes half of every other
// processor from threads of our own meanwhile.
//
// Its price is a barrier: a call stands there until the system gives every thread of the team a processor, milliseconds
// on a machine that is busy otherwise. The first call that meets this leaves the team alone for a second.
//
// The team is asked for at its full size always: a smaller one would end the threads that are too many, and torch would
// start them again.
#include "torch_team.hpp"

#include <atomic>
#include <chrono>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace cospair {
namespace {

using Clock = std::chrono::steady_clock;
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

constexpr std::chrono::microseconds kPatience{200};  // besides half of what the work takes
constexpr std::chrono::seconds kRest{1};

std::atomic<Parallel> parallel{nullptr};
std::atomic<Clock::rep> resting_until{0};

Clock::rep now() { return Clock::now().time_since_epoch().count(); }

struct Call {
  void (*work)(void*);
  void* context;
  std::atomic<int> seats;
  Clock::time_point begin, end;
};

thread_local bool calling = false;

void join(void* given) {
  Call& call = *static_cast<Call*>(given);
  if (call.seats.fetch_sub(1) > 0) call.work(call.context);
  if (calling) call.end = Clock::now();
}

}  // namespace

void find_torch_team() {
#if defined(__unix__) || defined(__APPLE__)
  if (pthread_atfork(nullptr, nullptr, [] { parallel = nullptr; }) == 0)
    parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
#endif
}

bool torch_team_ready() { return parallel.load() && now() >= resting_until.load(); }

bool share_with_torch(void (*work)(void*), void* context, int threads) {
  const Parallel run = parallel;
  if (!run || !torch_team_ready()) return false;
  Call call{work, context, {threads}, Clock::now(), {}};
  calling = true;
  run(join, &call, 0, 0);
  calling = false;
  const auto waited = Clock::now() - call.end, worked = call.end - call.begin;
  if (waited > kPatience + worked / 2) resting_until = (Clock::now() + kRest).time_since_epoch().count();
  return true;
}

}  // namespace cospair
