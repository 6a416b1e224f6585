"""From the name of an objective in a job to the module that trains it."""

from __future__ import annotations

from .advantage import Advantage
from .attention import AttentionMatching, AttentionRelations, CrossHead
from .base import Objective, Session
from .confidence import Confidence
from .contrastive import Contrastive, SimilarityContrastive
from .divergence import Divergence, Supervised
from .features import FeatureMatching
from .multi_teacher import MultiTeacher
from .on_policy import GeneralisedOnPolicy, MiniLlm
from .preference import Dpo, IterativeDpo
from .rank import Rank
from .rationale import MixedLongShort, Rationale
from .selective import Selective
from .spans import SpanMerged
from .stored_laws import StoredLaws
from .teacher_text import TeacherText

MODULES: dict[str, type[Objective]] = {
    "cross_entropy": Supervised,
    "teacher_text": TeacherText,
    "forward_kl": Divergence,
    "reverse_kl": Divergence,
    "jensen_shannon": Divergence,
    "gkd": GeneralisedOnPolicy,
    "minillm": MiniLlm,
    "stored_laws": StoredLaws,
    "span_merged": SpanMerged,
    "feature_matching": FeatureMatching,
    "attention_matching": AttentionMatching,
    "attention_relations": AttentionRelations,
    "cross_head": CrossHead,
    "multi_teacher": MultiTeacher,
    "rationale": Rationale,
    "mixed_long_short": MixedLongShort,
    "selective": Selective,
    "rank": Rank,
    "advantage": Advantage,
    "dpo": Dpo,
    "iterative_dpo": IterativeDpo,
    "confidence": Confidence,
    "contrastive": Contrastive,
    "similarity_contrastive": SimilarityContrastive,
}


def build_objective(session: Session) -> Objective:
    """The module of the job's objective, on the session's device; ``prepare`` has not been called."""
    return MODULES[session.job.objective](session).to(session.device)
