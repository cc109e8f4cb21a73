"""What a set of images looks like: all that is needed to read other images as training read its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from likelihead.errors import RunError
from likelihead.train.table.data.schema import Schema, TargetSchema

__all__ = ["IGNORE", "Coding", "ImageSchema"]

IGNORE = -100
"""The class index of a pixel that is not labelled."""

_VERSION = 1


@dataclass(frozen=True)
class Coding:
    """How masks are written.

    Attributes:
        kind: ``index``: a pixel's value, or its index into the file's own palette; ``colour``: its colour.
        codes: the value of each class, or its colour as ``0xrrggbb``, in the order of the classes.
        ignore: the value or ``#rrggbb`` of pixels that are not labelled; empty for none.
        palette: of the first mask, as red, green and blue of each index; empty where it has none.
    """

    kind: Literal["index", "colour"]
    codes: tuple[int, ...]
    ignore: str = ""
    palette: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImageSchema:
    """Classes, channels, sizes and split of a set of images.

    Attributes:
        task: ``segmentation``, ``multiclass`` or ``multilabel``.
        names: the classes or labels, in the order of the outputs. A segmentation into two classes has one
            output, the logit of the second.
        counts: of the training images: pixels of each class, images of each class, or yeses of each label.
        channels: 1 (grey) or 3.
        mean, std: of each channel over the training images, on a scale where white is 1.
        edges: height and width of what the network is trained on: tiles, or scaled images.
        train_images, test_images: how many.
        seed, test_fraction: of the split.
        digest: SHA-256 over the files' names and content, and their labels; empty for a bundled set.
        coding: of the masks; None for a bundled set, and where there are none.
    """

    task: Literal["segmentation", "multiclass", "multilabel"]
    names: tuple[str, ...]
    counts: tuple[int, ...]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    edges: tuple[int, int]
    train_images: int
    test_images: int
    seed: int
    test_fraction: float
    digest: str = ""
    coding: Coding | None = None

    @property
    def is_binary(self) -> bool:
        """Whether each pixel is a yes or a no, with one logit."""
        return self.task == "segmentation" and len(self.names) == 2

    @property
    def num_outputs(self) -> int:
        """Logits for each pixel or image."""
        return 1 if self.is_binary else len(self.names)

    def as_table(self) -> Schema:
        """The classes and their counts, in the form in which the figures of a table take them."""
        exclusive = "binary" if self.is_binary else "multiclass"
        form: Any = "labels" if self.task == "multilabel" else "classes"
        return Schema(
            task="multilabel" if self.task == "multilabel" else exclusive,  # type: ignore[arg-type]
            columns=(),
            target=TargetSchema(form, self.names, "text", self.names, self.counts),
            seed=self.seed,
            test_fraction=self.test_fraction,
            train_rows=self.train_images,
        )

    def to_json(self) -> str:
        """The schema as JSON text."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ImageSchema:
        """The schema that :meth:`to_json` wrote.

        Raises:
            RunError: the text is no schema, or of another version.
        """
        try:
            values = json.loads(text)
            version = values.pop("version")
            if version != _VERSION:
                raise RunError(
                    f"the schema has version {version}, this likelihead reads version {_VERSION}: "
                    "use the release that trained the run"
                )
            coding = values.pop("coding")
            taken = _tuples(values)
            if set(taken) | {"coding"} != {field.name for field in fields(cls)}:
                raise ValueError("its fields are others")
            return cls(**taken, coding=None if coding is None else Coding(**_tuples(coding)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"it was altered or is no schema: {type(error).__name__}: {error}") from error


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
