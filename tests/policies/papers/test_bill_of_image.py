"""The bill of an image lists its environment's packages and Debian's, as CycloneDX."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.papers.bill_of_materials import bill_digest, bill_of_image, bill_of_materials

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14

Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.2.13.dfsg-1

Package: libgcc-s1
Status: install ok installed
Source: gcc-12 (12.2.0-14)
Architecture: amd64
Version: 12.2.0-14+deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1.0
"""
RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'


def test_installed_packages_of_debian_follow_those_of_the_environment() -> None:
    own, whole = json.loads(bill_of_materials()), json.loads(bill_of_image(STATUS, RELEASE))
    assert whole["components"][: len(own["components"])] == own["components"]
    debian = whole["components"][len(own["components"]) :]
    assert [one["purl"] for one in debian] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12",
        "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libgcc-s1@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12",
    ]
    assert whole["dependencies"][0]["dependsOn"][-3:] == [one["bom-ref"] for one in debian]


def test_the_bill_of_an_image_is_valid_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill_of_image(STATUS, RELEASE)) is None


def test_a_program_that_carries_copies_of_packages_on_its_path_has_the_same_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a datasite's process has once PySyft is imported: its receipts named another bill than `sbom` writes."""
    before = bill_digest(bill_of_materials.__wrapped__())
    carried = tmp_path / "_vendor" / "copied-1.0.dist-info"
    carried.mkdir(parents=True)
    (carried / "METADATA").write_text("Metadata-Version: 2.1\nName: copied\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(carried.parent))
    assert bill_digest(bill_of_materials.__wrapped__()) == before
    monkeypatch.syspath_prepend(str(carried.parent.rename(tmp_path / "installed")))
    assert bill_digest(bill_of_materials.__wrapped__()) != before
