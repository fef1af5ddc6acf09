"""A package of somebody else's, as oodbench finds it."""
