// SPDX-License-Identifier: Apache-2.0
#include "report/numbers.h"

namespace heapledger {

std::string with_commas(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t place = text.size(); place > 3; place -= 3) text.insert(place - 3, 1, ',');
  return text;
}

std::string_view kind_name(agent::Kind kind) {
  switch (kind) {
    case agent::Kind::none: return "unknown";
    case agent::Kind::malloc: return "malloc";
    case agent::Kind::calloc: return "calloc";
    case agent::Kind::realloc: return "realloc";
    case agent::Kind::reallocarray: return "reallocarray";
    case agent::Kind::posix_memalign: return "posix_memalign";
    case agent::Kind::aligned_alloc: return "aligned_alloc";
    case agent::Kind::memalign: return "memalign";
    case agent::Kind::valloc: return "valloc";
    case agent::Kind::pvalloc: return "pvalloc";
    case agent::Kind::operator_new: return "operator new";
    case agent::Kind::operator_new_array: return "operator new[]";
    case agent::Kind::mmap: return "mmap";
    case agent::Kind::mremap: return "mremap";
    case agent::Kind::shmat: return "shmat";
    case agent::Kind::custom: return "custom";
    case agent::Kind::free: return "free";
    case agent::Kind::free_sized: return "free_sized";
    case agent::Kind::free_aligned_sized: return "free_aligned_sized";
    case agent::Kind::cfree: return "cfree";
    case agent::Kind::operator_delete: return "operator delete";
    case agent::Kind::operator_delete_array: return "operator delete[]";
    case agent::Kind::munmap: return "munmap";
    case agent::Kind::shmdt: return "shmdt";
  }
  return "unknown";  // a number the inferior made up
}

std::string_view file_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view without_parameters(std::string_view function) {
  return function.substr(0, function.find('('));
}

}  // namespace heapledger
