"""Attack algorithms: PGD, square, AutoAttack."""
