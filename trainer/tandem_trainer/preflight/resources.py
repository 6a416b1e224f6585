"""What a job will need of memory and disk, before anything is loaded.

Weights and optimiser states are exact; activations are an estimate (of what a decoder layer keeps for its backward pass),
meant to be right within a factor of about two and printed part by part so that it can be checked.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..adapters import settings_of
from ..errors import JobError
from ..hf import is_hf_folder, read_hf_shape, transformers
from ..job import Job
from ..model import Llama, ModelShape
from ..objectives.endpoint import is_endpoint
from ..session import read_checkpoint

GIB = 2**30
LAW_COPIES = 4  # logits, their log-law, its exponential and the gradient, in float32


@dataclass(frozen=True)
class Size:
    """Parameters of a model and the sizes that its activations follow."""

    parameters: int
    vocabulary: int
    width: int
    layers: int
    ffn_width: int
    matrices: int
    linears: tuple[tuple[str, int, int], ...] = ()  # (last part of the name, rows, columns) of every linear layer


def counted(model: torch.nn.Module, vocabulary: int, width: int, layers: int, ffn_width: int) -> Size:
    """The size of a model, which may lie on the meta device."""
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name and "lm_head" not in name)
    linears = tuple((name.rsplit(".", 1)[-1], *module.weight.shape) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return Size(sum(p.numel() for p in model.parameters()), vocabulary, width, layers, ffn_width, matrices, linears)


def adapter_parts(student: Size, adapter: dict) -> dict[str, int]:
    """Bytes of weights, gradients and states when a student learns by an adapter: its base is frozen, as stored."""
    settings = settings_of(adapter)
    found = [(rows, columns) for name, rows, columns in student.linears if name in settings["targets"]]
    low = sum(settings["rank"] * (rows + columns) for rows, columns in found)
    held = sum(rows * columns for rows, columns in found)
    width = {"f32": 4.0, "q8_0": 1.0625, "q4_0": 0.5625}[settings["base"]]
    return {"studentWeights": round(4 * (student.parameters - held + low) + width * held), "gradients": 4 * low, "optimizer": 8 * low}


def size_of_shape(shape: ModelShape) -> Size:
    """The size of one of our own models, without making it."""
    with torch.device("meta"):
        return counted(Llama(shape), shape.vocabulary, shape.width, shape.layers, shape.ffn_width)


def size_of_folder(folder: str | Path) -> Size:
    """The size of a model from its checkpoint's shape or its ``config.json`` alone. Raises ``JobError`` when there is neither."""
    if (Path(folder) / "checkpoint.pt").is_file():
        stored = read_checkpoint(Path(folder) / "checkpoint.pt")["shape"]
        if "config" not in stored:
            return size_of_shape(ModelShape(**stored))
        config = transformers().AutoConfig.for_model(**stored["config"])
    elif is_hf_folder(folder):
        config = transformers().AutoConfig.from_pretrained(str(folder), local_files_only=True)
    else:
        raise JobError(f"checkpoint: expected the file {Path(folder) / 'checkpoint.pt'} or a config.json, found nothing", "file_missing")
    with torch.device("meta"):
        net = transformers().AutoModelForCausalLM.from_config(config)
    shape = read_hf_shape(folder) if is_hf_folder(folder) else None
    return counted(net, config.vocab_size, shape.width if shape else config.hidden_size, config.num_hidden_layers, getattr(config, "intermediate_size", 4 * config.hidden_size))


def row_tokens(job: Job) -> int:
    """Tokens of one row of the job: of its rows file, or the context, at most 2048."""
    if job.rows and Path(job.rows).is_file():
        from ..session import open_rows

        return int(open_rows(job).ids.shape[1])
    return min(job.shape.context, 2048) if job.shape else 2048


def estimate(job: Job) -> dict[str, Any]:
    """Bytes that the job needs, part by part, and their sum. ``time`` is the tokens of a row."""
    student = size_of_shape(job.shape) if job.shape else size_of_folder(job.initial)
    teachers = [size_of_folder(name) for name in job.all_teachers if not is_endpoint(name)] if job.objective != "cross_entropy" else []
    if job.reference:
        teachers.append(size_of_folder(job.reference))
    elif job.objective in ("dpo", "iterative_dpo"):
        teachers.append(student)
    time = row_tokens(job)
    tokens = time * job.batch_rows // job.accumulate
    half = 2 if job.precision == "bf16" else 4
    teacher_bytes = 2 if job.precision == "bf16" and job.device != "cpu" else 4
    rest = student.parameters - student.matrices
    states = (4 if job.optimizer == "muon" else 8) * student.matrices + 8 * rest
    parts = adapter_parts(student, job.adapter) if job.adapter is not None else {
        "studentWeights": 4 * student.parameters,
        "gradients": 4 * student.parameters,
        "optimizer": states,
    }
    checkpoint = parts["gradients"] + parts["optimizer"]  # what is trained, and its states
    parts |= {
        "studentActivations": half * tokens * student.layers * (10 * student.width + 4 * student.ffn_width),
        "laws": 4 * LAW_COPIES * tokens * student.vocabulary,
        "teacherWeights": sum(teacher_bytes * one.parameters for one in teachers),
        "teacherLaws": sum(8 * tokens * one.vocabulary for one in teachers),
    }
    return {
        "time": time, "tokensAtOnce": tokens, "studentParameters": student.parameters, "teacherParameters": [one.parameters for one in teachers],
        "parts": parts, "totalBytes": sum(parts.values()), "checkpointBytes": checkpoint,
    }


def free_memory(device: str) -> int:
    """Bytes free on the device that the job names: the GPU's, else the machine's available memory."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        import os

        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def free_disk(folder: str | Path) -> int:
    """Bytes free where a folder is or would be made."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_resources(job: Job, memory: int | None = None, disk: int | None = None) -> dict[str, Any]:
    """``estimate`` with what is free (given or looked up). Raises ``JobError`` (memory_short, disk_short).

    The disk must hold two checkpoints: one is written while the one before is still there.
    """
    found = estimate(job)
    memory = free_memory(job.device) if memory is None else memory
    disk = free_disk(job.output) if disk is None else disk
    found |= {"freeMemoryBytes": memory, "freeDiskBytes": disk}
    if found["totalBytes"] > memory:
        raise JobError(f"memory: expected {found['totalBytes'] / GIB:.2f} GiB free for {job.batch_rows // job.accumulate} rows of {found['time']} tokens at once, got {memory / GIB:.2f} GiB", "memory_short")
    if 2 * found["checkpointBytes"] > disk:
        raise JobError(f"output: expected {2 * found['checkpointBytes'] / GIB:.2f} GiB free for two checkpoints, got {disk / GIB:.2f} GiB", "disk_short")
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """The estimate for reading, one line a part, in GiB."""
    told = [f"student {found['studentParameters']:,} parameters; teachers {', '.join(f'{n:,}' for n in found['teacherParameters']) or 'none'}; {found['tokensAtOnce']:,} tokens at once"]
    told += [f"{name:<20} {size / GIB:8.2f} GiB" for name, size in found["parts"].items() if size]
    return [*told, f"{'total':<20} {found['totalBytes'] / GIB:8.2f} GiB", f"{'a checkpoint':<20} {found['checkpointBytes'] / GIB:8.2f} GiB"]
