"""Says of some well-known checkpoints why they are no classifier with logits."""

from __future__ import annotations

from collections.abc import Collection

_CLIP = (
    "it is a CLIP model, which compares images with texts and has no linear head. "
    "Write a factory whose network returns the cosines of an image with your prompts, "
    "and name it with --arch file.py:factory: msp on these is MCM (Maximum Concept "
    "Matching, Ming et al., NeurIPS 2022, arXiv 2211.13445)."
)
_CBC = (
    "it is a classification-by-components network of torch-cbc: its class "
    "probabilities come from reasoning over components, and there are no logits and no "
    "linear head."
)


def refusal(names: Collection[str]) -> str:
    """Returns why tensors of these names are of no classifier; empty if unknown."""
    firsts = {name.partition(".")[0] for name in names}
    towers = {"visual", "vision_model"}
    if "logit_scale" in names and firsts & towers:
        return _CLIP
    if {"components", "reasoning_layer"} <= firsts:
        return _CBC
    return ""
