"""Whether teacher and student read the same pieces, the same text in other pieces, or only text.

Contents are compared, never sizes or names: two vocabularies of one size can hold other pieces, and one
vocabulary may be cut by other rules.
"""

from __future__ import annotations

import hashlib
import json

from tokenizers import Tokenizer

from ..errors import JobError
from ..job import Job

SAME_PIECES, SAME_TEXT, TEXT_ONLY = "same pieces", "same text, other pieces", "text only"
PROBES = (
    "The quick brown fox jumps over the lazy dog.", "12 + 7 * 3 = 33", "  two  spaces\n\tand a tab\n", "Größe, naïve, 東京, Ελλάδα, 🙂", "f(x) = {\"a\": [1, 2.50]}",
    "it's they're we'd", "AAAAaaaa____----", "<|im_start|>user\nhello<|im_end|>\n", "https://example.org/a?b=c&d=1", "",
)


def fingerprint(tokenizer: Tokenizer) -> str:
    """A hash of the pieces by id and of how the probes are cut."""
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    cuts = [tokenizer.encode(text, add_special_tokens=False).ids for text in PROBES]
    return hashlib.sha256(json.dumps([pieces, cuts]).encode()).hexdigest()[:16]


def same_pieces(own: Tokenizer, theirs: Tokenizer) -> bool:
    """Whether both have the same pieces under the same ids and cut the probes alike."""
    return fingerprint(own) == fingerprint(theirs)


def relation(own: Tokenizer | None, theirs: Tokenizer | None, text_only: bool) -> str:
    """One of ``SAME_PIECES``, ``SAME_TEXT``, ``TEXT_ONLY``.

    ``text_only`` says that the teacher is behind an address that shows no pieces. Raises ``JobError``
    (tokenizer_unstated) when a side is unknown.
    """
    if text_only:
        return TEXT_ONLY
    for tokenizer, field in ((own, "tokenizer"), (theirs, "teacher_tokenizer")):
        if tokenizer is None:
            raise JobError(f"{field}: expected a tokenizer.json, in the job or in the model's folder, got nothing", "tokenizer_unstated")
    return SAME_PIECES if same_pieces(own, theirs) else SAME_TEXT


def loss_for(found: str) -> str:
    """The objective that a relation allows at most: what to name in a refusal."""
    return {SAME_PIECES: "forward_kl", SAME_TEXT: "span_merged", TEXT_ONLY: "teacher_text"}[found]


def check_relation(job: Job, found: str) -> None:
    """Raises ``JobError`` (tokenizer_mismatch) when the job's objective needs more than the relation allows."""
    if job.spec.same_pieces and found != SAME_PIECES or job.objective == "span_merged" and found == TEXT_ONLY:
        raise JobError(f"objective: expected one that can learn from {found} (such as {loss_for(found)!r}), got {job.objective!r}", "tokenizer_mismatch")
