#include "kernels/thread_team.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

class ThreadTeamTest : public ::testing::TestWithParam<size_t> {};

TEST_P(ThreadTeamTest, RunsEveryMemberOnceOnAThreadOfItsOwn) {
  ThreadTeam team(GetParam());
  ASSERT_EQ(team.size(), GetParam());
  for (int round = 0; round < 200; ++round) {
    std::vector<int> calls(team.size(), 0);
    std::vector<std::thread::id> threads(team.size());
    team.Run([&](size_t member) {
      ++calls[member];
      threads[member] = std::this_thread::get_id();
    });
    ASSERT_EQ(calls, std::vector<int>(team.size(), 1));
    ASSERT_EQ(threads[0], std::this_thread::get_id());
    ASSERT_EQ(std::set<std::thread::id>(threads.begin(), threads.end()).size(), team.size());
  }
}

TEST_P(ThreadTeamTest, WhatMembersWriteBeforeABarrierAllSeeBehindIt) {
  ThreadTeam team(GetParam());
  constexpr size_t kRounds = 300;
  // Plain memory: a barrier that lets a member pass early shows here, or to a race detector.
  std::vector<size_t> reached(team.size(), 0);
  std::atomic<size_t> faults{0};
  for (int run = 0; run < 3; ++run) {
    team.Run([&](size_t member) {
      for (size_t round = 1; round <= kRounds; ++round) {
        reached[member] = round;
        team.Barrier();
        for (size_t other : reached) faults += other != round;
        team.Barrier();
      }
    });
  }
  EXPECT_EQ(faults, 0u);
}

TEST_P(ThreadTeamTest, EachPieceIsTakenByOneMemberAndABarrierBeginsAnew) {
  ThreadTeam team(GetParam());
  constexpr size_t kPieces = 200, kRounds = 20;
  std::vector<std::atomic<int>> given(kPieces);
  for (int run = 0; run < 3; ++run) {
    for (std::atomic<int>& piece : given) piece = 0;
    team.Run([&](size_t member) {
      for (size_t round = 0; round < kRounds; ++round) {
        for (size_t piece; (piece = team.Take(member, kPieces)) < kPieces;) ++given[piece];
        team.Barrier();
        // Fewer pieces than members, and none at all.
        for (size_t piece; (piece = team.Take(member, 1)) < 1;) ++given[piece];
        team.Barrier();
        EXPECT_EQ(team.Take(member, 0), 0u);
        team.Barrier();
      }
    });
    for (const std::atomic<int>& piece : given) {
      const int extra = &piece == &given[0] ? 2 : 1;  // The first was shared out twice.
      ASSERT_EQ(piece, static_cast<int>(kRounds) * extra);
    }
  }
}

TEST_P(ThreadTeamTest, EveryRunBeginsAtTheFirstPiece) {
  ThreadTeam team(GetParam());
  for (int run = 0; run < 50; ++run) {
    std::atomic<size_t> sum{0};
    team.Run([&](size_t member) {
      for (size_t piece; (piece = team.Take(member, 10)) < 10;) sum += piece;
    });
    ASSERT_EQ(sum, 45u);
  }
}

TEST_P(ThreadTeamTest, WorkersThatFellAsleepWakeForTheNextRun) {
  ThreadTeam team(GetParam());
  for (int run = 0; run < 3; ++run) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<size_t> members{0};
    team.Run([&](size_t) { ++members; });
    ASSERT_EQ(members, team.size());
  }
}

TEST_P(ThreadTeamTest, EndsWhetherOrNotItEverRan) {
  for (int round = 0; round < 20; ++round) {
    const ThreadTeam idle(GetParam());
    ThreadTeam busy(GetParam());
    busy.Run([](size_t) {});
  }
}

// Beyond the number of cores, too.
INSTANTIATE_TEST_SUITE_P(Sizes, ThreadTeamTest, ::testing::Values(1, 2, 3, 4));

TEST(ShareOf, CoversEverythingOnceInWholeGrains) {
  for (size_t count : {0, 1, 2, 7, 15, 16, 17, 64, 100, 1001}) {
    for (size_t grain : {1, 2, 3, 16, 200}) {
      for (size_t members : {1, 2, 3, 4, 7}) {
        size_t covered = 0, least = count, most = 0;
        for (size_t member = 0; member < members; ++member) {
          const Share share = ShareOf(count, grain, member, members);
          ASSERT_EQ(share.begin, covered) << count << " by " << grain << " for " << members;
          ASSERT_LE(share.begin, share.end);
          ASSERT_TRUE(share.end % grain == 0 || share.end == count);
          const size_t pieces = (share.end - share.begin + grain - 1) / grain;
          least = std::min(least, pieces);
          most = std::max(most, pieces);
          covered = share.end;
        }
        ASSERT_EQ(covered, count);
        ASSERT_LE(most, least + 1) << count << " by " << grain << " for " << members;
      }
    }
  }
}

}  // namespace
}  // namespace cairn::kernels
