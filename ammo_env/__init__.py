"""The world: goal buddies, user buddies and the humans between them. Importing it tells gymnasium the AMMO ids."""

from gymnasium.envs.registration import register, registry

# By name alone, so that the world imports no policy: one learner needs somebody to play with, and that is the school's.
for _id, _door in (("AMMO/UserBuddy-v0", "user_buddy_env"), ("AMMO/GoalBuddy-v0", "goal_buddy_env")):
    if _id not in registry:
        register(id=_id, entry_point=f"agents.gymnasium_door:{_door}")
