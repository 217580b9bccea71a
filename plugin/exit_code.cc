// SPDX-License-Identifier: Apache-2.0
#include "plugin/exit_code.h"

#include <string>
#include <thread>

namespace heapledger {
namespace {

std::thread::id command_thread;
bool command_waits = false;  // synchronous: batch, or a script
bool nested_quit = false;

}  // namespace

void note_command_thread(lldb::SBDebugger debugger) {
  command_thread = std::this_thread::get_id();
  command_waits = !debugger.GetAsync();
}

bool is_nested_quit() { return nested_quit; }

void set_exit_code(lldb::SBDebugger debugger, int code) {
  if (!command_waits || std::this_thread::get_id() != command_thread) return;
  lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
  const bool prompt = interpreter.GetPromptOnQuit();
  interpreter.SetPromptOnQuit(false);  // a question would take the next -o line for its answer
  interpreter.AllowExitCodeOnQuit(true);
  lldb::SBCommandReturnObject result;
  nested_quit = true;
  interpreter.HandleCommand(("quit " + std::to_string(code)).c_str(), result, false);
  nested_quit = false;
  interpreter.SetPromptOnQuit(prompt);
}

}  // namespace heapledger
