// SPDX-License-Identifier: Apache-2.0
//
// Entry point of the LLDB plugin: registers `leaks` and arms tracking for every later launch.
//
// `leaks` is one plain command that dispatches itself: an SB multiword command cannot be run bare.
#include <exception>
#include <string>
#include <vector>

#include "plugin/host.h"

namespace heapledger::plugin {
namespace {

class LeaksCommand final : public lldb::SBCommandPluginInterface {
 public:
  bool DoExecute(lldb::SBDebugger debugger, char** words,
                 lldb::SBCommandReturnObject& result) override {
    try {
      return execute(debugger, words, result);
    } catch (const std::exception& e) {
      result.SetError((std::string("internal error: ") + e.what()).c_str());
    } catch (...) {
      result.SetError("internal error");
    }
    return false;
  }

 private:
  bool execute(lldb::SBDebugger debugger, char** words, lldb::SBCommandReturnObject& result) {
    Host& host = Host::instance();
    std::lock_guard guard(host.lock());
    host.synchronous = !debugger.GetAsync();
    std::vector<std::string> arguments;
    for (char** w = words; w != nullptr && *w != nullptr; ++w) arguments.emplace_back(*w);

    TargetSession& ts = host.selected(debugger);
    ts.access.set_command(&result);
    host.follow_process(ts);
    CommandResult done = ts.session.run(arguments);
    host.keep_armed(ts);
    ts.access.set_command(nullptr);
    if (done.exit_code && host.synchronous) set_exit_code(debugger, *done.exit_code);
    if (!done.ok) {
      result.SetError(done.error.c_str());
      return false;
    }
    result.SetStatus(lldb::eReturnStatusSuccessFinishResult);
    return true;
  }
};

lldb::SBDebugger debugger_with_id(void* baton) {
  return lldb::SBDebugger::FindDebuggerWithID(int(reinterpret_cast<std::intptr_t>(baton)));
}

bool before_launch(void* baton, const char**) {
  try {
    Host::instance().before_launch(debugger_with_id(baton));
  } catch (...) {
  }
  return false;  // the command itself follows
}

bool before_detach(void* baton, const char**) {
  try {
    Host::instance().before_detach(debugger_with_id(baton));
  } catch (...) {
  }
  return false;
}

bool initialize(lldb::SBDebugger debugger) {
  lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
  lldb::SBCommand command = interpreter.AddCommand(
      "leaks", new LeaksCommand, "Find memory leaks: what is lost, what grows, who keeps a block alive.",
      "leaks [COMMAND [ARGUMENTS]]", nullptr);
  if (!command.IsValid()) return false;
  command.SetHelpLong(Session::help().c_str());
  void* id = reinterpret_cast<void*>(std::intptr_t(debugger.GetID()));
  interpreter.SetCommandOverrideCallback("process launch", before_launch, id);
  interpreter.SetCommandOverrideCallback("process detach", before_detach, id);
  Host::instance().add_debugger(debugger);
  return true;
}

}  // namespace
}  // namespace heapledger::plugin

namespace lldb {

__attribute__((visibility("default"))) bool PluginInitialize(SBDebugger debugger) {
  try {
    return heapledger::plugin::initialize(debugger);
  } catch (...) {
    return false;
  }
}

}  // namespace lldb
