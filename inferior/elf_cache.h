// SPDX-License-Identifier: Apache-2.0
//
// ELF files that were opened, kept between calls: a process is looked at again at every loader event,
// and who compares modules compares the pointers.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

#include "inferior/elf_file.h"

namespace heapledger {

class ElfCache {
 public:
  using File = std::shared_ptr<const ElfFile>;

  static ElfCache& instance();

  // The ELF file that a descriptor leads to (open_regular, and its Error), which is closed; null when its
  // inode is not `inode` (0: any) or it cannot be read.
  File take(Result<int> descriptor, std::uint64_t inode, const std::string& name);

 private:
  using Key = std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t, std::int64_t>;
  struct Entry {
    File file;
    std::uint64_t used;
  };
  static constexpr std::size_t kMost = 1024;  // files; each costs a mapping and a few KiB

  File find_or_read(int fd, const struct stat& s, const std::string& name);

  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace heapledger
