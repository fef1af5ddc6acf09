"""A classifier by texts: the cosines of an image with the texts of its classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class ZeroShot(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]`: scale · cos(image, text k).

    The features are the embeddings of the images, of length 1, and the head's weights
    are the embeddings of the classes, of length `scale`.

    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021, arXiv 2103.00020.

    Args:
        images: Maps images `[N, C, H, W]` to embeddings `[N, D]` of any length.
        texts: `[K, D]`, the embeddings of the classes, of any length.
        negatives: `[M, D]`, the embeddings of texts that describe none of the classes.
        scale: Of the logits; 100 in CLIP.
        made_of: A hash of what the texts were computed from. In the network's key it
            stands for the embeddings, whose last digits differ between machines.
    """

    def __init__(
        self,
        images: nn.Module,
        texts: Tensor,
        negatives: Tensor | None = None,
        scale: float = 100.0,
        made_of: str = "",
    ) -> None:
        super().__init__()
        self.images = images
        self.scale = scale
        self.made_of = made_of
        self.head = nn.Linear(texts.shape[1], len(texts), bias=False, device="meta")
        # No parameters: a file of weights has those of the encoder alone.
        del self.head.weight
        weight = scale * normalize(texts.float())
        self.head.register_buffer("weight", weight, persistent=False)
        self.negatives: Tensor | None
        unit = None if negatives is None else normalize(negatives.float())
        self.register_buffer("negatives", unit, persistent=False)

    @property
    def texts(self) -> Tensor:
        """The embeddings of the classes, `[K, D]`, of length 1."""
        return self.head.weight / self.scale

    @property
    def derived(self) -> frozenset[str]:
        """The names of buffers that `made_of` stands for in the network's key."""
        return frozenset({"head.weight", "negatives"} if self.made_of else ())

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns logits `[N, K]`."""
        return self.head(normalize(self.images(pixels)))


def mined(words: Tensor, classes: Tensor, share: float, quantile: float) -> Tensor:
    """Returns the words that are least like the classes, the least similar first.

    The similarity of a word is the quantile, over classes, of its cosine with them.
    This is NegMining of Jiang et al., Negative Label Guided OOD Detection with
    Pretrained Vision-Language Models, ICLR 2024, arXiv 2403.20078.

    Args:
        words: `[W, D]`, embeddings of length 1.
        classes: `[K, D]`, likewise.
        share: Of the words that is returned, rounded down.
        quantile: From 0 to 1.
    """
    similar = [
        (some @ classes.T).quantile(quantile, dim=1) for some in words.split(1000)
    ]
    order = torch.cat(similar).argsort(stable=True)
    return words[order[: int(share * len(words))]]
