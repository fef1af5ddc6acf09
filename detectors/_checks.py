"""Checks of parameters that several detectors have."""


def check_variant(variant: str, known: tuple[str, ...]) -> None:
    """Raises ValueError if a variant is not a known one."""
    if variant not in known:
        raise ValueError(f"variant must be {' or '.join(known)}, got {variant!r}")


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless a temperature is positive and finite."""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")


def check_at_least(detector: object, **limits: float) -> None:
    """Raises ValueError if a parameter is below its limit, given by name."""
    for name, least in limits.items():
        if not (value := getattr(detector, name)) >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
