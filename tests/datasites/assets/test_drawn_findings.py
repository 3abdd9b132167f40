"""Drawn pictures with findings: independent of each other, the same for all pictures of a patient, some unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasites.assets.drawn.findings import FINDINGS, SITES, draw, draw_patients, write_example


def test_findings_are_independent_and_some_are_unknown() -> None:
    _, labels, owners = draw_patients(3000, seed=1)
    first = labels[np.unique(owners, return_index=True)[1]]
    known = (first >= 0).all(axis=1)
    assert np.abs(np.corrcoef(first[known].T) - np.eye(4)).max() < 0.08
    assert abs(float((labels < 0).mean()) - 0.15) < 0.01
    assert sorted(np.unique(labels).tolist()) == [-1, 0, 1]


def test_a_patients_pictures_never_contradict_each_other() -> None:
    _, labels, owners = draw_patients(300, seed=2)
    assert len(owners) > 300
    for patient in range(300):
        for column in labels[owners == patient].T:
            assert len(set(column.tolist()) - {-1}) <= 1


def test_each_finding_changes_the_picture() -> None:
    none = np.zeros((40, len(FINDINGS)), bool)
    for k in range(len(FINDINGS)):
        with_it = none.copy()
        with_it[:, k] = True
        difference = draw(with_it, 3).astype(int) - draw(none, 3)
        assert difference.mean() > 2, FINDINGS[k]


def test_the_example_is_in_the_form_of_a_users_own(tmp_path: Path) -> None:
    pictures, public = map(np.load, write_example(tmp_path, each=20, hold_out=10))
    assert (pictures["labels"].dtype, pictures["labels"].shape[1]) == (np.int8, 4)
    assert sorted(set(pictures["sites"].tolist())) == sorted(SITES)
    sites_of = {
        patient: {*pictures["sites"][pictures["groups"] == patient]} for patient in set(pictures["groups"].tolist())
    }
    assert len(sites_of) == 60 and all(len(sites) == 1 for sites in sites_of.values())
    assert public["class_names"].tolist() == list(FINDINGS) and "sites" not in public
