// SPDX-License-Identifier: Apache-2.0
//
// What `plugin load` calls: registers the `leaks` command and arms every target there is and will
// be.
#include <lldb/API/LLDB.h>

#include <set>
#include <string>
#include <vector>

#include "commands/query.h"
#include "commands/session.h"
#include "plugin/debuggee.h"
#include "plugin/entry.h"
#include "plugin/exit_code.h"
#include "plugin/overrides.h"
#include "plugin/own_breakpoints.h"
#include "plugin/sb_text.h"

namespace heapledger {
namespace {

// LLDB's multiword commands cannot run without a subcommand, so this one takes all words itself.
class LeaksCommand final : public lldb::SBCommandPluginInterface {
 public:
  bool DoExecute(lldb::SBDebugger debugger, char** arguments,
                 lldb::SBCommandReturnObject& result) override {
    bool ok = false;
    const auto trouble = enter([&] {
      std::vector<std::string> words;
      for (; arguments != nullptr && *arguments != nullptr; ++arguments)
        words.push_back(*arguments);
      lldb::SBTarget target = debugger.GetSelectedTarget();
      if (!target.IsValid()) target = debugger.GetDummyTarget();
      ok = Debuggees::instance().of(target).command(debugger, words, result);
    });
    if (trouble) result.SetError(trouble->c_str());
    return ok && !trouble;
  }
};

std::string long_help() {
  std::string text = Session::help();
  return text + "\nSyntax: leaks [COMMAND] [OPTIONS]\n";
}

void add_command(lldb::SBDebugger debugger) {
  lldb::SBCommand command = debugger.GetCommandInterpreter().AddCommand(
      "leaks", new LeaksCommand, "Find memory leaks: outstanding allocations and lost blocks.",
      "leaks [COMMAND] [OPTIONS]", "");  // Enter repeats nothing
  command.SetHelpLong(long_help().c_str());
}

lldb::SBDebugger& last_debugger() {
  static auto* debugger = new lldb::SBDebugger;  // not touched by static destructors
  return *debugger;
}

bool initialize(lldb::SBDebugger debugger) {
  last_debugger() = debugger;
  note_command_thread(debugger);
  add_command(debugger);
  static std::set<lldb::user_id_t> known;
  if (known.insert(debugger.GetID()).second) install_overrides(debugger);
  arm_loader_events(debugger.GetDummyTarget());
  for (std::uint32_t i = 0; i < debugger.GetNumTargets(); ++i) {
    arm_loader_events(debugger.GetTargetAtIndex(i));
  }
  return true;
}

}  // namespace
}  // namespace heapledger

// For scripts of this process: commands/query.h.
extern "C" __attribute__((visibility("default"))) int heapledger_query_1(
    const char* const* words, std::size_t count,
    void (*take)(void* baton, const char* text, std::size_t size), void* baton) {
  bool ok = false;
  const auto trouble = heapledger::enter([&] {
    lldb::SBCommandReturnObject result;
    lldb::SBDebugger debugger = heapledger::last_debugger();
    lldb::SBTarget target = debugger.GetSelectedTarget();
    if (!target.IsValid()) target = debugger.GetDummyTarget();
    ok = heapledger::Debuggees::instance().of(target).command(
        debugger, {words, words + count}, result);
    std::string text = heapledger::text_of(ok ? result.GetOutput() : result.GetError());
    if (!ok) {
      while (text.starts_with("error: ")) text.erase(0, 7);
      text = text.substr(0, text.find('\n'));
    }
    take(baton, text.data(), text.size());
  });
  if (trouble) take(baton, trouble->data(), trouble->size());
  return ok && !trouble ? 1 : 0;
}

namespace lldb {

__attribute__((visibility("default"))) bool PluginInitialize(lldb::SBDebugger debugger) {
  bool ok = false;
  heapledger::enter([&] { ok = heapledger::initialize(debugger); });
  return ok;
}

}  // namespace lldb
