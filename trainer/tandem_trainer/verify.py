"""Compares an exported GGUF with PyTorch: through Tandem's own engine, or through llama.cpp's ``llama-server``.

Two checks: token ids of many texts are equal, and next-token laws agree position by position.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .model import Llama

F32_LIMIT = 1e-3
Q8_KL_LIMIT = 0.01


class EngineFailed(RuntimeError):
    """The engine did not start or refused a request."""


def _post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as cause:
        raise EngineFailed(f"engine: expected an answer from {url}, got {cause.code}: {cause.read()[:200]!r}") from cause


@contextlib.contextmanager
def engine(server: str | Path, gguf: str | Path) -> Iterator[str]:
    """Runs ``llama-server`` on a file and gives its base URL; stops it afterwards.

    Raises ``EngineFailed`` when the binary is missing or is not ready within 30 seconds. Weight
    repacking is off: builds by some GCC versions crash in its AMX kernels.
    """
    if not Path(server).is_file():
        raise EngineFailed(f"--server: expected llama.cpp's llama-server at {server}, found nothing")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(server), "-m", str(gguf), "--port", str(port), "-c", "1024", "-np", "1", "-t", "1", "--no-repack", "-ctk", "f32", "-ctv", "f32", "-fa", "off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            if process.poll() is not None:
                raise EngineFailed(f"engine: expected it to run, it ended with {process.returncode} on {gguf}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=2) as reply:
                if reply.status == 200:
                    break
            time.sleep(0.2)
        else:
            raise EngineFailed(f"engine: expected it to be ready within 30 s on {gguf}")
        yield base
    finally:
        process.terminate()
        process.wait(10)


def hostile_texts(count: int, seed: int = 5) -> list[str]:
    """Texts that tempt tokenizers to differ: digits, spaces, line ends, contractions, other scripts, emoji."""
    pieces = ["the", " cat", "  ", "\n", "\n\n", "\t", " 12", "345", "3.14", "'s", "'ll", "DON'T", "I'm", "é", "naïve", "Straße", "日本語", "中", "мир", "עברית",
              "हिन्दी", "🙂", "👩‍👩‍👧", "\u00a0", "\u2003", "…", "—", "“q”", "½", "²", "٣", "Ⅷ", "_", "{\"a\": 1}", "://", "a_b", "<b>", "\r\n", "x" * 9, "!?", " .", "$5", "\u0301", "ﬁ",
              "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    random_ = random.Random(seed)
    return ["".join(random_.choice(pieces) + random_.choice(("", "", " ")) for _ in range(random_.randint(1, 14))) for _ in range(count)]


def token_ids(base: str, tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """The texts whose ids differ between ``tokenizers`` and the engine (none, when all is well)."""
    different = []
    for text in texts:
        theirs = _post(f"{base}/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
        if theirs != tokenizer.encode(text, add_special_tokens=False).ids:
            different.append(text)
    return different


def engine_law(base: str, ids: list[int], vocabulary: int) -> np.ndarray:
    """A server's log-probabilities (vocabulary,) of the token after ``ids``; -inf where it gave none."""
    reply = _post(f"{base}/completion", {"prompt": ids, "n_predict": 1, "n_probs": vocabulary, "temperature": 0.0, "cache_prompt": True})
    law = np.full(vocabulary, -np.inf)
    for entry in reply["completion_probabilities"][0]["top_logprobs"]:
        law[entry["id"]] = entry["logprob"]
    return law


def tandem_command() -> list[str]:
    """How Tandem is called: what started this process, the repository's own Node, or ``tandem`` in the path.

    Raises ``EngineFailed`` when none is there.
    """
    given = os.environ.get("TANDEM_COMMAND")
    if given:
        return json.loads(given)
    root = Path(__file__).resolve().parents[2]
    node, entry = root / "node_modules" / ".bin" / "node", root / "src" / "cli" / "main.ts"
    if node.exists() and entry.is_file():
        return [str(node), str(entry)]
    found = shutil.which("tandem")
    if found:
        return [found]
    raise EngineFailed("engine: expected tandem in the path (or --server with llama.cpp's llama-server), found nothing")


def ask_tandem(gguf: str | Path, questions: dict, adapter: str | Path | None = None) -> tuple[np.ndarray, list[list[int]]]:
    """Laws (positions, vocabulary) as log-probabilities and token ids of texts, from Tandem's own engine.

    ``questions`` holds ``sequences``, ``ends`` and ``texts``. Raises ``EngineFailed`` with what Tandem said.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, out = Path(folder) / "questions.json", Path(folder) / "laws.bin"
        asked.write_text(json.dumps(questions))
        command = [*tandem_command(), "train", "laws", "--model", str(gguf), "--questions", str(asked), "--out", str(out)]
        if adapter is not None:
            command += ["--adapter", str(adapter)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        if done.returncode != 0:
            raise EngineFailed(f"engine: expected laws, got {done.stderr.strip()[-400:]}")
        report = json.loads(done.stdout)
        logits = np.fromfile(out, np.float32).reshape(report["positions"], report["vocabulary"]).astype(np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True)), report["tokens"]


def draw_places(sequences: list[list[int]], positions: int, seed: int = 11) -> list[tuple[int, int]]:
    """``positions`` places (sequence, length of the prefix), drawn without repeats, in order."""
    places = [(number, end) for number, ids in enumerate(sequences) for end in range(1, len(ids))]
    return sorted(random.Random(seed).sample(places, min(positions, len(places))))


def torch_laws(model: Llama, sequences: list[list[int]], places: list[tuple[int, int]]) -> np.ndarray:
    """Log-probabilities (places, vocabulary) by torch in float32, normalised in float64."""
    laws = []
    with torch.no_grad():
        for number, ids in enumerate(sequences):
            ends = [end for which, end in places if which == number]
            if ends:
                laws.append(torch.log_softmax(model(torch.tensor([ids]))[0, [end - 1 for end in ends]].double(), -1).numpy())
    return np.concatenate(laws)


def compare(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Two tables of laws (positions, vocabulary), ``ours`` torch's.

    Returns the largest absolute difference in log-probability over tokens with torch probability above
    1e-6 and over all tokens, the mean and largest KL(torch || engine) in nats and the share of equal first choices.
    """
    seen = np.isfinite(theirs) & (ours > np.log(1e-12))
    difference = np.abs(np.where(seen, ours - theirs, 0.0))
    divergences = (np.exp(ours) * np.where(seen, ours - theirs, 0.0)).sum(-1)
    return {
        "positions": len(ours), "maxAbsLogprob": float(f"{difference.max():.3g}"), "maxAbsLogprobLikely": float(f"{difference[ours > np.log(1e-6)].max():.3g}"),
        "meanKl": float(f"{divergences.mean():.3g}"), "maxKl": float(f"{divergences.max():.3g}"), "sameFirst": round(float((ours.argmax(-1) == theirs.argmax(-1)).mean()), 4),
    }


def compare_laws(base: str, model: Llama, sequences: list[list[int]], positions: int) -> dict:
    """``compare`` of torch with a running server, at ``positions`` prefixes of ``sequences``."""
    places = draw_places(sequences, positions)
    theirs = np.stack([engine_law(base, sequences[number][:end], model.shape.vocabulary) for number, end in places])
    return compare(torch_laws(model, sequences, places), theirs)


def compare_with_tandem(gguf: str | Path, model: Llama, sequences: list[list[int]], positions: int, adapter: str | Path | None = None) -> dict:
    """``compare`` of torch with Tandem's engine, at ``positions`` prefixes of ``sequences``; ``adapter`` is applied by the engine."""
    places = draw_places(sequences, positions)
    ends = [[end for which, end in places if which == number] for number in range(len(sequences))]
    theirs, _ = ask_tandem(gguf, {"sequences": sequences, "ends": ends}, adapter)
    return compare(torch_laws(model, sequences, places), theirs)


def different_tokens(gguf: str | Path, tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """The texts whose ids differ between ``tokenizers`` and Tandem's engine (none, when all is well)."""
    _, theirs = ask_tandem(gguf, {"texts": texts})
    return [text for text, ids in zip(texts, theirs, strict=True) if ids != tokenizer.encode(text, add_special_tokens=False).ids]
