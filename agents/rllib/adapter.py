"""The stock path: an AMMO world as RLlib's own MultiAgentEnv, for any of RLlib's multi-agent algorithms.

RLlib ships a wrapper for PettingZoo, but its agent order depends on the hash seed, it knows only agents that are alive
after the first reset, it changes the environment's own dicts, and it cannot render. This one does none of that. It
is some hundred times slower than `BatchedRunner`; it is here for algorithms that need it and for comparison.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.env.multi_agent_env import MultiAgentEnv

ALL = "__all__"


class AmmoMultiAgentEnv(MultiAgentEnv):  # type: ignore[misc]
    """Wraps a PettingZoo ParallelEnv.

    Args:
        env: the environment, e.g. `metaspace_v0.parallel_env(...)`.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.possible_agents = list(env.possible_agents)
        self.agents = list(env.possible_agents)
        self.observation_spaces = {agent: env.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: env.action_space(agent) for agent in self.possible_agents}
        self.render_mode = getattr(env, "render_mode", None)
        super().__init__()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        """Begin an episode: (observations, infos) by agent."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        return dict(observations), dict(infos)

    def step(self, action_dict: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """One round: (observations, rewards, terminations, truncations, infos) by agent, with "__all__" flags."""
        observations, rewards, terminations, truncations, infos = self.env.step(dict(action_dict))
        self.agents = list(self.env.agents)
        ended = {agent: terminations[agent] or truncations[agent] for agent in terminations}
        over = all(ended.values())
        terminated = over and all(terminations.values())
        return (
            dict(observations),
            dict(rewards),
            {**terminations, ALL: terminated},
            {**truncations, ALL: over and not terminated},
            dict(infos),
        )

    def render(self) -> Any:
        """Whatever the environment renders."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        self.env.close()
