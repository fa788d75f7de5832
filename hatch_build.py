"""What the wheel holds beside the Python files: the node for every platform, its sources, and the plug-in for Nuke."""

import shutil
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
        build_data["force_include"][str(self.plugin())] = "wetgate/nuke"

    def plugin(self) -> Path:
        """The folder that Nuke is told of: copies, since a file that is named for one place is left out of others."""
        target = Path(self.scratch.name, "nuke")
        for path in (*(Path(name) for name in PLUGIN), *(Path("wetgate", name) for name in SHARED)):
            source = Path(self.root, path)
            if source.is_dir():
                shutil.copytree(source, target / path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / path)
        return target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.scratch.cleanup()
