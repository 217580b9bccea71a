# SPDX-License-Identifier: Apache-2.0
"""What a gdb user loads: `source build/release/heapledger_gdb.py`.

Everything is in the package beside this file; its compiled part belongs to gdb's own Python.
"""

import os
import sys

import gdb


def _load() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        import heapledger.gdb_bridge as bridge
    except ImportError as error:
        version = ".".join(str(part) for part in sys.version_info[:3])
        gdb.write(f"heapledger cannot be loaded into gdb {gdb.VERSION} (Python {version}): {error}\n",
                  gdb.STDERR)
        return
    bridge.install()


_load()
