// SPDX-License-Identifier: Apache-2.0
#include "analysis/workers.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <new>
#include <set>

using namespace heapledger;

TEST(Workers, EachNumberIsWorkedOnOnce) {
  std::array<std::atomic<int>, 5> calls{};
  on_threads(5, [&](unsigned i) { ++calls[i]; });
  for (const auto& count : calls) EXPECT_EQ(count, 1);
}

TEST(Workers, WhatAThreadThrowsComesToTheCallerWhenAllAreDone) {
  for (const unsigned thrower : {0u, 3u}) {
    std::atomic<int> done = 0;
    const auto work = [&](unsigned i) {
      if (i == thrower) throw std::bad_alloc();
      ++done;
    };
    EXPECT_THROW(on_threads(5, work), std::bad_alloc);
    EXPECT_EQ(done, 4);
  }
}

TEST(Workers, TheCallerWorksForThreadsThatCannotBeHad) {
  pthread_attr_t before, vast;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_attr_init(&vast), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&vast, std::size_t{1} << 47), 0);  // more than there are addresses
  ASSERT_EQ(pthread_setattr_default_np(&vast), 0);
  std::set<std::thread::id> threads;
  std::array<int, 5> calls{};
  on_threads(5, [&](unsigned i) {
    ++calls[i];
    threads.insert(std::this_thread::get_id());
  });
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  EXPECT_EQ(calls, (std::array<int, 5>{1, 1, 1, 1, 1}));
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}
