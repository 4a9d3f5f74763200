"""The school: policies, learning, evolution and evaluation of goal buddies and user buddies."""
