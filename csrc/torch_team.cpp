// torch runs its own loops on a team of OpenMP threads. After each loop they look out for the next one, for up to 16
// milliseconds with GNU's library: a team that is at hand within microseconds, and one that takes half of every other
// processor from threads of our own meanwhile.
//
// Its price is a barrier: a call stands there until the system gives every thread of the team a processor, milliseconds
// on a machine that is busy otherwise. A call that meets this leaves the team alone for twenty times as long as it
// stood, so that standing is about a twentieth of the time; each further one in a row doubles that, up to a second.
//
// The team is asked for at its full size always: a smaller one would end the threads that are too many, and torch would
// start them again. A thread that calls has a team of its own; only the thread that loaded this library is sure to have
// one already, so others do not ask.
#include "torch_team.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>
#endif

namespace cospair {
namespace {

using Clock = std::chrono::steady_clock;
using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

constexpr std::chrono::microseconds kPatience{200};  // besides half of what the work takes
constexpr int kRest = 20;                            // times what was waited
constexpr Clock::duration kLongestRest = std::chrono::seconds{1};

std::atomic<Parallel> parallel{nullptr};
std::thread::id owner;  // of the team: written once, before there are other callers
std::atomic<Clock::rep> resting_until{0};
int stalls_in_a_row = 0;  // the owner's alone
std::atomic<std::int64_t> calls{0}, stalls{0};

#if defined(__linux__)
// Whether this process is a fork of another and has not begun a program of its own: it may have the state of a team
// whose threads stayed behind.
bool is_fork() {
  constexpr unsigned kForkedWithoutExec = 0x40;  // the kernel's PF_FORKNOEXEC
  std::FILE* const file = std::fopen("/proc/self/stat", "r");
  if (!file) return true;
  unsigned flags = kForkedWithoutExec;
  int c;
  while ((c = std::fgetc(file)) != EOF && c != ')') {
  }
  const bool read = std::fscanf(file, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1;
  std::fclose(file);
  return !read || (flags & kForkedWithoutExec) != 0;
}
#endif

struct Call {
  void (*work)(void*);
  void* context;
  std::atomic<int> seats;  // beside the caller's
  Clock::duration worked;
};

void join(void* given) {
  Call& call = *static_cast<Call*>(given);
  if (std::this_thread::get_id() != owner) {
    if (call.seats.fetch_sub(1) > 0) call.work(call.context);
    return;
  }
  const Clock::time_point begin = Clock::now();
  call.work(call.context);
  call.worked = Clock::now() - begin;
}

}  // namespace

TeamCounts torch_team_counts() { return {calls, stalls}; }

void find_torch_team() {
#if defined(__linux__)
  if (is_fork() || pthread_atfork(nullptr, nullptr, [] { parallel = nullptr; }) != 0) return;
  owner = std::this_thread::get_id();
  parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
#endif
}

bool torch_team_ready() {
  return parallel.load() && owner == std::this_thread::get_id() &&
         Clock::now().time_since_epoch().count() >= resting_until.load();
}

bool share_with_torch(void (*work)(void*), void* context, int threads) {
  if (!torch_team_ready()) return false;
  Call call{work, context, {threads - 1}, {}};
  const Clock::time_point begin = Clock::now();
  parallel.load()(join, &call, 0, 0);
  const Clock::time_point end = Clock::now();
  const Clock::duration waited = end - begin - call.worked;
  ++calls;
  if (waited <= kPatience + call.worked / 2) {
    stalls_in_a_row = 0;
  } else {
    ++stalls;
    const Clock::duration rest = waited * (std::int64_t{kRest} << stalls_in_a_row);
    resting_until = (end + std::min(rest, kLongestRest)).time_since_epoch().count();
    stalls_in_a_row = std::min(stalls_in_a_row + 1, 10);
  }
  return true;
}

}  // namespace cospair
