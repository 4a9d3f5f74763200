"""The school: policies, learning, evolution and evaluation of goal buddies and user buddies."""

import ammo_env as ammo_env  # so that `import agents`, too, tells gymnasium the AMMO ids
