// SPDX-License-Identifier: Apache-2.0
//
// What a user types after `leaks`, word by word, about a small process that is tracked. A report goes
// into a folder of this run.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "commands/arguments.h"
#include "commands/completion.h"
#include "tests/fuzz/session.h"
#include "tests/report/ledger_image.h"

using namespace heapledger;

namespace {

constexpr Address kHeap = 0x555555560000;

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "command_line_fuzz.XXXXXX").string();
    fuzz::require(mkdtemp(name.data()) != nullptr && chdir(name.c_str()) == 0);
    path_ = name;
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  void empty() const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      std::error_code error;
      std::filesystem::remove_all(entry.path(), error);
    }
  }

 private:
  std::filesystem::path path_;
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == '\n') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

testing::LedgerImage small_ledger() {
  testing::LedgerImage image;
  const std::uint32_t stack = image.stack({0x401005, 0x402005});
  image.block(kHeap, 64, stack, image.thread(4711));
  image.block(kHeap + 0x100, 24, image.stack({0x401105}), 1);
  return image;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of({data, size});
  // Files are written in the folder only.
  if (text.find('/') != std::string_view::npos) return 0;
  static const Folder folder;
  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : words) {
    parse_bytes(word);
    parse_address(word);
  }
  completions(words);

  testing::FakeTarget target;
  target.kind_ = ProcessKind::core;
  small_ledger().install(target.memory_);
  target.memory_.segments[kHeap].resize(0x1000);
  target.mappings_ = {fuzz::memory_mapping(kHeap, 0x1000, "[heap]")};
  target.expressions = {{"p", kHeap}};
  Context context(target, target);
  context.tracked_from_start = true;
  context.read_ledger = [&] { return Ledger::read(target.memory_, testing::LedgerImage::kState); };
  fuzz::answer(context, target, words);
  static unsigned runs = 0;
  if (++runs % 64 == 0) folder.empty();
  return 0;
}
