"""What only a critic may know: the truth about every user buddy's round, for training and never for acting.

How much a slate will be regretted depends first of all on what nobody observes: how far the belief is from the human,
and how well the corpus could please. A value that sees it explains most of a return, so that what is left as advantage
is what the action did (centralised training, decentralised execution: Lowe et al. 2017; Pinto et al. 2018).
"""

from __future__ import annotations

import numpy as np

from ammo_env.arrays import FloatArray, row_starts
from ammo_env.vector import VectorEnv

USER_INSIGHTS = (
    "best",  # mean utility of a best slate of the live corpus
    "mean",  # mean utility of the live corpus
    "best_shown",  # mean utility of a best slate of the candidates shown
    "greedy",  # mean utility of the slate that the belief ranks first
    "alignment",  # q . q_hat
    "gap",  # |q - q_hat|
)


def user_insight(env: VectorEnv) -> FloatArray:
    """[E, U, I] float32 by `USER_INSIGHTS`, of the round that is about to be played. Looks at hidden state."""
    arrays, state, slots = env.arrays, env.world.state, env.config.attention.num_slots
    to_numpy = arrays.to_numpy
    best, _ = arrays.extremes(state.utility, slots)
    shown = arrays.take(state.utility, state.candidates + env.world.human_row)
    best_shown, _ = arrays.extremes(shown, slots)
    first = arrays.top_k(state.score, slots) + arrays.constant[row_starts, tuple(state.score.shape)]
    gap = state.q - state.beliefs.mean
    columns = (
        best / slots,
        arrays.xp.mean(state.utility, axis=-1),
        best_shown / slots,
        arrays.xp.mean(arrays.take(shown, first), axis=-1),
        arrays.vecdot(state.q, state.beliefs.mean),
        arrays.xp.sqrt(arrays.vecdot(gap, gap)),
    )
    return np.stack([to_numpy(column) for column in columns], axis=-1).astype(np.float32, copy=False)
