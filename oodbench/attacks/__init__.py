"""Adversarial attacks: on classifiers, on JEMs that refine first, and on OOD scores."""
