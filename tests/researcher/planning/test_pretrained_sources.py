"""Where public weights come from: files and hubs, always under a stated digest. No network: downloads are faked."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
from support.public_weights import resnet18_state

from policies.errors import ConfigError, InputRefused
from policies.plans.training import ModelSpec
from researcher.planning.initial_weights import RECORD_FILE, Source, load_initial_weights

SPEC = ModelSpec("resnet18", (64, 64, 3), 4)
NAME = "timm:resnet18.a1_in1k"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return resnet18_state()


@pytest.fixture
def file(tmp_path, state) -> Path:
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_safetensors_file_and_a_state_dict_of_torch_give_the_same(file, state, tmp_path):
    torch.save(state, tmp_path / "model.pth")
    first = load_initial_weights(SPEC, str(file), sha256=digest(file))
    second = load_initial_weights(SPEC, str(tmp_path / "model.pth"), sha256=digest(tmp_path / "model.pth"))
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert np.array_equal(first.weights["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"].numpy())


def test_another_digest_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"no weights at all")
    with pytest.raises(ConfigError, match=r"must have the SHA-256 0{64}, got [0-9a-f]{64}"):
        load_initial_weights(SPEC, str(tmp_path / "model.pth"), sha256="0" * 64)


@pytest.mark.parametrize("stated", ["", "abc", "G" * 64, "A" * 64])
def test_a_digest_must_be_stated(file, stated):
    with pytest.raises(ConfigError, match="64 digits"):
        load_initial_weights(SPEC, str(file), sha256=stated)


class Surprise:
    def __reduce__(self):
        return os.mkdir, ("surprise",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 100,
        pickle.dumps({"conv1.weight": Surprise()}, protocol=2),
        pickle.dumps([1, 2], protocol=2),
        b"\x80\x02.",
        b"\x80\x02ccollections\nOrderedDict\n)R}U\x01",
        None,
    ],
    ids=["empty", "text", "call", "list", "stop", "torn", "nested"],
)
def test_what_is_no_state_dict_is_refused_and_runs_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    if content is None:
        torch.save({"state_dict": {}, "epoch": 3}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"state dict"):
        load_initial_weights(SPEC, str(path), sha256=digest(path))
    assert not Path("surprise").exists()


def test_a_torn_safetensors_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="neither"):
        load_initial_weights(SPEC, str(file), sha256=digest(file))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_initial_weights(SPEC, str(tmp_path / "none.pth"), sha256="0" * 64)


def test_weights_of_another_model_are_refused(file):
    with pytest.raises(InputRefused, match="not of the plan's model"):
        load_initial_weights(ModelSpec("resnet50", (64, 64, 3), 4), str(file), sha256=digest(file))


def test_a_name_of_timm_is_downloaded_from_its_repository_on_the_hub(file, monkeypatch):
    asked = []

    def hub(repository, filename):
        asked.append((repository, filename))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    got = load_initial_weights(SPEC, NAME, sha256=digest(file))
    assert asked == [("timm/resnet18.a1_in1k", "model.safetensors")]
    assert got.changed == {"conv1.weight": "scaled to this platform's pixels; their mean has no place"}


def test_a_name_of_torchvision_is_downloaded_once_from_its_server(tmp_path, state, monkeypatch):
    asked = []

    def server(url, path, progress):
        asked.append(url)
        torch.save(state, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", server)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    torch.save(state, tmp_path / "resnet18-f37072fd.pth")
    for _ in range(2):
        load_initial_weights(
            SPEC,
            "torchvision:ResNet18_Weights.IMAGENET1K_V1",
            sha256=digest(tmp_path / "resnet18-f37072fd.pth"),
        )
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]


def test_the_digest_of_a_download_is_checked_too(file, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, filename: str(file))
    with pytest.raises(ConfigError, match="Nothing of it was read"):
        load_initial_weights(SPEC, NAME, sha256="1" * 64)


def test_without_a_network_the_way_out_is_told(monkeypatch):
    def hub(repository, filename):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    with pytest.raises(ConfigError, match=f"{NAME}=FILE"):
        load_initial_weights(SPEC, NAME, sha256="1" * 64)


def test_a_named_file_needs_no_network_and_is_scaled_like_the_download(file, monkeypatch):
    named = load_initial_weights(SPEC, f"{NAME}={file}", sha256=digest(file))
    plain = load_initial_weights(SPEC, str(file), sha256=digest(file))
    scale = 64 / 255 / np.array([0.229, 0.224, 0.225], dtype=np.float32)[:, None, None]
    assert np.allclose(named.weights["conv1.weight"], plain.weights["conv1.weight"] * scale, rtol=1e-5)
    assert plain.changed == {}


@pytest.mark.parametrize("name", ["timm:none_such", "timm:resnet18.none", "torchvision:None_Such", "timm:", ""])
def test_an_unknown_source_is_refused(name):
    with pytest.raises(ConfigError):
        load_initial_weights(SPEC, name, sha256="0" * 64)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a/b.pth", Source(file=Path("a/b.pth"))),
        ("C:model.pth", Source(file=Path("C:model.pth"))),
        ("timm:x.y", Source("timm", "x.y")),
        ("torchvision:X.Y=a=b.pth", Source("torchvision", "X.Y", Path("a=b.pth"))),
    ],
)
def test_a_source_is_a_file_or_a_name_or_both(text, source):
    assert Source.parse(text) == source


def test_the_record_tells_source_digest_and_what_was_not_loaded(file, tmp_path):
    got = load_initial_weights(SPEC, f"{NAME}={file}", sha256=digest(file))
    record = json.loads(got.save_record(tmp_path / "study").read_text())
    assert (tmp_path / "study" / RECORD_FILE).exists()
    assert record["source"] == f"{NAME}={file}" and record["sha256"] == digest(file)
    assert record["not_loaded"] == {"fc.bias": "made for other classes", "fc.weight": "made for other classes"}
    assert record["loaded"] == len(got.weights) - 2
    assert "bn1.running_mean" in record["not_used"] and "weights" not in record
