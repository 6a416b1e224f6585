"""Readers of the open datasets, train sides only unless a function says otherwise.

Every reader takes the data root (a folder holding ``intent-clinc150`` and so on) and raises
``DatasetMissing`` naming the file that it expected.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import re
import zipfile
from pathlib import Path

from .example import Example, single

SNIPS_INTENTS = ("AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "SearchCreativeWork", "SearchScreeningEvent")
STORIES_HELD_OUT = 100


class DatasetMissing(FileNotFoundError):
    """A dataset file is not where the data root says."""


def data_root(given: str | None = None) -> Path:
    """The data root: the argument, else ``TANDEM_DATA``, else ``../shared/data`` beside the repository."""
    if given:
        return Path(given)
    if os.environ.get("TANDEM_DATA"):
        return Path(os.environ["TANDEM_DATA"])
    return Path(__file__).resolve().parents[3].parent / "shared" / "data"


def _path(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise DatasetMissing(f"data root {root}: expected the file {name}, found nothing (set TANDEM_DATA or --data)")
    return path


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


def clinc150(root: Path, split: str = "train") -> list[Example]:
    """CLINC150 (CC-BY-3.0) as ``Intent: …`` (grade 2) examples; out-of-scope rows have the label ``oos`` (grade 3).

    ``split`` is ``train``, ``val`` or ``test``; training uses ``train`` only (250 out-of-scope rows).
    """
    rows = json.loads(_path(root, "intent-clinc150/data_oos_plus.json").read_text())
    examples = [single("intent", 2, f"Intent: {text}", label) for text, label in rows[split]]
    return examples + [single("intent", 3, f"Intent: {text}", "oos") for text, _ in rows[f"oos_{split}"]]


def clinc150_domains(root: Path, split: str = "train") -> list[Example]:
    """The easy grade of intent: ``Domain: …`` answered by one of ten domains or ``oos`` (grade 1)."""
    domains = json.loads(_path(root, "intent-clinc150/domains.json").read_text())
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents} | {"oos": "oos"}
    return [
        single("domain", 1, "Domain: " + example.prompt[0][1].removeprefix("Intent: "), domain_of[example.expected])
        for example in clinc150(root, split)
    ]


def snips(root: Path, split: str = "train") -> list[Example]:
    """SNIPS (CC0) as ``Slots: …`` answered by one JSON object with ``intent`` and the slots in order of appearance.

    Grade 1: at most one slot; 2: two or three; 3: more. ``split`` is ``train`` (the ``_full`` files) or ``validate``.
    """
    return [_snips_example(intent, row["data"]) for intent in SNIPS_INTENTS for row in _snips_rows(root, intent, split)]


def _snips_rows(root: Path, intent: str, split: str) -> list[dict]:
    name = f"train_{intent}_full.json" if split == "train" else f"validate_{intent}.json"
    raw = _path(root, f"intent-snips/{name}").read_bytes()
    try:
        return json.loads(raw.decode("utf-8"))[intent]
    except UnicodeDecodeError:
        return json.loads(raw.decode("latin-1"))[intent]


def _snips_example(intent: str, parts: list[dict]) -> Example:
    text = re.sub(r"\s+", " ", "".join(part["text"] for part in parts)).strip()
    slots = {"intent": intent}
    count = 0
    for part in parts:
        if "entity" in part:
            count += 1
            slots.setdefault(part["entity"], part["text"].strip())
    grade = 1 if count <= 1 else 2 if count <= 3 else 3
    return single("slots", grade, f"Slots: {text}", json.dumps(slots, ensure_ascii=False), "json")


def truthful_questions(root: Path) -> list[Example]:
    """The questions of TruthfulQA (Apache-2.0), which no intent of CLINC150 covers, as out-of-scope utterances (grade 3)."""
    rows = csv.DictReader(_text(_path(root, "guard-truthfulqa/TruthfulQA.csv")).splitlines())
    return [single("intent", 3, "Intent: " + row["Question"].lower().rstrip("?"), "oos") for row in rows if len(row["Question"]) < 90]


def snips_refilled(root: Path, seed: int = 0) -> list[Example]:
    """SNIPS train utterances with about half of their slot values replaced by other values of that slot.

    Copying a value that was never seen with its sentence is what a new utterance asks for. One variant
    an utterance; the grades and the form are those of ``snips``.
    """
    random_ = random.Random(seed)
    rows = [(intent, row) for intent in SNIPS_INTENTS for row in _snips_rows(root, intent, "train")]
    pools: dict[tuple[str, str], list[str]] = {}
    for intent, row in rows:
        for part in row["data"]:
            if "entity" in part:
                pools.setdefault((intent, part["entity"]), []).append(part["text"])
    examples = []
    for intent, row in rows:
        parts = [
            {**part, "text": random_.choice(pools[intent, part["entity"]])} if "entity" in part and random_.random() < 0.5 else part
            for part in row["data"]
        ]
        examples.append(_snips_example(intent, parts))
    return examples


def tinystories(root: Path, split: str = "train") -> list[str]:
    """TinyStories (CDLA-Sharing-1.0): the first 900 of 1,000 stories for training, the last 100 held out."""
    stories = json.loads(_path(root, "corpora-tinystories/tinystories_1000.json").read_text())
    stories = [story.strip().replace("\u201c", '"').replace("\u201d", '"').replace("\u2019", "'") for story in stories]
    return stories[:-STORIES_HELD_OUT] if split == "train" else stories[-STORIES_HELD_OUT:]


def books(root: Path) -> list[str]:
    """Public-domain prose: Charlotte Bronte, Darwin, Du Bois, Shakespeare and the inaugural addresses.

    Gutenberg headers and footers are cut and hard line breaks inside paragraphs removed. Returns
    one string of paragraphs per book or address.
    """
    texts = [_text(_path(root, f"corpora-public-domain/{name}")) for name in ("bronte.txt.gz", "darwin.txt.gz", "dubois.txt.gz")]
    with zipfile.ZipFile(_path(root, "corpora-public-domain/inaugural.zip")) as archive:
        texts += [archive.read(name).decode("latin-1") for name in sorted(archive.namelist()) if re.search(r"\d{4}.*\.txt$", name)]
    cleaned = []
    for text in texts:
        text = re.sub(r"(?s)\*\*\* ?START.*?\*\*\*", "\n\n", text)
        text = re.sub(r"(?s)\*\*\* ?END OF.{0,200}", "\n\n", text)
        paragraphs = [re.sub(r"\s+", " ", paragraph).strip() for paragraph in re.split(r"\r?\n\s*\r?\n", text)]
        kept = [p for p in paragraphs if len(p) > 60 and not re.search(r"gutenberg|copyright|e-?text|http|www\.", p, re.I)]
        cleaned.append("\n\n".join(kept))
    cleaned.append(_text(_path(root, "corpora-public-domain/shakespeare.txt")))
    return cleaned


def gsm8k(root: Path) -> list[Example]:
    """GSM8K train (MIT) as ``Question: …`` with worked steps; the calculator marks are removed."""
    examples = []
    for line in _text(_path(root, "route-gsm8k/train.jsonl.gz")).splitlines():
        row = json.loads(line)
        steps, _, final = re.sub(r"<<.*?>>", "", row["answer"]).rpartition("\n#### ")
        examples.append(single("school-maths", 5, f"Question: {row['question']}", f"{steps}\nAnswer: {final}", "answer"))
    return examples
