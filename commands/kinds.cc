// SPDX-License-Identifier: Apache-2.0
#include "commands/kinds.h"

namespace heapledger {
namespace {

bool insert_kind(VerdictSet& set, std::string_view word) {
  const bool all = word == "all";
  if (all || word == "definite") set.insert(Verdict::definitely_lost);
  if (all || word == "indirect") set.insert(Verdict::indirectly_lost);
  if (all || word == "possible") set.insert(Verdict::possibly_lost);
  if (all || word == "reachable") set.insert(Verdict::still_reachable);
  return all || word == "none" || word == "definite" || word == "indirect" ||
         word == "possible" || word == "reachable";
}

}  // namespace

Result<VerdictSet> parse_kinds(const std::string& option, const std::string& text) {
  VerdictSet set;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!insert_kind(set, word)) {
      return fail("{} must be a list of {}, not '{}'", option, kKindWords, text);
    }
    begin = end + 1;
  }
  return set;
}

}  // namespace heapledger
