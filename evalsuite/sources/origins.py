"""Where a manifest says that a file can be had: one table of `sources` becomes one typed source."""

from __future__ import annotations

import os
from pathlib import Path

from evalsuite.assets import ArchiveSource, LocalSource, PackageSource, Source, UrlSource
from evalsuite.errors import RecipeError
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

_SHA256 = r"[0-9a-f]{64}"
sha256 = fields.pattern(_SHA256, "64 lower-case hexadecimal digits")
"""Parser of a digest."""


def parse_source(table: Table, folder: Path) -> Source:
    """The source that a table describes: a package's file, a file at an address or in an archive there, a local file.

    Args:
        table: read to its end.
        folder: what a local path is relative to.

    Raises:
        RecipeError: a field is missing, unknown, or not what it should be.
    """
    size = table.get("size", fields.count(1), None)
    source: Source
    if "package" in table.data:
        source = PackageSource(
            package=table.take("package", _name),
            version=table.take("version", fields.text),
            archive=table.take("archive", _archive),
            archive_sha256=table.take("archive_sha256", sha256),
            path=table.take("path", _member),
            sha256=table.take("sha256", sha256),
            size=size,
        )
    elif "url" in table.data and "path" in table.data:
        source = ArchiveSource(
            url=table.take("url", _url),
            path=table.take("path", _member),
            sha256=table.get("sha256", sha256, ""),
            size=size,
            archive_sha256=table.get("archive_sha256", sha256, ""),
            archive_size=table.get("archive_size", fields.count(1), None),
        )
    elif "url" in table.data:
        source = UrlSource(table.take("url", _url), table.get("sha256", sha256, ""), size)
    elif "path" in table.data:
        # normpath: the manifest's own folder, followed by "..", is noise in every message
        path = os.path.normpath(folder / Path(table.take("path", fields.text)).expanduser())
        source = LocalSource(Path(path), table.take("sha256", sha256), size)
    else:
        raise RecipeError(
            "the source does not say where the file is",
            where=table.where,
            expected="`package` (with version, archive, archive_sha256, path), `url` (with path for a file in an"
            " archive), or `path`",
            got=", ".join(table.data),
        )
    table.finish()
    return source


def _member(value: object) -> str:
    parts = fields.text(value).split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\\" in parts[0]:
        raise ValueError("the full name of a file inside the archive: relative, without . or ..")
    return "/".join(parts)


_name = fields.pattern(fields.NAME.pattern, fields.NAME_IN_WORDS)
_archive = fields.pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(whl|zip|tar\.gz|tgz)", "a .whl, .zip or .tar.gz file name")
_url = fields.pattern(r"https?://\S+", "an http or https address")
