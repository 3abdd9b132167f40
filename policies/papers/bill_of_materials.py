"""The bill of materials of the program that runs: each package of its environment, as CycloneDX. Public."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import quote

import policies

SPEC_VERSION = "1.6"
DIGEST_FORM = re.compile("sha256:[0-9a-f]{64}")
"""How a receipt's `versions` names a bill, under `sbom`."""
_INSTALLED = "\nStatus: install ok installed\n"


@cache
def bill_of_materials() -> str:
    """The CycloneDX JSON of this environment: equal environments give equal bytes, as nothing in it tells a time."""
    # A program that has imported setuptools, as PySyft does, finds the copies that setuptools carries on its path too.
    path = [one for one in sys.path if Path(one).name != "_vendor"]
    packages = importlib.metadata.distributions(path=path)
    found = {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in packages if one.name}
    found.pop("wanwu", None)
    components = [_component(name, version) for name, version in sorted(found.items())]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "wanwu",
                "name": "wanwu",
                "version": policies.__version__,
            }
        },
        "components": [
            {"type": "platform", "bom-ref": "python", "name": "python", "version": platform.python_version()},
            *components,
        ],
        "dependencies": [{"ref": "wanwu", "dependsOn": ["python", *(one["bom-ref"] for one in components)]}],
    }
    return json.dumps(bill, indent=1) + "\n"


def bill_of_image(status: str, release: str) -> str:
    """The CycloneDX JSON of an image: this environment, and the packages of Debian that its root is made of.

    Args:
        status: What /var/lib/dpkg/status of the image says.
        release: What its /etc/os-release says.
    """
    bill = json.loads(bill_of_materials())
    told = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]+)"?$', release, re.MULTILINE))
    of = f"{told['ID']}-{told['VERSION_ID']}"
    debian = [_debian_component(stanza, of) for stanza in status.split("\n\n") if _INSTALLED in stanza]
    bill["components"] += debian
    bill["dependencies"][0]["dependsOn"] += [one["bom-ref"] for one in debian]
    return json.dumps(bill, indent=1) + "\n"


def bill_digest(bill: str | bytes | None = None) -> str:
    """`sha256:` and the digest of a bill, of this environment's own if none is given."""
    text = bill_of_materials() if bill is None else bill
    return "sha256:" + hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _component(name: str, version: str) -> dict[str, str]:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _debian_component(stanza: str, release: str) -> dict[str, str]:
    # Debian tells of faults by the source that a package is built of, in its release.
    told = dict(re.findall(r"^(Package|Source|Version|Architecture): (\S+)", stanza, re.MULTILINE))
    name, version = told["Package"], told["Version"]
    source = told.get("Source") or name
    purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={told['Architecture']}&distro={release}"
    purl += f"&upstream={quote(source, safe='')}" if source != name else ""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
