# SPDX-License-Identifier: Apache-2.0
"""An LLDB command for tests: compares the code of every module in memory, as the kernel shows it, with
its file. LLDB's own breakpoints stand in memory too: their bytes are left out."""

import lldb


def compare_text(debugger, command, context, result, internal):
    target = debugger.GetSelectedTarget()
    process = target.GetProcess()
    traps = set()
    for i in range(target.GetNumBreakpoints()):
        breakpoint = target.GetBreakpointAtIndex(i)
        for location in breakpoint:
            traps.add(location.GetLoadAddress())
    compared = different = 0
    with open(f"/proc/{process.GetProcessID()}/mem", "rb", buffering=0) as memory:
        for module in target.module_iter():
            if module.file.fullpath.startswith("/proc/"):
                continue  # what heapledger brought in: no file has it
            for section in code_sections(module):
                begin = section.GetLoadAddress(target)
                if begin == lldb.LLDB_INVALID_ADDRESS:
                    continue
                data = section.GetSectionData()
                error = lldb.SBError()
                size = data.GetByteSize()
                expected = data.ReadRawData(error, 0, size) if size else b""
                if not expected:
                    continue
                try:
                    memory.seek(begin)
                    actual = memory.read(size)
                except OSError:
                    continue
                compared += size
                for i in (i for i in range(size) if actual[i] != expected[i]):
                    # int3 of a breakpoint, also of one of the debugger's own (dynamic loader).
                    if actual[i] == 0xCC and (begin + i in traps or expected_trap(process, begin + i,
                                                                                  expected[i])):
                        continue
                    different += 1
                    if different <= 10:
                        print(f"{module.file.basename} {begin + i:#x}: file {expected[i]:02x} "
                              f"memory {actual[i]:02x}", file=result)
    print(f"{different} bytes differ in {compared} bytes of code", file=result)


def expected_trap(process, address, original):
    """LLDB shows what stands under its own traps."""
    error = lldb.SBError()
    shown = process.ReadMemory(address, 1, error)
    return error.Success() and shown[0] == original


def code_sections(module):
    found = []

    def walk(section):
        if section.GetNumSubSections():
            for i in range(section.GetNumSubSections()):
                walk(section.GetSubSectionAtIndex(i))
        elif section.GetSectionType() == lldb.eSectionTypeCode:
            found.append(section)

    for section in module.section_iter():
        walk(section)
    return found


def __lldb_init_module(debugger, names):
    debugger.HandleCommand("command script add -f compare_text.compare_text compare-text")
