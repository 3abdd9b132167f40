"""The list of who withdrew, looked at where a request is to be approved: as it stands then, and not as it stood."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest

from datasites.assets.store import open_store
from datasites.assets.withdrawn import Withdrawn, holds_withdrawn
from datasites.code_requests.limits.consent import check_consent
from policies.errors import RequestError, StoreBroken


@pytest.fixture
def published(tmp_path: Path) -> Any:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    patients = [f"patient {number // 2}" for number in range(60)]
    source = SourcePictures(images, np.arange(60, dtype=np.int64) % 2, ("a", "b"), patients)
    ingest(source, tmp_path / "cells", name="cells")
    return SimpleNamespace(store=tmp_path / "cells")


def test_a_list_that_has_changed_is_read_again(published: Any, tmp_path: Path) -> None:
    file, store = tmp_path / "withdrawn.json", open_store(published.store)
    assert store.patients is not None and store.sources is not None
    check_consent(file, published)
    nobody_here = Withdrawn(frozenset({bytes(32)}), frozenset({b"\1" * 32}))
    nobody_here.write(file)
    check_consent(file, published)
    for theirs in (
        Withdrawn(patients=frozenset({store.patients[3].tobytes()})),
        Withdrawn(sources=frozenset({store.sources[7].tobytes()})),
    ):
        (nobody_here | theirs).write(file)
        with pytest.raises(RequestError, match=r"since this datasite was started.*Start the datasite again"):
            check_consent(file, published)
        with pytest.raises(RequestError, match=r"begun before patients withdrew.*Deny it"):
            check_consent(file, published, begun=True)
        nobody_here.write(file)
        check_consent(file, published)


def test_who_stays_is_everybody_else(published: Any) -> None:
    store = open_store(published.store)
    assert store.patients is not None and store.sources is not None
    rows = np.arange(60)
    one = store.patients[3].tobytes()
    theirs = {row for row in rows.tolist() if store.patients[store.units[row]].tobytes() == one}
    assert len(theirs) == 2
    for gone in (Withdrawn(patients=frozenset({one})), Withdrawn(shown=frozenset({one.hex()[:16]}))):
        assert set(rows) - set(gone.staying(store, rows)) == theirs
    by_file = Withdrawn(sources=frozenset({store.sources[7].tobytes(), b"\1" * 32}))
    assert set(rows) - set((by_file | Withdrawn()).staying(store, rows)) == {7}
    assert set(rows) - set((Withdrawn() | by_file).staying(store, rows)) == {7}
    assert np.array_equal(Withdrawn().staying(store, rows), rows)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"patients": []}', '{"patients": ["ab"], "sources": []}', '{"patients": [7], "sources": []}']
)
def test_a_list_that_cannot_be_read_lets_nothing_be_approved(content: str, published: Any, tmp_path: Path) -> None:
    file = tmp_path / "withdrawn.json"
    file.write_text(content)
    with pytest.raises(StoreBroken, match="list of patients who withdrew cannot be read"):
        check_consent(file, published)
    with pytest.raises(StoreBroken):
        holds_withdrawn(file, open_store(published.store))
