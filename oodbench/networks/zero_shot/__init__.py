"""Classifiers by texts: the module, the texts, and the library that embeds them."""
