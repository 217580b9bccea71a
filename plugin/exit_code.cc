// SPDX-License-Identifier: Apache-2.0
#include "plugin/exit_code.h"

#include <fstream>
#include <map>
#include <string>
#include <thread>

namespace heapledger {
namespace {

std::thread::id command_thread;
bool command_waits = false;  // synchronous
bool nested_quit = false;
std::map<lldb::user_id_t, int> codes;  // by debugger

// This process is LLDB's command line driver and was started with --batch.
bool is_batch_driver() {
  std::ifstream file("/proc/self/cmdline");
  std::string word;
  if (!std::getline(file, word, '\0')) return false;
  if (!word.substr(word.rfind('/') + 1).starts_with("lldb")) return false;
  while (std::getline(file, word, '\0') && word != "--") {
    if (word == "--batch" || word == "-b") return true;
  }
  return false;
}

void quit_with(lldb::SBDebugger debugger, int code) {
  lldb::SBCommandInterpreter interpreter = debugger.GetCommandInterpreter();
  const bool prompt = interpreter.GetPromptOnQuit();
  interpreter.SetPromptOnQuit(false);  // a question would take the next -o line for its answer
  interpreter.AllowExitCodeOnQuit(true);
  // The thread that prints the program's output ends when it hears of a quit.
  constexpr std::uint32_t kQuit = lldb::SBCommandInterpreter::eBroadcastBitQuitCommandReceived;
  lldb::SBBroadcaster broadcaster = interpreter.GetBroadcaster();
  lldb::SBListener listener = debugger.GetListener();
  const bool heard = broadcaster.RemoveListener(listener, kQuit);
  lldb::SBCommandReturnObject result;
  nested_quit = true;
  interpreter.HandleCommand(("quit " + std::to_string(code)).c_str(), result, false);
  nested_quit = false;
  if (heard) listener.StartListeningForEvents(broadcaster, kQuit);
  interpreter.SetPromptOnQuit(prompt);
}

}  // namespace

void note_command_thread(lldb::SBDebugger debugger) {
  command_thread = std::this_thread::get_id();
  command_waits = !debugger.GetAsync();
}

bool is_nested_quit() { return nested_quit; }

void set_exit_code(lldb::SBDebugger debugger, int code) {
  static const bool batch = is_batch_driver();
  codes[debugger.GetID()] = code;
  if (batch && command_waits && std::this_thread::get_id() == command_thread) {
    quit_with(debugger, code);
  }
}

void before_quit_command(lldb::SBDebugger debugger, bool has_code) {
  const auto code = codes.find(debugger.GetID());
  if (has_code || code == codes.end() || debugger.GetAsync()) return;
  quit_with(debugger, code->second);
}

}  // namespace heapledger
