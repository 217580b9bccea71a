// SPDX-License-Identifier: Apache-2.0
#include "inferior/process_limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inferior/proc_file.h"
#include "tests/inferior/child.h"

namespace heapledger {
namespace {

constexpr rlim_t kSpare = 100 << 20;

// A child that may map kSpare bytes more of what `title` counts.
Child limited(int resource, const char* title) {
  return Child::forked([=] {
    const rlim_t now = *number_after(read_proc_file("/proc/self/status"), title) * 1024;
    const rlimit both{now + kSpare, now + kSpare};
    if (setrlimit(__rlimit_resource_t(resource), &both) != 0) _exit(1);
  });
}

TEST(ProcessLimits, LeaveWhatIsNotUsedYet) {
  for (const auto& [resource, title, name] : {std::tuple(RLIMIT_AS, "VmSize", "RLIMIT_AS is "),
                                              std::tuple(RLIMIT_DATA, "VmData", "RLIMIT_DATA is ")}) {
    const Child child = limited(resource, title);
    const auto room = memory_room(std::uint64_t(child.pid()));
    ASSERT_TRUE(room) << name;
    EXPECT_LE(room->bytes, kSpare);
    EXPECT_GT(room->bytes, kSpare - (8 << 20));
    EXPECT_TRUE(room->limit.starts_with(name)) << room->limit;
  }
}

TEST(ProcessLimits, AreNoneByDefault) {
  const auto room = memory_room(std::uint64_t(getpid()));
  EXPECT_FALSE(room) << room->limit;  // but for a machine that commits no more than it has
}

TEST(ProcessLimits, CountMappings) {
  const auto most = number_after(read_proc_file("/proc/sys/vm/max_map_count"), "");
  ASSERT_TRUE(most);
  EXPECT_EQ(mapping_room(0), *most);
  EXPECT_EQ(mapping_room(*most - 3), 3u);
  EXPECT_EQ(mapping_room(*most + 3), 0u);
}

TEST(ProcFile, FindsNumbersBehindTitles) {
  constexpr const char* kText = "First:\t 12 kB\nFirst_more:\t7\nMask:\t00ff\nNone: unlimited\n";
  EXPECT_EQ(number_after(kText, "First"), 12u);
  EXPECT_EQ(number_after(kText, "First_more"), 7u);
  EXPECT_EQ(number_after(kText, "Mask", 16), 255u);
  EXPECT_EQ(number_after(kText, "None"), std::nullopt);
  EXPECT_EQ(number_after(kText, "Absent"), std::nullopt);
  EXPECT_EQ(number_after("42\n", ""), 42u);
  EXPECT_EQ(number_after("", ""), std::nullopt);
}

}  // namespace
}  // namespace heapledger
