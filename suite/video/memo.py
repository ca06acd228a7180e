"""What earlier checks found of each file, so that only files that may have changed are read again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

from suite.files import open_regular


class Memo:
    """Findings by the path of a video, each good as long as the video has the stamp (`lists.stamp`) it was found with.

    A file of lines, [path, stamp, finding] each, that only grows while a check runs: one that is killed loses a line at most.
    It is a memo and no more: without it everything is found again.
    """

    def __init__(self, path: Path | None):
        """None keeps nothing beyond the check."""
        self._path = path
        self._file: TextIO | None = None
        self._found: dict[str, tuple[str, Any]] = {}
        self._lines = 0

    def __enter__(self) -> Memo:
        if self._path is None:
            return self
        try:
            with open_regular(self._path) as file:
                for line in file:
                    self._lines += 1
                    self._take(line)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        # Line buffered. What a kill left of a last line must not join the next one.
        self._file = open(self._path, "a", encoding="ascii", buffering=1)
        self._file.write("\n")
        return self

    def __exit__(self, *_) -> None:
        if self._file is not None:
            self._file.close()

    def finding(self, path: str, stamp: str) -> Any | None:
        """What was found of a video when it had this stamp; None if nothing was."""
        known, finding = self._found.get(path, ("", None))
        return finding if stamp and known == stamp else None

    def note(self, path: str, stamp: str, finding: Any) -> None:
        """Keep a JSON-able finding. A video without a stamp is not there, and nothing is kept of it."""
        if stamp:
            self._found[path] = stamp, finding
            self._lines += 1
            if self._file is not None:
                self._file.write(_line(path, stamp, finding))

    def tidy(self) -> None:
        """Drop lines that later ones replaced, where they are as many as those that count."""
        if self._path is None or self._lines < 2 * len(self._found) + 10:
            return
        beside = self._path.with_name(f"{self._path.name}.writing")
        with open(beside, "w", encoding="ascii") as file:
            file.writelines(_line(path, *kept) for path, kept in self._found.items())
        os.replace(beside, self._path)

    def _take(self, line: bytes) -> None:
        try:
            path, stamp, finding = json.loads(line)
        except (ValueError, TypeError):
            return  # empty, or cut off by a kill
        if isinstance(path, str) and isinstance(stamp, str):
            self._found[path] = stamp, finding


def _line(path: str, stamp: str, finding: Any) -> str:
    return json.dumps([path, stamp, finding], separators=(",", ":")) + "\n"
