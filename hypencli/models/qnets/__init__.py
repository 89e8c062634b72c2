"""Q-nets: the small networks that score documents, their forms, and their registry."""
