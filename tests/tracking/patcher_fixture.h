// SPDX-License-Identifier: Apache-2.0
//
// A patcher of this test's forked child.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tests/tracking/allocating_child.h"
#include "tests/tracking/code_page.h"
#include "tests/tracking/traced_process.h"
#include "tracking/patcher.h"

namespace heapledger {

using testing::Bytes;
using testing::CodePage;
using testing::Shared;
using testing::TracedProcess;
using testing::kWorkers;
using testing::libc;
using testing::pass_through;
using testing::run_workers;
using testing::shared;
using testing::wait_for_ever;
using testing::work_with_handler;

class PatcherTest : public ::testing::Test {
 protected:
  PatcherTest() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = new (memory) Shared{};
    static_cast<void>(libc());
  }
  ~PatcherTest() override {
    process_.reset();
    munmap(shared, sizeof(Shared));
  }

  void start(const std::function<void()>& body) {
    const AddressRange arena{near_libc_.take(49152), near_libc_.take(0)};
    const AddressRange other{elsewhere_.take(32768), elsewhere_.take(0)};
    process_ = std::make_unique<TracedProcess>(body, std::vector{arena, other});
    patcher_ = std::make_unique<Patcher>(*process_, *process_);
  }

  HookRequest request(const std::string& symbol) {
    const auto& entry = libc().entry(symbol);
    HookRequest result{.symbol = symbol, .module = "libc.so.6", .module_range = libc().range};
    result.function = libc().address(symbol);
    result.original = entry.bytes;
    result.kind = entry.kind;
    result.shape = entry.shape;
    result.hook = hook(entry.shape);
    return result;
  }
  std::vector<HookRequest> requests(std::initializer_list<const char*> symbols) {
    std::vector<HookRequest> result;
    for (const char* symbol : symbols) result.push_back(request(symbol));
    return result;
  }
  // A function of ours, put into the page before the child starts.
  HookRequest synthetic(const Bytes& code) {
    HookRequest result{.symbol = "synthetic", .module = "test", .module_range = {}};
    result.function = near_libc_.put(code);
    result.original = code;
    result.hook = hook(agent::Shape::malloc_like);
    return result;
  }
  Address hook(agent::Shape shape) {
    Address& place = hooks_[shape];
    if (place == 0) place = near_libc_.put(pass_through(shape));
    return place;
  }

  bool wait_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      if (!process_->alive() || std::chrono::steady_clock::now() > deadline) return false;
      sched_yield();
    }
    return true;
  }
  bool all_work_on(int workers, std::uint64_t rounds = 20) {
    std::uint64_t before[kWorkers];
    for (int i = 0; i < workers; ++i) before[i] = shared->rounds[i];
    return wait_until([&] {
      for (int i = 0; i < workers; ++i) {
        if (shared->rounds[i] < before[i] + rounds) return false;
      }
      return true;
    });
  }

  Bytes read(Address address, std::size_t size) {
    Bytes result(size);
    result.resize(
        process_->memory().read_up_to(address, std::as_writable_bytes(std::span(result))));
    return result;
  }
  template <typename T>
  T value(Address address) {
    return *process_->memory().read_value<T>(address);
  }
  bool text_is_the_files() {
    const ElfSection* text = libc().file->section(".text");
    const auto expected = libc().file->contents(*text);
    const auto* first = reinterpret_cast<const std::uint8_t*>(expected.data());
    return read(libc().base + text->address, text->size) == Bytes(first, first + expected.size());
  }
  std::string refusal(const Patcher::Outcome& outcome) {
    return outcome.refused.size() == 1 && outcome.installed.empty() ? outcome.refused[0].reason
                                                                    : "";
  }

  CodePage near_libc_{libc().base};
  CodePage elsewhere_{0x70000000};  // below what AddressSanitizer reserves
  std::map<agent::Shape, Address> hooks_;
  std::unique_ptr<TracedProcess> process_;
  std::unique_ptr<Patcher> patcher_;
};

}  // namespace heapledger
