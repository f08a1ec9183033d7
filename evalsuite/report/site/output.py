"""The folder that a site is written into."""

from __future__ import annotations

from pathlib import Path


class Output:
    """A folder that files are written into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = 0

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file; texts are UTF-8 with what it cannot hold replaced."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        self.pages += name.endswith(".html")
