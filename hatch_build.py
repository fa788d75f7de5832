"""What the wheel holds beside the Python files: the node for every platform, and its sources."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NodeHook(BuildHookInterface[Any]):
    """Compiles the node; an editable installation goes without and builds it when it is asked for."""

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

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.scratch.cleanup()
