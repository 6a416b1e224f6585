"""One process or several, through accelerate: each reads its share of a step's rows, gradients are averaged.

``accelerate launch --num_processes 2 -m tandem_trainer train job.json`` starts several. The gradient is the mean of
the processes' gradients, each of the weighted mean loss of its own rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import nn

from .errors import JobError


class Processes:
    """Which of how many processes this is, its device, and the averaging of gradients."""

    def __init__(self, device: str) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.index, self.accelerator = 0, None
        if device == "cuda" and not torch.cuda.is_available():
            raise JobError("device: expected a CUDA device, found none", "device_missing")
        on_cpu = device == "cpu" or not torch.cuda.is_available()
        if self.count > 1:
            try:
                from accelerate import Accelerator
            except ImportError as cause:
                raise JobError("accelerate: expected the package for several processes, found nothing; pip install accelerate==1.15.0", "dependency_missing") from cause
            self.accelerator = Accelerator(cpu=on_cpu)
            self.index, self.device = self.accelerator.process_index, self.accelerator.device
        else:
            self.device = torch.device("cpu" if on_cpu else "cuda")

    @property
    def first(self) -> bool:
        """Whether this process writes files and events."""
        return self.index == 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Makes every gradient the mean over the processes; parameters without one count as zero."""
        if self.accelerator is None:
            return
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = self.accelerator.reduce(torch.cat([parameter.grad.flatten() for parameter in parameters]), "mean")
        at = 0
        for parameter in parameters:
            parameter.grad.copy_(flat[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.accelerator is None:
            return value
        return float(self.accelerator.reduce(torch.tensor(value, device=self.device), "mean"))

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()
