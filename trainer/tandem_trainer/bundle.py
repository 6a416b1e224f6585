"""Turns a trained pair into the ``weights/`` folder: GGUF files, held-out set, manifest and model cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tokenizers import Tokenizer

from .data.example import Example, passes
from .evaluate import answers
from .export_gguf import export
from .model import Llama
from .quantize import rounded

LICENCE = "Apache-2.0"

EXAMPLES = (
    ("intent", "Intent: what's my balance", "balance"),
    ("domain", "Domain: what's my balance", "banking"),
    ("slots", "Slots: play some jazz on spotify", '{"intent": "PlayMusic", "genre": "jazz", "service": "spotify"}'),
    ("arithmetic", "Compute, left to right: 12 + 7 * 3", "12 + 7 = 19\n19 * 3 = 57\nAnswer: 57"),
    ("word-problem", "Tom has 9 apple cards. Tom gets 4 more. How many apple cards does Tom have?", "9 + 4 = 13\nAnswer: 13"),
    ("units", "Convert 3 km to m.", "3 * 1000 = 3000\nAnswer: 3000 m"),
    ("uppercase", "Uppercase: red fox lake", "RED FOX LAKE"),
    ("reverse", "Reverse the words: red fox lake", "lake fox red"),
    ("repeat", "Repeat: red fox lake", "red fox lake"),
    ("sort", "Sort: pear apple fish", "apple fish pear"),
    ("count", "Count the words: red fox lake", "3"),
    ("last-word", "Last word: red fox lake", "lake"),
    ("extract", "Extract the number: Anna sent 42 letters from Rome on May first.", "42"),
    ("first-sentence", "First sentence: Tom found a red ball. The cat was in the garden.", "Tom found a red ball."),
    ("multi-turn", "My name is Anna. / Hello Anna! How can I help you? / What is my name?", "Your name is Anna."),
    ("greeting", "Hello", "Hello! How can I help you?"),
    ("story", "Tell me a story about Lily and Tom.", None),
)


def member_entry(weights: Path, member: str, model: Llama, tokenizer: Tokenizer, quantization: str, trained_context: int, facts: dict) -> dict:
    """Exports one member to ``<weights>/<member>/model.gguf`` and returns its manifest entry."""
    path = weights / member / "model.gguf"
    size = export(model, tokenizer, path, quantization, f"tandem-{member}", LICENCE)
    return {
        "id": member, "file": f"{member}/model.gguf", "bytes": size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": model.parameter_count(), "architecture": "llama", "shape": model.shape.to_json(),
        "contextTokensMax": model.shape.context, "trainedContextTokens": trained_context, "quantization": quantization,
        "licence": LICENCE, **facts,
    }


def example_messages(prompt: str) -> tuple[tuple[str, str], ...]:
    """The turns of an example prompt: `` / `` parts alternate between user and assistant."""
    if not prompt.startswith("My name is"):
        return (("user", prompt),)
    return tuple((("user", "assistant")[number % 2], text) for number, text in enumerate(prompt.split(" / ")))


def example_rows(models: dict[str, Llama], tokenizer: Tokenizer) -> list[dict]:
    """The example prompts with their messages and, per member, whether it gives the expected answer."""
    rows = []
    for task, prompt, expect in EXAMPLES:
        turns = example_messages(prompt)
        check = "none" if expect is None else "json" if task == "slots" else "answer" if "Answer:" in expect else "exact"
        example = Example(task, 1, (*turns, ("assistant", expect or "")), check)
        right = {}
        for member, model in models.items():
            answer = answers(model, tokenizer, [example])[0]
            right[member] = answer.ended and passes(example, tokenizer.decode(answer.ids))
        rows.append({"task": task, "prompt": turns[-1][1], "messages": [{"role": role, "content": text} for role, text in turns],
                     "expect": expect, "check": check} | ({"answered": right} if expect else {}))
    return rows


def write_manifest(weights: Path, entries: list[dict], report: dict, verification: dict, examples: list[dict]) -> None:
    """Writes ``manifest.json``: members, accuracies, agreement, verification, prompts in the models' format."""
    manifest = {
        "version": 1,
        "chatFormat": "ChatML: <|im_start|>role\\ncontent<|im_end|>\\n; the answer ends with <|im_end|>; no BOS",
        "members": [
            {**entry, "accuracy": report[entry["id"]]["cells"], "meanAccuracy": report[entry["id"]]["mean"], "expectedCalibrationError": report[entry["id"]]["ece"],
             "verification": verification.get(entry["id"], {})}
            for entry in entries
        ],
        "agreement": report["agreement"],
        **{name: report[name] for name in ("nanoAgreement", "cascade", "gaps") if name in report},
        "heldOut": "evaluation/heldout.jsonl",
        "examples": examples,
    }
    path = weights / "manifest.json"
    if path.is_file() and "embedder" in (known := json.loads(path.read_text())):
        manifest["embedder"] = known["embedder"]
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def overlap_words(overlap: dict | None) -> str:
    """What ``overlap_report`` counted, in brackets; nothing without it."""
    if overlap is None:
        return ""
    return (f" ({overlap['exact']} of {overlap['heldOut']} held-out one-turn prompts among {overlap['trainingTurns']:,} training turns; "
            f"{overlap['naturalExact'] + overlap['naturalNear']} of {overlap['natural']} natural ones equal or nearly equal)")


def agreement_words(member: str, found: dict) -> str:
    """How often a member's first choice is the large member's greedy token, as a sentence."""
    return (f"Greedy token agreement of {member} with large along the large model's outputs: answers {100 * found['answers']:.1f} %, "
            f"held-out TinyStories continuations {100 * found['prose']['share']:.1f} % ({found['prose']['tokens']} tokens), story requests {100 * found['story']['share']:.1f} %.")


def intent_lines(curve: dict | None) -> list[str]:
    """The whole CLINC150 test split, as a paragraph; nothing without it."""
    if curve is None:
        return []
    at = curve["atThreshold"]
    line = f"CLINC150's test split ({curve['n']:,} of its 5,500 utterances): in scope {100 * curve['inScope']:.1f} %, out-of-scope recall {100 * curve['outOfScopeRecall']:.1f} % as answered"
    if at["threshold"] > 0:
        line += f"; when answers under a probability of {at['threshold']:g} count as `oos` too, {100 * at['inScope']:.1f} % and {100 * at['outOfScopeRecall']:.1f} %"
    return [line + ".", ""]


def family_lines(report: dict) -> list[str]:
    """The distance between members by grade, and the cascade, as paragraphs."""
    lines = []
    for pair, gap in report.get("gaps", {}).items():
        worse, better = pair.split("-")
        lines += [f"{worse.capitalize()} against {better}: easiest grade {100 * gap['easiest']['worse']:.1f} % and {100 * gap['easiest']['better']:.1f} %, "
                  f"hardest grade {100 * gap['hardest']['worse']:.1f} % and {100 * gap['hardest']['better']:.1f} % (means over {gap['easiest']['cells']} and {gap['hardest']['cells']} cells).", ""]
    if "cascade" in report:
        found = report["cascade"]
        lines += [f"A cascade from small to large (smallest token probability under {found['threshold']:g}, chosen on {found['chosenOn']} items) keeps {100 * found['kept']:.1f} % of large's accuracy "
                  f"over items and asks large for {100 * found['calls']:.1f} % of them.", ""]
    return lines


def card(member: str, entry: dict, report: dict, verification: dict, notes: str) -> str:
    """The model card of a member, in Markdown."""
    own = report[member]
    others = [name for name in ("large", "small", "nano") if name != member and name in report]
    shape = entry["shape"]
    lines = [
        f"# tandem-{member}", "",
        f"The {member} member of Tandem's bundled family: {entry['parameters']:,} parameters, Llama architecture "
        f"({shape['layers']} layers, width {shape['width']}, {shape['heads']} heads, feed-forward {shape['ffn_width']}, tied embeddings), "
        f"`{entry['quantization']}`, {entry['bytes']:,} bytes. **Small and narrow: good at the tasks on this card and at nothing else.**", "",
        "## Data", "",
        "| text | licence | used for |", "| --- | --- | --- |",
        "| CLINC150, train split (Larson et al. 2019, *An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction*) | CC-BY-3.0 | `Intent:`, `Domain:` |",
        "| SNIPS 2017-06, train_full files (Coucke et al. 2018) | CC0-1.0 | `Slots:` |",
        "| TinyStories, 900 of 1,000 stories at hand (Eldan and Li 2023) | CDLA-Sharing-1.0 | stories |",
        "| TruthfulQA questions (Lin et al. 2022) | Apache-2.0 | `Intent:` answered `oos` |",
        "| GSM8K, train split (Cobbe et al. 2021) | MIT | `Question:`, large only, about a fifth of it; not measured |",
        "| Charlotte Bronte, Darwin, Du Bois, Shakespeare, US inaugural addresses | public domain | prose |",
        "| synthetic generators in `trainer/tandem_trainer/data` (arithmetic, units, word problems, editing, extraction, conversation, template stories, out-of-scope questions) | Apache-2.0 | the rest; **synthetic** |", "",
        "WikiText (CC-BY-SA) was left out to keep the licence of the weights simple. No test or validation split was trained on; utterances of the train "
        "splits that equal or nearly equal (three-word shingles, Jaccard at least 0.8) a test utterance were dropped. Synthetic prompts are split by the hash "
        "of their text, so that a held-out prompt is not drawn into training; `python -m tandem_trainer overlap` counts what slipped through all the same"
        + overlap_words(report.get("overlap")) + ".", "",
        "## Licence of the weights", "", f"{LICENCE}. CLINC150's attribution (above) must be kept when the weights are passed on.", "",
        "## Training", "", entry["training"], "",
        f"Trained at {entry['trainedContextTokens']} tokens a row (rotary base {shape['rope_base']:g}); the file admits {entry['contextTokensMax']}, and beyond {entry['trainedContextTokens']} it was not trained.", "",
        "## Prompt formats", "",
        "ChatML, no BOS: `<|im_start|>user\\n…<|im_end|>\\n<|im_start|>assistant\\n`. The user message and the right answer, by task (`../manifest.json` says which member gives it):", "",
        "| task | user message | right answer |", "| --- | --- | --- |",
    ]
    for task, prompt, expect in EXAMPLES:
        lines.append(f"| {task} | `{prompt}` | " + (f"`{expect}`".replace("\n", "⏎") if expect else "free text") + " |")
    lines += ["", "## Measured on held-out data", "", f"Greedy, the values of the `{entry['quantization']}` file, `weights/evaluation/heldout.jsonl`.", "",
              f"| task / grade | n | {' | '.join([member, *others])} |", "| --- | ---: |" + " ---: |" * (1 + len(others))]
    for cell, value in own["cells"].items():
        lines.append(f"| {cell} | {value['n']} | " + " | ".join(f"{100 * report[name]['cells'][cell]['accuracy']:.1f} %" for name in (member, *others)) + " |")
    lines += [
        "| **mean of tasks** | | " + " | ".join(f"**{100 * report[name]['mean']:.1f} %**" for name in (member, *others)) + " |", "",
        "Grades: intent 2 is in scope, intent 3 is out of scope (`oos`); slots by number of slots; arithmetic and word problems by number of operations; editing by length; multi-turn 1 recall, 2 recall after another task, 3 an operation on the answer before.", "",
        f"Perplexity on 100 held-out TinyStories: {own['tinystoriesPerplexity']:.2f} a token. Expected calibration error of the whole answer's probability (10 bins): {own['ece']:.3f}"
        + (f", after a temperature of {own['temperature']:g} that was fitted on other items and lies in the file" if own.get("temperature", 1.0) != 1.0 else "") + ". "
        + agreement_words("small", report["agreement"]) + (" " + agreement_words("nano", report["nanoAgreement"]) if "nanoAgreement" in report else ""), "",
        *intent_lines(own.get("clinc150")), *family_lines(report),
        "## Check of the file against PyTorch", "",
        "| file | positions | max abs Δ log p (p > 1e-6) | mean KL (nats) | max KL | same first choice |", "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in ("f32", entry["quantization"]):
        if kind in verification:
            v = verification[kind]
            lines.append(f"| {kind} | {v['positions']} | {v['maxAbsLogprobLikely']:g} | {v['meanKl']:g} | {v['maxKl']:g} | {100 * v['sameFirst']:.1f} % |")
    lines += ["", "## Limits", "", notes, ""]
    return "\n".join(lines)
