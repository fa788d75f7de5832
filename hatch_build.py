"""What the wheel holds beside the Python files: the node for every platform, its sources, and the plug-in for Nuke."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLUGIN = ("init.py", "menu.py", "gizmos", "nuke_plugin")
SHARED = ("__init__.py", "errors.py", "files.py", "project", "service")
"""Of the engine, what the plug-in takes with it: Nuke must not look into a folder with packages for another Python."""


class NodeHook(BuildHookInterface[Any]):
    """Compiles the node and gathers the plug-in; an editable installation has both from its clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from wetgate.node.build import build

        self.scratch = tempfile.TemporaryDirectory()
        bundle = build(Path(self.scratch.name))
        build_data["force_include"][str(bundle)] = f"wetgate/node/{bundle.name}"
        for source in sorted(Path(self.root, "ofx").glob("*.[ch]")):
            build_data["force_include"][str(source)] = f"wetgate/node/sources/{source.name}"
        for names, below in ((PLUGIN, ""), (SHARED, "wetgate")):
            for path in (Path(self.root, below, name) for name in names):
                for file in sorted(path.rglob("*") if path.is_dir() else [path]):
                    if file.is_file() and file.suffix != ".pyc":
                        build_data["force_include"][str(file)] = f"wetgate/nuke/{file.relative_to(self.root)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.scratch.cleanup()
