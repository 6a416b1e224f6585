"""The objectives that a job may name: what each needs, and its options with their ranges.

``trainer/job.schema.json`` lists the same names and options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Option:
    """One setting of an objective: a number from ``low`` to ``high``, a truth value, or one of ``choices``."""

    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: Any) -> str | None:
        """What was expected, when ``value`` is not allowed; else None."""
        if self.choices:
            return None if value in self.choices else f"one of {list(self.choices)}"
        if isinstance(self.default, bool):
            return None if isinstance(value, bool) else "true or false"
        whole = isinstance(self.default, int)
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not self.low <= value <= self.high:
            return f"a {'whole ' if whole else ''}number from {self.low:g} to {self.high:g}"
        return None


@dataclass(frozen=True)
class Spec:
    """What an objective is and needs.

    ``data`` is ``rows`` (packed rows), ``prompts`` (packed rows whose answers the models write), ``pairs``
    (JSON lines, see ``preference_data``). ``gives`` is the least that a teacher must give: ``none``, ``text``,
    ``top-k``, ``full`` (whole laws), ``states`` (hidden states and attention, so the model itself).
    ``rows`` are the rows of the list of systems that it serves.
    """

    family: str
    paper: str
    data: str = "rows"
    teachers: tuple[int, int] = (1, 1)
    gives: str = "full"
    reference: bool = False
    same_pieces: bool = True
    rows: tuple[int, ...] = ()
    options: dict[str, Option] = field(default_factory=dict)


TEMPERATURE = Option(1.0, "flattens both laws before they are compared", 0.05, 20.0)
TOKENS = Option(48, "tokens that are sampled for one prompt, at most", 1, 4096)
SAMPLING = Option(1.0, "temperature of sampling; 0 takes the likeliest token", 0.0, 5.0)
LAYERS = Option("uniform", "which teacher layer a student layer follows", choices=("uniform", "last"))

OBJECTIVES: dict[str, Spec] = {
    "cross_entropy": Spec("supervised", "maximum likelihood on the text of the rows", teachers=(0, 0), gives="none", same_pieces=False),
    "teacher_text": Spec(
        "supervised", "sequence-level distillation: Kim and Rush, arXiv:1606.07947; judged and refilled: LlamaDuo, arXiv:2408.13467",
        data="prompts", teachers=(1, 8), gives="text", same_pieces=False, rows=(165, 166, 167, 168, 193),
        options={
            "temperature": Option(0.0, "temperature at which the teacher writes; 0 is greedy", 0.0, 5.0),
            "samples": Option(1, "answers the teacher writes for one prompt", 1, 64),
            "tokens_max": TOKENS,
            "judge_min": Option(-1e9, "least mean log-probability a token, by the judge (the last teacher), that keeps an answer; nats", -1e9, 0.0),
            "attempts": Option(1, "rounds in which refused prompts are written again", 1, 16),
        },
    ),
    "forward_kl": Spec("divergence", "Hinton et al., arXiv:1503.02531", rows=(159, 160, 162), options={"temperature": TEMPERATURE}),
    "reverse_kl": Spec("divergence", "Gu et al. (MiniLLM), arXiv:2306.08543", rows=(176,), options={"temperature": TEMPERATURE}),
    "jensen_shannon": Spec(
        "divergence", "Agarwal et al. (GKD), arXiv:2306.13649", rows=(162,),
        options={"beta": Option(0.5, "weight of the teacher in the mixture; 0 is forward KL, 1 reverse KL", 0.0, 1.0), "temperature": TEMPERATURE},
    ),
    "gkd": Spec(
        "on-policy", "Agarwal et al. (GKD), arXiv:2306.13649", data="prompts", rows=(162, 176),
        options={
            "on_policy_share": Option(1.0, "chance that a step reads the student's own samples rather than the data", 0.0, 1.0),
            "beta": Option(0.5, "as in jensen_shannon", 0.0, 1.0),
            "temperature": SAMPLING, "tokens_max": TOKENS,
        },
    ),
    "minillm": Spec(
        "on-policy", "Gu et al. (MiniLLM), arXiv:2306.08543", data="prompts", rows=(176,),
        options={
            "teacher_mix": Option(0.2, "share of the teacher's law in the law that is sampled from", 0.0, 1.0),
            "clip": Option(0.2, "the importance ratio is kept within 1 - clip .. 1 + clip", 0.01, 10.0),
            "long_weight": Option(1.0, "weight of the return after the token (policy gradient)", 0.0, 10.0),
            "step_weight": Option(1.0, "weight of the token's own reverse KL", 0.0, 10.0),
            "temperature": SAMPLING, "tokens_max": TOKENS,
        },
    ),
    "stored_laws": Spec(
        "stored laws", "top-k with a tail bin, and unbiased sampled laws: Anshumann et al., arXiv:2503.16870; pre-training distillation: Peng et al., arXiv:2410.16215",
        teachers=(0, 0), gives="top-k", rows=(162,),
        options={"tail": Option("bin", "what stands for the mass outside the stored tokens", choices=("bin", "spread", "drop")), "temperature": TEMPERATURE},
    ),
    "span_merged": Spec(
        "span-merged", "GOLD (span merging) with the sorted laws of ULD: Boizard et al., arXiv:2402.12030",
        same_pieces=False, options={"sorted_weight": Option(0.5, "weight of the sorted laws of pieces that only one side has", 0.0, 10.0)},
    ),
    "feature_matching": Spec(
        "features", "FitNets: Romero et al., arXiv:1412.6550; TinyBERT, arXiv:1909.10351; DistilBERT, arXiv:1910.01108", gives="states", rows=(159, 160, 175),
        options={
            "layers": LAYERS, "distance": Option("mse", "how two states are compared", choices=("mse", "cosine")),
            "embeddings": Option(True, "also the states before the first layer"), "law_weight": Option(0.5, "forward KL of the laws beside the states, 0 for none", 0.0, 10.0),
        },
    ),
    "attention_matching": Spec(
        "attention", "TinyBERT: Jiao et al., arXiv:1909.10351", gives="states", rows=(160,),
        options={"layers": LAYERS, "law_weight": Option(0.5, "forward KL of the laws beside it", 0.0, 10.0)},
    ),
    "attention_relations": Spec(
        "attention", "MiniLM: Wang et al., arXiv:2002.10957, and MiniLMv2, arXiv:2012.15828", gives="states", rows=(161,),
        options={
            "relation_heads": Option(4, "parts into which queries, keys and values are cut on both sides", 1, 256),
            "law_weight": Option(0.5, "forward KL of the laws beside it", 0.0, 10.0),
        },
    ),
    "cross_head": Spec(
        "attention", "C2KD, cross-layer and cross-head alignment", gives="states", rows=(169,),
        options={"sharpness": Option(20.0, "how strongly a head follows its nearest teacher head; 0 follows all alike", 0.0, 1e4), "law_weight": Option(0.5, "forward KL of the laws beside it", 0.0, 10.0)},
    ),
    "multi_teacher": Spec(
        "multi-teacher", "FuseLLM: Wan et al., arXiv:2401.10491; ProFuser, arXiv:2408.04998; TinyLLM, arXiv:2402.04616", teachers=(2, 8), rows=(144, 147, 197),
        options={
            "fusion": Option("min_ce", "how the laws become one", choices=("min_ce", "weighted", "confident", "mean", "progressive")),
            "sharpness": Option(5.0, "for weighted: weights are softmax(-sharpness * cross-entropy)", 0.0, 100.0),
            "switch_share": Option(0.5, "for progressive: the share of steps after which the text's fusion gives way to confidence", 0.0, 1.0),
        },
    ),
    "rationale": Spec(
        "rationale", "Distilling step by step: Hsieh et al., arXiv:2305.02301; LM-Guided CoT, arXiv:2404.03414", data="pairs", teachers=(0, 0), gives="text", same_pieces=False,
        rows=(130,), options={"rationale_weight": Option(1.0, "weight of the worked answer beside the bare one", 0.0, 10.0)},
    ),
    "mixed_long_short": Spec(
        "rationale", "Mix Distillation: Li et al., arXiv:2502.12143", data="pairs", teachers=(0, 0), gives="text", same_pieces=False, rows=(198,),
        options={"long_share": Option(0.2, "share of examples that show the long answer", 0.0, 1.0)},
    ),
    "selective": Spec(
        "selective", "LLKD: Li et al., arXiv:2411.08028; student in the loop: Jazbec et al., arXiv:2405.05938", rows=(165, 166),
        options={
            "by": Option("both", "whose state selects", choices=("both", "teacher", "student")),
            "unit": Option("document", "what is kept or dropped", choices=("document", "token")),
            "memory": Option(0.9, "how slowly the two thresholds follow their means", 0.0, 0.9999),
        },
    ),
    "rank": Spec(
        "rank", "RLKD: Peng and Zhang, arXiv:2409.12545", rows=(177,),
        options={
            "peaks": Option(8, "top predictions of each side whose order is compared", 2, 256),
            "softness": Option(1.0, "scale in logits over which two ranks blur", 1e-3, 100.0),
            "law_weight": Option(1.0, "forward KL of the laws beside it", 0.0, 10.0),
        },
    ),
    "advantage": Spec(
        "advantage", "ADPA: Gao et al., arXiv:2502.17927", data="prompts", reference=True, rows=(199,),
        options={"beta": Option(1.0, "scale of the advantage beta * log(aligned / reference)", 1e-3, 100.0), "temperature": SAMPLING, "tokens_max": TOKENS},
    ),
    "dpo": Spec(
        "preference", "DPO: Rafailov et al., arXiv:2305.18290; CoWest pairs: arXiv:2410.07286", data="pairs", teachers=(0, 0), gives="text", same_pieces=False, rows=(79, 131),
        options={"beta": Option(0.1, "how far the student may leave the reference; larger keeps nearer", 1e-3, 10.0), "smoothing": Option(0.0, "chance that a pair is the wrong way round", 0.0, 0.49)},
    ),
    "iterative_dpo": Spec(
        "preference", "iterative DPO with the large model as judge: Xu et al., arXiv:2312.16682", data="prompts", rows=(79, 131),
        options={
            "beta": Option(0.1, "as in dpo", 1e-3, 10.0), "smoothing": Option(0.0, "as in dpo", 0.0, 0.49),
            "round_steps": Option(50, "steps between two rounds of new pairs", 1, 10**6),
            "prompts": Option(64, "prompts answered in a round", 1, 10**6), "samples": Option(4, "answers sampled for one prompt", 2, 64),
            "guidance": Option("score", "score: the teacher ranks the student's answers; write: its own answer is the chosen one", choices=("score", "write")),
            "temperature": SAMPLING, "tokens_max": TOKENS,
        },
    ),
    "confidence": Spec(
        "confidence", "GateKeeper: Rabanser et al., arXiv:2502.19335", teachers=(0, 0), gives="none", same_pieces=False, rows=(45,),
        options={"alpha": Option(0.5, "weight of being right where right, against being unsure where wrong", 0.0, 1.0)},
    ),
    "contrastive": Spec(
        "contrastive", "SynCID: latent alignment by InfoNCE, van den Oord et al., arXiv:1807.03748", gives="states", same_pieces=True, rows=(126,),
        options={"temperature": Option(0.1, "scale of the similarities", 0.01, 10.0)},
    ),
    "similarity_contrastive": Spec(
        "contrastive", "Flipping KD: margin-aware contrast of the other model's similarities", gives="states", rows=(134,),
        options={"margin": Option(1.0, "share of the teacher's gap in similarity that the student must show", 0.0, 10.0), "gap": Option(0.02, "least gap that makes a pair", 0.0, 2.0)},
    ),
}
