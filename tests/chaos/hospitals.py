"""The hospitals of the run: folders of small drawn pictures, some unreadable, and a line to each that can be bad."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from support.bad_line import BadLine
from support.hospitals import CLASSES, Hospital, admin_command, draw_pictures, make_hospital, running

from datasites.assets.dataset_version import newest_version
from datasites.assets.store import open_store
from datasites.files.state_folder import StateFolder
from datasites.files.toml_file import toml_value

PICTURES, UNREADABLE = 200, 5  # 2.5 %
SETTINGS = {
    "data_path": "pictures",
    "size": [16, 16],
    "channels": 1,
    "class_names": list(CLASSES),
    "unit": "picture",
    "most_left_out": 0.03,
}


@dataclass(frozen=True)
class Federated:
    """Running hospitals and the researcher's lines to them.

    Attributes:
        hospitals: By name, in the study's order.
        lines: Likewise, each between the researcher and the datasite.
        credentials: Folder of the researcher's files, which lead over the lines.
    """

    hospitals: Mapping[str, Hospital]
    lines: Mapping[str, BadLine]
    credentials: Path

    @property
    def files(self) -> list[Path]:
        """The credentials, in the study's order."""
        return [self.credentials / f"{name}.json" for name in self.hospitals]


@contextlib.contextmanager
def federated(folder: Path, count: int, *, seed: int) -> Iterator[Federated]:
    """So many hospitals, each with pictures of which a few cannot be read, started and stopped together."""
    made = [_with_pictures(folder, f"hospital-{number + 1}", seed * 1000 + number) for number in range(count)]
    with running(*made) as hospitals, contextlib.ExitStack() as lines:
        credentials, between = folder / "credentials", {}
        credentials.mkdir()
        for number, (name, hospital) in enumerate(hospitals.items()):
            values = json.loads(hospital.credentials().read_text())
            host, port = values["url"].rstrip("/").rsplit(":", 1)
            between[name] = lines.enter_context(BadLine(int(port), seed=seed * 1000 + number))
            values["url"] = f"{host}:{between[name].own_port}"
            (credentials / f"{name}.json").write_text(json.dumps(values))
        yield Federated(hospitals, between, credentials)


def pictures_taken(hospital: Hospital) -> int:
    """How many of its pictures stand in its store."""
    return len(open_store(newest_version(StateFolder(hospital.state).store, "pictures").folder).labels)


def _with_pictures(folder: Path, name: str, seed: int) -> Hospital:
    source = folder / "sources" / name
    images, labels = draw_pictures(PICTURES, seed)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = source / "pictures" / CLASSES[label] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(file)
        if number < UNREADABLE:
            file.write_bytes(file.read_bytes()[:60])
    settings = source / "dataset.toml"
    settings.write_text("[dataset]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in SETTINGS.items()))
    hospital = make_hospital(folder / "state", name, settings)
    admin_command("ingest", "--state", hospital.state)
    return hospital
