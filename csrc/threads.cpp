// Work goes to torch's own threads where they can be had, else to helpers of our own.
//
// Helpers sleep between calls and are never waited for until they have come: on a busy machine the caller does the work
// alone, instead of standing at a barrier until a helper is given a processor (torch's OpenMP team stands there: 8 ms
// for a loss of .4). Starting one costs 45 to 80 microseconds.
#include "threads.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "torch_team.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>
#endif

namespace cospair {
namespace {

// Where helpers may run: anywhere but where the caller runs. Left to itself the scheduler wakes a helper on the
// caller's processor and moves it away milliseconds later, when the work is done.
class Apart {
 public:
#if defined(__linux__)
  void add_this_thread() {
    helpers_.push_back(static_cast<pid_t>(syscall(SYS_gettid)));
    avoided_ = -1;
  }

  void from_caller() {
    const int here = sched_getcpu();
    if (here == avoided_ || here < 0 || here >= CPU_SETSIZE) return;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    CPU_CLR(here, &allowed);
    if (CPU_COUNT(&allowed) == 0) return;
    for (const pid_t helper : helpers_) sched_setaffinity(helper, sizeof allowed, &allowed);
    avoided_ = here;
  }

 private:
  std::vector<pid_t> helpers_;
  int avoided_ = -1;  // the processor that all helpers are kept from
#else
  void add_this_thread() {}
  void from_caller() {}
#endif
};

class Team {
 public:
  void share(void (*work)(void*), void* context, int threads) {
    std::unique_lock<std::mutex> mine(in_use_, std::try_to_lock);
    if (!mine) return work(context);  // another thread's call has the processors
    if (share_with_torch(work, context, threads)) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      grow(threads - 1);
      work_ = work;
      context_ = context;
      seats_ = threads - 1 < helpers_ ? threads - 1 : helpers_;
      apart_.from_caller();
    }
    come_.notify_all();
    work(context);
    std::unique_lock<std::mutex> lock(mutex_);
    seats_ = 0;  // who has not come by now is not needed
    gone_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  std::mutex in_use_, mutex_;
  std::condition_variable come_, gone_;
  void (*work_)(void*) = nullptr;
  void* context_ = nullptr;
  int helpers_ = 0, seats_ = 0, inside_ = 0;
  Apart apart_;

  void grow(int wanted) {
    try {
      for (; helpers_ < wanted; ++helpers_) std::thread([this] { help(); }).detach();
    } catch (const std::system_error&) {
      // the system has no thread to give: those that there are do the work
    }
  }

  [[noreturn]] void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    apart_.add_this_thread();
    for (;;) {
      come_.wait(lock, [this] { return seats_ > 0; });
      --seats_;
      ++inside_;
      void (*work)(void*) = work_;
      void* context = context_;
      lock.unlock();
      work(context);
      lock.lock();
      if (--inside_ == 0) gone_.notify_one();
    }
  }
};

// Never destroyed: its helpers sleep on it until the process ends. A forked child has none of them and makes its own.
std::atomic<Team*> current{nullptr};

Team& team() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] { current = nullptr; });
  (void)registered;
#endif
  Team* found = current;
  if (found) return *found;
  Team* made = new Team;
  if (current.compare_exchange_strong(found, made)) return *made;
  delete made;
  return *found;
}

}  // namespace

void share(void (*work)(void*), void* context, int threads) {
  if (threads <= 1) return work(context);
  team().share(work, context, threads);
}

}  // namespace cospair
