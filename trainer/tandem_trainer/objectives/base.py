"""What every objective shares: the batch, the models at hand, and the split into a teacher's and a student's side.

A step is ``batch -> teach -> forward``. ``teach`` runs everything that is taken as given (teachers, references,
selections) without gradients; ``forward`` runs the student and returns ``(1 - w) * cross_entropy + w * term``.
Keeping the two apart lets the signal check ask what happens when what was taught is shuffled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ..data.packing import PackedRows
from ..errors import JobError
from ..model import Llama, Views, document_mask
from .cross_entropy import cross_entropy

if TYPE_CHECKING:
    from ..job import Job

Given = dict[str, Any]


@dataclass
class Batch:
    """Token ids, document numbers (0 is filling) and loss weights, each (batch, time), and the step they belong to.

    ``numbers`` are the row numbers in the job's data; ``parts`` holds further batches of the step by name.
    """

    ids: Tensor
    documents: Tensor
    weight: Tensor
    step: int = 0
    numbers: np.ndarray | None = None
    parts: dict[str, Batch] = field(default_factory=dict)
    extra: Given = field(default_factory=dict)

    @property
    def targets(self) -> Tensor:
        """The token that each position predicts, flat: (batch * (time - 1))."""
        return self.ids[:, 1:].flatten()

    @property
    def weights(self) -> Tensor:
        """The weight of each prediction, flat."""
        return self.weight[:, 1:].flatten()

    @property
    def law_weights(self) -> Tensor:
        """Weights for laws: a teacher's law is worth matching on prompts too, so they are flatter than the text's."""
        return (self.weights > 0) * (0.3 + self.weights)

    @property
    def units(self) -> Tensor:
        """A number from 0 for the document of each prediction, flat."""
        place = torch.arange(len(self.ids), device=self.ids.device)[:, None] * 256 + self.documents[:, 1:]
        return torch.unique(place.flatten(), return_inverse=True)[1]


def flat(logits: Tensor) -> Tensor:
    """Logits (batch, time, vocabulary) of the positions that predict, flat: (batch * (time - 1), vocabulary)."""
    return logits[:, :-1].flatten(0, 1)


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """``sum w v / sum w``, a scalar; the sum of weights counts as at least 1."""
    return (values * weights).sum() / weights.sum().clamp_min(1.0)


def padded(sequences: list[tuple[list[int], list[int]]], step: int = 0, time: int | None = None, device: torch.device | str = "cpu") -> Batch:
    """(prompt, answer) ids as a batch, one document a row, weight 1 on the answer. Cut at ``time`` tokens."""
    rows = [(prompt + answer)[:time] for prompt, answer in sequences]
    width = max(2, max(len(row) for row in rows))
    ids, documents, weight = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for number, (row, (prompt, _)) in enumerate(zip(rows, sequences, strict=True)):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        documents[number, : len(row)] = 1
        weight[number, len(prompt) : len(row)] = 1.0
    weight[:, 0] = 0.0
    return Batch(ids.to(device), documents.to(device), weight.to(device), step)


@dataclass
class Session:
    """The models and data of a running job. ``start`` is the student as it was before the first step.

    ``law_size`` is how many entries of a law count: fewer than a model's vocabulary when its table is padded
    beyond its tokenizer. ``share`` is (number, count) of this process among those that divide a step's rows.
    """

    job: Job
    student: Llama
    teachers: list[Llama] = field(default_factory=list)
    reference: Llama | None = None
    start: Llama | None = None
    rows: PackedRows | None = None
    tokenizer: Tokenizer | None = None
    teacher_tokenizer: Tokenizer | None = None
    law_size: int | None = None
    device: torch.device = torch.device("cpu")
    share: tuple[int, int] = (0, 1)
    emit: Callable[[dict], None] = lambda event: None
    compiled: Callable[[Callable], Callable] = lambda function: function

    @property
    def options(self) -> dict[str, Any]:
        """The objective's options."""
        return self.job.options

    def random(self, step: int, salt: int = 0) -> torch.Generator:
        """Randomness that depends only on the job's seed, the step, ``salt`` and this process."""
        seed = np.random.SeedSequence([self.job.seed, step, salt, self.share[0]]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed % 2**63))

    def autocast(self) -> torch.autocast:
        """Mixed precision as the job says."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.job.precision == "bf16")

    def law(self, logits: Tensor) -> Tensor:
        """Logits cut to the entries that count."""
        return logits if self.law_size is None else logits[..., : self.law_size]

    def views(self, model: Llama, batch: Batch, states: bool = False) -> Views:
        """A pass of ``model`` over ``batch``, attention kept inside documents."""
        mask = document_mask(batch.documents)
        with self.autocast():
            return model.views(batch.ids, mask, states)

    @torch.no_grad()
    def teacher_views(self, batch: Batch, number: int = 0, states: bool = False) -> Views:
        """What a teacher shows on ``batch``."""
        return self.views(self.teachers[number], batch, states)

    def row_batch(self, step: int) -> Batch:
        """This process's share of the packed rows of a step."""
        numbers = self.chosen(len(self.rows), step)
        place = lambda values, kind: torch.from_numpy(values[numbers].astype(kind)).to(self.device)  # noqa: E731
        return Batch(place(self.rows.ids, np.int64), place(self.rows.document, np.int64), place(self.rows.weight, np.float32), step, numbers)

    def chosen(self, count: int, step: int) -> np.ndarray:
        """This process's share of the ``batch_rows`` item numbers of a step, out of ``count`` items."""
        from ..train import row_order

        number, processes = self.share
        return row_order(count, step, self.job.batch_rows, self.job.seed)[number::processes]


class Objective(nn.Module):
    """One way of learning. Parameters of its own (maps between widths) are trained and stored with the student."""

    states = False  # whether the student's states are needed

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = [session]  # not a submodule: the student must not count as this module's parameters
        self.options = session.options

    @property
    def session(self) -> Session:
        """The models and data of the job."""
        return self._session[0]

    def prepare(self) -> None:
        """Work before the first step of this process, also on resume. May raise ``JobError``."""

    def batch(self, step: int) -> Batch:
        """The data of a step; the same for the same step, whatever came before (but for rounds, see ``begin``)."""
        return self.session.row_batch(step)

    def begin(self, step: int) -> None:
        """Called before ``batch`` of every step: work of rounds."""

    def teach(self, batch: Batch) -> Given:
        """What is taken as given for the batch, without gradients."""
        return {}

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The objective itself, a scalar with a gradient."""
        raise NotImplementedError

    def forward(self, batch: Batch, given: Given) -> tuple[Tensor, Tensor]:
        """(loss, its cross-entropy part), scalars."""
        views = self.session.views(self.session.student, batch, self.states)
        entropy = self.entropy(batch, views)
        weight = self.session.job.teacher_weight
        return (1 - weight) * entropy + weight * self.term(batch, views, given), entropy

    def entropy(self, batch: Batch, views: Views) -> Tensor:
        """The weighted mean cross-entropy on the batch's own text."""
        return weighted(cross_entropy(flat(views.logits), batch.targets), batch.weights)

    def shuffled(self, given: Given, random_: torch.Generator) -> Given:
        """``given`` with its positions mixed up: what a teacher would say that knows nothing of this text."""
        return {name: mixed_up(value, random_) for name, value in given.items()}


def mixed_up(value: Any, random_: torch.Generator) -> Any:
    """Tensors with their first axis permuted, lists item by item, ``Views`` over positions; other things as they are."""
    if isinstance(value, Tensor) and value.dim() and len(value) > 1:
        return value[torch.randperm(len(value), generator=random_).to(value.device)]
    if isinstance(value, list):
        return [mixed_up(one, random_) for one in value]
    if isinstance(value, Views):
        seed = torch.randint(2**31, (1,), generator=random_).item()

        def moved(one: Tensor) -> Tensor:  # (batch, time, ...), the same permutation for every tensor
            order = torch.randperm(one.shape[0] * one.shape[1], generator=torch.Generator().manual_seed(seed)).to(one.device)
            return one.flatten(0, 1)[order].view(one.shape)

        turned = [[moved(one.transpose(1, 2)).transpose(1, 2) for one in part] for part in (value.queries, value.keys, value.values)]
        maps = [one[:, :, torch.randperm(one.shape[2], generator=random_).to(one.device)] for one in value.maps]
        return Views(moved(value.logits), value.mask, [moved(one) for one in value.hidden], *turned, maps)
    return value


def need(condition: bool, message: str, code: str = "job_invalid") -> None:
    """Raises ``JobError`` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise JobError(message, code)
