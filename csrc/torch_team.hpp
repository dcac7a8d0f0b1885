// The OpenMP threads that torch has in this process already.
#pragma once

#include <cstdint>

namespace cospair {

// Once, by the thread whose team it is, before the process is forked: a child has the team's state without its threads.
void find_torch_team();

// Whether a call of this thread would be shared with them now.
bool torch_team_ready();

// Calls work(context) on up to `threads` of them, the caller among them; false where it did nothing.
bool share_with_torch(void (*work)(void*), void* context, int threads);

// Calls that were shared with them, and those of them that stood at the barrier for long.
struct TeamCounts {
  std::int64_t calls, stalls;
};
TeamCounts torch_team_counts();

}  // namespace cospair
