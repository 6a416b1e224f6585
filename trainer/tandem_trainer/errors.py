"""The error catalogue of the trainer: every way a job can end early, and what the reader should do.

A failing command prints ``{"event": "error", "code", "message", "remedy"}`` on standard output, one line
on standard error, and leaves with status 2. A message states what was expected and what came; it never
holds text of a data set.
"""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    # code: (when this happens, what to do)
    "job_invalid": ("The job file has a mistake.", "Correct the field that the message names; trainer/job.schema.json describes all of them."),
    "file_missing": ("A file or folder that the job names does not exist.", "Check the path; relative paths are looked for in the folder where the command was started."),
    "file_invalid": ("A file that the job names is damaged or of another kind.", "Make the file again with the command that the message names."),
    "data_mismatch": ("The rows or pairs do not fit the model.", "Pack the data again with the model's tokenizer and context."),
    "tokenizer_mismatch": ("Teacher and student do not read the same pieces, and the objective needs that.", "Use the objective that the message names: span_merged for other pieces, teacher_text for text only."),
    "tokenizer_unstated": ("The job has a teacher, but the pieces of one side are unknown.", "State `tokenizer` and `teacher_tokenizer` (tokenizer.json files); they are never guessed."),
    "teacher_unusable": ("The teacher gives less than the objective needs.", "Use an objective that the message lists, or another teacher."),
    "teacher_silent": ("The teacher answers nothing.", "Check the teacher's address, name and key, or its checkpoint."),
    "signal_missing": ("The teacher term has no gradient, or does not depend on what the teacher says.", "Check teacher_weight, that the teacher is not the student itself, and the objective's options."),
    "memory_short": ("The job needs more memory than the machine has free.", "Lower batch_rows (raise accumulate), use precision bf16, or a larger machine; the message holds the estimate."),
    "disk_short": ("The checkpoints need more room than the disk has free.", "Free the room that the message states, or choose another output folder."),
    "loss_not_finite": ("The loss stopped being a number; the last good checkpoint is kept.", "Resume with a lower learning_rate, or with precision f32."),
    "dependency_missing": ("An optional package that the job needs is not installed.", "Install the package that the message names (trainer/requirements.txt)."),
    "device_missing": ("The job asks for a device that this machine does not have.", "Set device to cpu, or run it where the device is."),
}


class TrainerError(Exception):
    """A failure of the catalogue. ``code`` is its key there."""

    code = "job_invalid"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        if self.code not in CATALOGUE:
            raise KeyError(f"error code: expected one of {sorted(CATALOGUE)}, got {self.code!r}")

    @property
    def remedy(self) -> str:
        """What the reader should do, one sentence."""
        return CATALOGUE[self.code][1]

    def to_event(self) -> dict[str, str]:
        """The error as the event that a failing command prints."""
        return {"event": "error", "code": self.code, "message": str(self), "remedy": self.remedy}


class JobError(TrainerError, ValueError):
    """A job that cannot be run; the message names the field, what was expected and what came."""


class TrainingFailed(TrainerError, RuntimeError):
    """A run that had to end; the last good checkpoint is kept."""

    code = "loss_not_finite"
