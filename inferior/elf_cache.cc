// SPDX-License-Identifier: Apache-2.0
#include "inferior/elf_cache.h"

#include <unistd.h>

#include <algorithm>

namespace heapledger {

ElfCache& ElfCache::instance() {
  static ElfCache cache;
  return cache;
}

ElfCache::File ElfCache::take(Result<int> descriptor, std::uint64_t inode, const std::string& name) {
  if (!descriptor) {
    return nullptr;
  }
  File file;
  struct stat status {};
  if (fstat(*descriptor, &status) == 0 && (inode == 0 || status.st_ino == inode)) {
    file = find_or_read(*descriptor, status, name);
  }
  close(*descriptor);
  return file;
}

ElfCache::File ElfCache::find_or_read(int fd, const struct stat& s, const std::string& name) {
  const Key key{s.st_dev,         s.st_ino,          s.st_size,
                s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_nsec};
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(key); found != entries_.end()) {
    found->second.used = ++clock_;
    return found->second.file;
  }
  auto file = ElfFile::from_descriptor(fd, name);
  if (!file) {
    return nullptr;
  }
  if (entries_.size() >= kMost) {
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](auto& a, auto& b) {
      return a.second.used < b.second.used;
    }));
  }
  entries_.emplace(key, Entry{*file, ++clock_});
  return *file;
}

}  // namespace heapledger
