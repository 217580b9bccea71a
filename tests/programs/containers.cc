// SPDX-License-Identifier: Apache-2.0
//
// What the standard containers hold is reachable when the container is, and lost with it.
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "truth.h"

namespace {

struct Store {
  std::map<int, void*> by_number;
  std::unordered_map<int, void*> by_hash;
  std::vector<void*> in_order;
  std::deque<void*> queue;
  std::list<void*> list;
  std::set<void*> set;
  std::shared_ptr<void*> shared = std::make_shared<void*>(nullptr);
};
Store* volatile held;

NOINLINE Store* filled(const char* own, const char* inner) {
  Store* store = new Store;
  truth(store, sizeof(Store), own, "store");
  for (int i = 0; i < 40; ++i) {
    store->by_number[i] = truth_block(32, inner, "map_value");
    store->by_hash[i] = truth_block(32, inner, "hash_value");
    store->in_order.push_back(truth_block(32, inner, "vector_value"));
    store->queue.push_back(truth_block(32, inner, "deque_value"));
    store->list.push_back(truth_block(32, inner, "list_value"));
    store->set.insert(truth_block(32, inner, "set_value"));
  }
  *store->shared = truth_block(32, inner, "shared_value");
  return store;
}

NOINLINE void set_up() { held = filled("reachable", "reachable"); }

}  // namespace
TRUTH_MAIN(set_up)
