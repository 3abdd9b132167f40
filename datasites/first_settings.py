"""The first settings: told to a new datasite on a command line, and declared apart, since a help reads no more.

Each is a field of `DatasiteConfig` or of `DatasetSettings`. Nothing of them is private to patients.
"""

from __future__ import annotations

from policies.settings import Declared

PORT = Declared("port", "TCP port for researchers.", 8081, kind=int)
RESEARCHERS = Declared("researchers", "E-mail addresses of researchers whose accounts are made at the first start.", ())
DATASET = Declared("name", "Name of the dataset that is published.", "pictures")
DATA_PATH = Declared(
    "data_path", "Pictures: a folder, a table that names them, an .npz file, a DICOMDIR, or medmnist:NAME.", ""
)
SITE = Declared("site", "Which hospital's pictures, where data_path holds several.", "")
UNIT = Declared(
    "unit",
    "Privacy unit: 'picture', or 'patient' where the data names patients.",
    "picture",
    choices=("picture", "patient"),
)
