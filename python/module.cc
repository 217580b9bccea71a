// SPDX-License-Identifier: Apache-2.0
//
// heapledger._core: what gdb's bridge calls, and the scripts' door to the session of the debugger they
// run in. In LLDB that session is the loaded plugin's; nothing here debugs a second time.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>

#include "commands/session.h"
#include "commands/words.h"
#include "inferior/printable.h"
#include "python/answers.h"
#include "python/gdb_debuggee.h"
#include "python/plugin_session.h"

namespace heapledger {
namespace {

// gdb completes its own idea of a word, which may begin in the middle of ours (at a dash).
std::vector<std::string> complete(const std::string& line, const std::string& word) {
  const std::vector<std::string> words = words_to_complete(line);
  std::vector<std::string> result = Session::complete(words);
  const std::size_t typed = words.empty() ? 0 : words.back().size();
  const std::size_t cut = typed > word.size() ? typed - word.size() : 0;
  for (std::string& candidate : result) candidate.erase(0, std::min(cut, candidate.size()));
  return result;
}

}  // namespace
}  // namespace heapledger

PYBIND11_MODULE(_core, m) {
  using namespace heapledger;
  m.doc() = "Heapledger's engine (python/module.cc).";
  bind_answers(m);
  m.def("stacks_of", &stacks_of);
  m.def("leaks_of", &leaks_of);
  m.def("owners_of", &owners_of);
  m.def("one_line", &one_line, py::arg("name"));
  m.def("help", &Session::help, py::arg("command") = "");
  m.def("command_names", &Session::command_names);
  m.def("complete", &complete, py::arg("line"), py::arg("word"));
  m.def("plugin_query", &plugin_query, py::arg("words"));
  py::class_<GdbDebuggee>(m, "GdbSession")
      .def(py::init<py::object>(), py::arg("debugger"))
      .def("command", &GdbDebuggee::command, py::arg("line"))
      .def("query", &GdbDebuggee::query, py::arg("words"))
      .def("follow", &GdbDebuggee::follow)
      .def("places", &GdbDebuggee::places)
      .def("new_file", &GdbDebuggee::new_file)
      .def("loader_event", &GdbDebuggee::loader_event, py::arg("function"))
      .def("watched", &GdbDebuggee::watched, py::arg("address"))
      .def("exit_call", &GdbDebuggee::exit_call)
      .def("stopped", &GdbDebuggee::stopped)
      .def("breakpoint_set", &GdbDebuggee::breakpoint_set)
      .def("let_go", &GdbDebuggee::let_go);
}
