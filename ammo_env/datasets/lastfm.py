"""Last.fm 2K as a knowledge source: artists are entities and facts, listeners humans, and their friendships are known.

Reads HetRec 2011's layout (artists.dat, user_artists.dat, user_friends.dat) from a folder that the caller names, fits
artists and listeners by what people listened to (`ammo_env.datasets.implicit`) and hands out a `Knowledge` with the
real friendship graph. Nothing is downloaded and nothing is written: the licence forbids redistribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ammo_env.arrays import BoolArray, FloatArray, IntArray
from ammo_env.datasets import implicit
from ammo_env.datasets.clusters import balanced_clusters
from ammo_env.datasets.folders import data_folder
from ammo_env.datasets.friendship import friend_lists, largest_component, split_neighbourhoods
from ammo_env.datasets.hetrec import SOURCE, Listening, read_lastfm, stamp
from ammo_env.datasets.preferences import scale_quality, unit
from ammo_env.knowledge import Knowledge, knowledge_source, padded_facts
from ammo_env.knowledge_settings import KnowledgeConfig
from ammo_env.settings import ConfigError

FITTED = 5  # an artist with fewer listeners says more about them than they about it: the fit does without
REGIONS = 8  # neighbourhoods that are held out
MOST_FRIENDS = 10  # in a person's list
NAMESAKES = 3  # artists that a subspace is called after


@knowledge_source("lastfm")
def lastfm(config: KnowledgeConfig) -> Knowledge:
    """Last.fm 2K from the folder `path` (or AMMO_DATA) as a world of artists and the people who listened to them.

    People are the largest component of the friendship graph (1,843). A share of `heldout_share` is held out in eight
    neighbourhoods (`split_neighbourhoods`), because a random fifth would keep a fifth of its friends and a third of it
    none; the neighbourhoods keep two fifths of theirs. Links across the split belong to neither pool. Artists with at
    least five listeners are fitted to the training people alone; then each held-out person is placed among the fixed
    artists, as is each training person. Measured in benchmarks/lastfm.md.

    Entities are the artists with at least `min_ratings` listeners, and at least five. Subspaces are balanced clusters
    of their vectors, called after their three most listened to artists; the facts of a subspace are its artists.
    `quality_share` is the share of the mean preference that is kept, as for MovieLens.

    The fit takes a second and is kept in memory for as long as the files and its arguments stay the same. Raises
    FileNotFoundError where there is no data, `DataError` where it is damaged, and `ConfigError` where `num_subspaces`,
    `min_ratings` or `heldout_share` leave nothing.
    """
    folder = find_folder(config.path)
    fit = fit_lastfm(folder, stamp(folder), config.dim, config.heldout_share, config.seed)
    kept = np.flatnonzero(fit.listeners >= config.min_ratings)
    entities = fit.artists[kept]
    cluster_rng, *list_rngs = np.random.default_rng(config.seed).spawn(3)
    try:
        subspace = balanced_clusters(entities, config.num_subspaces, cluster_rng)
    except ValueError as error:
        raise ConfigError(
            f"knowledge.num_subspaces={config.num_subspaces}, min_ratings={config.min_ratings}: {error} "
            "(artists with that many listeners); lower num_subspaces or min_ratings"
        ) from None
    names = tuple(fit.listening.names[i] for i in kept)
    facts, fact_mask = padded_facts(entities, subspace, config.num_subspaces)
    mean = unit(fit.people[fit.train].mean(axis=0))
    people = scale_quality(fit.people, mean, config.quality_share)
    friends, heldout_friends = (
        friend_lists(fit.listening.links, pool, MOST_FRIENDS, rng)
        for pool, rng in zip((fit.train, fit.heldout), list_rngs, strict=True)
    )
    return Knowledge(
        facts=facts,
        fact_mask=fact_mask,
        entities=entities,
        entity_subspace=subspace,
        entity_names=names,
        subspace_names=_subspace_names(names, fit.listeners[kept], subspace, config.num_subspaces),
        preferences=people[fit.train],
        heldout_preferences=people[fit.heldout],
        friends=friends,
        heldout_friends=heldout_friends,
    )


def find_folder(path: str | None) -> Path:
    """The folder that holds artists.dat: `path`, or else AMMO_DATA, itself or the lastfm-2k in it.

    Raises FileNotFoundError where neither is given or there is no such folder.
    """
    return data_folder(path, "Last.fm", "lastfm-2k", "artists.dat", SOURCE)


@dataclass(frozen=True)
class LastfmFit:
    """Listeners and artists in one space, and who is held out."""

    listening: Listening  # of the N people of the largest component to the I artists with FITTED listeners
    train: IntArray  # [P] people, sorted
    heldout: IntArray  # [P'] the others, sorted
    listeners: IntArray  # [I] how many people listened to each artist, held-out people included
    factors: implicit.Factors  # [I, D] of the artists, of free length
    people: FloatArray  # [N, D] unit

    @property
    def artists(self) -> FloatArray:
        """[I, D] unit."""
        return unit(self.factors)


@lru_cache(maxsize=4)
def fit_lastfm(
    folder: Path, version: tuple[tuple[int, int], ...], dim: int, heldout_share: float, seed: int
) -> LastfmFit:
    """Read, split and fit once; `version` (times and sizes of the files) makes a changed folder a different one."""
    heard = read_lastfm(folder)
    heard = heard.of_people(largest_component(heard.links, heard.num_people))
    heard = heard.of_artists(np.bincount(heard.artist, minlength=len(heard.names)) >= FITTED)
    split_rng, fit_rng = np.random.default_rng(seed).spawn(2)
    heldout = _split(heard, heldout_share, split_rng)
    known = heard.of_people(~heldout)
    sizes = known.num_people, len(known.names)
    factors = implicit.fit_items(known.person, known.artist, known.plays, sizes, dim, fit_rng)
    people = unit(implicit.place_people(factors, heard.person, heard.artist, heard.plays, heard.num_people))
    # Who listened only to artists with fewer listeners gets what people like on average.
    people[~people.any(axis=1)] = unit(people[~heldout].mean(axis=0))
    listeners = np.bincount(heard.artist, minlength=len(heard.names))
    return LastfmFit(heard, np.flatnonzero(~heldout), np.flatnonzero(heldout), listeners, factors, people)


def _split(heard: Listening, heldout_share: float, rng: np.random.Generator) -> BoolArray:
    count = round(heldout_share * heard.num_people)
    if not 0 < count < heard.num_people:
        raise ConfigError(
            f"knowledge.heldout_share={heldout_share} of {heard.num_people} people holds out {count}: "
            "choose a share that leaves people on both sides"
        )
    return split_neighbourhoods(heard.links, heard.num_people, count, REGIONS, rng)


def _subspace_names(
    names: tuple[str, ...], listeners: IntArray, subspace: IntArray, count: int
) -> tuple[str, ...]:
    popular = np.argsort(-listeners, kind="stable")
    return tuple(", ".join(names[i] for i in popular[subspace[popular] == m][:NAMESAKES]) for m in range(count))
