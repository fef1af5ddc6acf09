"""Says of some well-known checkpoints why they are no classifier with logits."""

from __future__ import annotations

from collections.abc import Collection

_CLIP = (
    "it is a CLIP model, which compares images with texts; name OpenCLIP's name of the "
    "model, and the classes: --arch openclip:ViT-B-32 --arg classes=FILE."
)
_TRANSFORMERS_CLIP = (
    "it is a CLIP model with the names of transformers; take the file of OpenCLIP, "
    "open_clip_model.safetensors, with --arch openclip:ViT-B-32 --arg classes=FILE."
)
_CBC = (
    "it is a classification-by-components network of torch-cbc: its class "
    "probabilities come from reasoning over components, and there are no logits and no "
    "linear head."
)


def refusal(names: Collection[str]) -> str:
    """Returns why tensors of these names are of no classifier; empty if unknown."""
    firsts = {name.partition(".")[0] for name in names}
    if "logit_scale" in names and "visual" in firsts:
        return _CLIP
    if "logit_scale" in names and "vision_model" in firsts:
        return _TRANSFORMERS_CLIP
    if {"components", "reasoning_layer"} <= firsts:
        return _CBC
    return ""
