"""What the system refuses is a sentence."""

from __future__ import annotations

import errno
import json

import pytest

from wetgate.cli import status
from wetgate.cli.main import main


@pytest.mark.parametrize(("path", "named"), [("reels/a", "reels/a"), (None, "A file or a connection")])
def test_what_the_system_refuses_is_a_sentence(monkeypatch, capsys, path, named):
    def refused(arguments):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(status, "run", refused)
    assert main(["status", "a", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["error"].startswith(f"{named} cannot be used (Permission denied): check ")
    assert "Traceback" not in told.err
