"""Losses on text that the student writes itself.

GKD (Agarwal et al., arXiv:2306.13649) takes a divergence of the two laws at every state of the student's own
samples. MiniLLM (Gu et al., arXiv:2306.08543) minimises the reverse KL of whole sequences by policy gradient, split
into the token's own part (exact) and what it does to the rest (sampled).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..generate import decode, sampled
from ..model import Views
from .base import Batch, Given, Objective, flat, need, padded, weighted
from .divergence import generalised
from .prompts import prompts_of


def later_returns(gain: Tensor, keep: Tensor) -> Tensor:
    """The mean of ``gain`` over the kept positions after each one: ``sum_{u > t} gain_u / #{u > t}``, 0 at the end.

    ``gain`` and ``keep`` (batch, time), ``keep`` 0 or 1. The division is MiniLLM's length normalisation.
    """
    kept = gain * keep
    after = kept.flip(-1).cumsum(-1).flip(-1) - kept
    count = keep.flip(-1).cumsum(-1).flip(-1) - keep
    return after / count.clamp_min(1.0)


def sequence_reverse_kl(
    student: Tensor, teacher: Tensor, ids: Tensor, keep: Tensor, sampled: Tensor, clip: float = 0.2, long_weight: float = 1.0, step_weight: float = 1.0
) -> Tensor:
    """The surrogate whose gradient is MiniLLM's, per position (batch, time - 1).

    ``-long_weight rho_t R_{t+1}`` with ``R_{t+1}`` the mean later gain ``log p_T - log p_S`` and ``rho_t`` the ratio of the
    student's probability of the sampled token to the one it was drawn with, kept within ``1 ± clip`` as in PPO;
    ``+ step_weight KL(S_t || T_t)``, the token's own part summed over the vocabulary.

    ``student``, ``teacher`` (batch, time, vocabulary) logits; ``ids`` (batch, time); ``keep`` (batch, time) 1 on
    sampled tokens; ``sampled`` (batch, time) the log-probability with which each was drawn.
    """
    log_student, log_teacher = (F.log_softmax(one[:, :-1].float(), -1) for one in (student, teacher))
    chosen = ids[:, 1:, None]
    keep, own = keep[:, 1:].float(), log_student.gather(-1, chosen)[..., 0]
    gain = (log_teacher.gather(-1, chosen)[..., 0] - own).detach()
    returns = later_returns(gain, keep)
    ratio = torch.exp((own - sampled[:, 1:]).clamp(-20, 20))
    surrogate = torch.minimum(ratio * returns, ratio.clamp(1 - clip, 1 + clip) * returns)
    step = (log_student.exp() * (log_student - log_teacher)).sum(-1)
    return (step_weight * step - long_weight * surrogate) * keep


class Sampling(Objective):
    """An objective on text that is written during the step: prompts from the rows, answers from the models.

    The cross-entropy part is on the rows of the step; it is left out (only reported) when ``teacher_weight`` is 1.
    """

    def prepare(self) -> None:
        """Cuts the prompts out of the rows."""
        session, limit = self.session, self.options["tokens_max"]
        context = min(model.shape.context for model in (session.student, *session.teachers))
        self.prompts = prompts_of(session.rows, limit, context)
        need(len(self.prompts) > 0, f"rows: expected prompts that leave room for {limit} tokens in a context of {context}, got none", "data_mismatch")

    def writers(self) -> list:
        """The models whose laws are mixed to write, with their weights."""
        return [(self.session.student, 1.0)]

    def on_policy(self, step: int) -> bool:
        """Whether the step reads text that the models write."""
        return True

    def batch(self, step: int) -> Batch:
        """The rows of the step, with ``parts["written"]`` the text of the step."""
        session = self.session
        batch = session.row_batch(step)
        if not self.on_policy(step):
            batch.parts["written"] = batch
            return batch
        prompts = [self.prompts.items[number][0] for number in session.chosen(len(self.prompts), step)]
        training = session.student.training
        session.student.eval()
        with session.autocast():
            answers = decode(self.writers(), prompts, self.options["tokens_max"], self.prompts.ends, sampled(self.options["temperature"], session.random(step)))
        session.student.train(training)
        texts = [(prompt, answer.written) for prompt, answer in zip(prompts, answers, strict=True)]
        written = padded(texts, step, device=session.device)
        drawn = torch.zeros_like(written.weight)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            drawn[row, len(prompt) : len(prompt) + len(answer.log_probabilities)] = torch.tensor(answer.log_probabilities)
        written.extra["sampled"] = drawn
        batch.parts["written"] = written
        return batch

    def teach(self, batch: Batch) -> Given:
        """The teacher's laws on the text of the step."""
        return {"laws": self.session.teacher_views(batch.parts["written"]).logits}

    def forward(self, batch: Batch, given: Given) -> tuple[Tensor, Tensor]:
        """See ``Objective.forward``: the two parts read different texts."""
        weight, session = self.session.job.teacher_weight, self.session
        written = batch.parts["written"]
        views = session.views(session.student, written, self.states)
        term = self.term(written, views, given)
        if written is batch:
            entropy = self.entropy(batch, views)
        else:
            with torch.set_grad_enabled(weight < 1 and torch.is_grad_enabled()):
                entropy = self.entropy(batch, session.views(session.student, batch))
        return ((1 - weight) * entropy if weight < 1 else 0.0) + weight * term, entropy


class GeneralisedOnPolicy(Sampling):
    """``gkd``: a divergence at every state of the student's samples, or of the data, by ``on_policy_share``."""

    def on_policy(self, step: int) -> bool:
        """A draw that depends on the seed and the step only (the same in every process)."""
        draw = torch.rand(1, generator=torch.Generator().manual_seed(self.session.job.seed * 1_000_003 + step)).item()
        return draw < self.options["on_policy_share"]

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """The divergence on answer tokens (of samples) or by law weights (of data)."""
        each = generalised(self.session.law(flat(views.logits)), self.session.law(flat(given["laws"])), self.options["beta"])
        return weighted(each, batch.weights if "sampled" in batch.extra else batch.law_weights)


class MiniLlm(Sampling):
    """``minillm``: reverse KL of sequences by policy gradient, sampled from a mixture with the teacher."""

    def writers(self) -> list:
        """``(1 - teacher_mix) student + teacher_mix teacher``."""
        mix = self.options["teacher_mix"]
        return [(self.session.student, 1 - mix), (self.session.teachers[0], mix)] if mix else super().writers()

    def term(self, batch: Batch, views: Views, given: Given) -> Tensor:
        """``sequence_reverse_kl`` a sampled token."""
        options = self.options
        keep = (batch.weight > 0).float()
        each = sequence_reverse_kl(
            self.session.law(views.logits), self.session.law(given["laws"]), batch.ids, keep, batch.extra["sampled"], options["clip"], options["long_weight"], options["step_weight"]
        )
        return each.sum() / keep.sum().clamp_min(1.0)
