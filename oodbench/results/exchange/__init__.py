"""Scores and numbers that come from other programs, and that go to them."""
