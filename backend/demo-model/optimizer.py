"""The optimizer: Muon for the weight matrices of the layers, AdamW for embeddings, output layer and norms.

Muon replaces each matrix's momentum by the nearest orthogonal matrix, found by a Newton-Schulz iteration. Its steps
keep their size whatever the gradient's, so the learning rate decides how far the loss falls with small batches: with
0.02 (`--rate 2.5`) it stood still, and with 0.008 it fell again at once.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from model import Llama

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Pulls the singular values of a stack of (rows, columns) matrices near 1."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon:
    """Momentum with orthogonalized updates; matrices of one shape are updated as one stack."""

    def __init__(self, matrices: list[Tensor], rate: float, momentum: float = 0.95, decay: float = 0.02) -> None:
        self.rate, self.momentum, self.decay = rate, momentum, decay
        by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            by_shape[matrix.shape].append(matrix)
        self.groups = list(by_shape.values())
        self.velocities = [torch.zeros_like(torch.stack(group)) for group in self.groups]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Applies one update with the learning rate scaled by the schedule."""
        rate = self.rate * scale
        for group, velocity in zip(self.groups, self.velocities, strict=True):
            gradient = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            velocity.lerp_(gradient, 1 - self.momentum)
            update = orthogonalize(torch.lerp(gradient, velocity, self.momentum))
            update *= max(1.0, update.shape[-2] / update.shape[-1]) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - rate * self.decay).sub_(change, alpha=rate)


class Optimizer:
    """Muon and AdamW under one schedule."""

    MUON_RATE = 0.008
    ADAM_RATE = 0.0016

    def __init__(self, model: Llama, factor: float = 1.0) -> None:
        matrices = [parameter for parameter in model.layers.parameters() if parameter.ndim == 2]
        chosen = {id(matrix) for matrix in matrices}
        others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
        self.parameters = matrices + others
        self.muon = Muon(matrices, self.MUON_RATE * factor)
        self.adam_rate = self.ADAM_RATE * factor
        self.adam = torch.optim.AdamW(others, lr=self.adam_rate, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, scale: float) -> None:
        """Updates all parameters and clears their gradients."""
        for group in self.adam.param_groups:
            group["lr"] = self.adam_rate * scale
        self.adam.step()
        self.muon.step(scale)
        for parameter in self.parameters:
            parameter.grad = None
