"""Learning with RLlib: the only folder that imports ray.

`algorithm.build_algorithm` makes a trainer, `checkpoint` saves and resumes it, `adapter` serves RLlib's stock path.
"""

# Ray reads its environment variables when it is first imported, so they are set before any sibling is.
from agents.rllib import quiet as quiet
