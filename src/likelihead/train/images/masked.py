"""Images with masks, from a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likelihead.errors import DataError
from likelihead.train.config import TrainConfig
from likelihead.train.images.decode import UndecodableError
from likelihead.train.images.folder import Listing
from likelihead.train.images.masks import (
    MOST_CLASSES,
    encoded,
    mask_kind,
    parse_ignore,
    raw_mask,
    read_palette,
    shown,
)
from likelihead.train.images.pictures import MaskedFiles, Side, check_size
from likelihead.train.images.schema import Coding, ImageSchema
from likelihead.train.images.survey import ImageData, digest_of, make_schema, split, surveyed, tile_edges

__all__ = ["load_masked"]


def load_masked(config: TrainConfig, listing: Listing) -> ImageData:
    palette = read_palette((listing.masks[0].parent, Path(config.data)))
    ignore = parse_ignore(config.ignore_colour)
    kind = palette.kind if palette else _first_kind(config, listing.masks)
    seen: dict[int, Counter[int]] = {}
    own: list[tuple[int, ...]] = []

    def look(index: int, image: NDArray[Any]) -> None:
        path = listing.masks[index]
        raw = raw_mask(path, kind, ignore)
        check_size(listing.images[index], image.shape[:2], path, raw.shape)
        found: Counter[int] = Counter()
        for _, codes in raw.bands():
            values, counts = np.unique(codes[codes >= 0], return_counts=True)
            found.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        if palette is not None:
            encoded(raw, Coding(kind, palette.codes), palette.names, str(path))
        elif len(found) > MOST_CLASSES:
            raise DataError(
                f"has {len(found)} different {'colours' if kind == 'colour' else 'values'}: it looks like a "
                "picture, or was saved or scaled with smoothing; save a mask with one value for each class",
                path=str(path),
            )
        seen[index] = found
        if raw.palette:
            own.append(raw.palette)

    survey, good = surveyed(config, listing, look)
    codes = palette.codes if palette else tuple(sorted(set().union(*(seen[index] for index in good))))
    names = palette.names if palette else tuple(_class_name(code, kind) for code in codes)
    if len(codes) > MOST_CLASSES:
        raise DataError(
            f"the masks have {len(codes)} different values; at most {MOST_CLASSES} classes", path=config.data
        )
    train, test = split(config, np.zeros(len(good), dtype=np.int64))
    counts, test_counts = (
        tuple(sum(seen[good[i]][code] for i in side) for code in codes) for side in (train, test)
    )
    files = [listing.images[index] for index in good]
    masks = [listing.masks[index] for index in good]
    _check_counts(
        config, names, counts, test_counts, [seen[good[i]] for i in test], codes, [files[i] for i in test]
    )
    coding = Coding(kind, codes, ignore, own[0] if own else ())
    statistics = survey.statistics(train)
    schema = make_schema(
        config,
        "segmentation",
        names,
        counts,
        statistics,
        tile_edges(config, survey.sizes),
        (len(train), len(test)),
        digest=digest_of([*files, *masks]),
        coding=coding,
    )
    pictures = MaskedFiles(files, masks, survey.sizes, statistics[0], coding, names)
    notes = [*survey.notes, *_mask_notes(schema, ignore, kind, own)]
    return ImageData(
        schema, Side(pictures, train), Side(pictures, test), test_counts, config.data, tuple(notes)
    )


def _first_kind(config: TrainConfig, masks: Sequence[Path]) -> Any:
    """How the masks are written, from the first that decodes."""
    for path in masks:
        try:
            return mask_kind(path)
        except UndecodableError:
            if not config.skip_bad:
                raise
    raise DataError("no mask decodes; replace them", path=str(masks[0].parent))


def _class_name(code: int, kind: str) -> str:
    return shown(code, kind) if kind == "colour" else f"class {code}"


def _check_counts(
    config: TrainConfig,
    names: Sequence[str],
    counts: Sequence[int],
    test_counts: Sequence[int],
    test_seen: Sequence[Counter[int]],
    codes: Sequence[int],
    test_files: Sequence[Path],
) -> None:
    if not sum(counts) + sum(test_counts):
        raise DataError("no pixel of any mask is labelled; look at --ignore-colour", path=config.data)
    for side, total in (("training", sum(counts)), ("test", sum(test_counts))):
        if not total:
            raise DataError(
                f"no pixel of the {side} masks is labelled; give more images, or another --seed",
                path=config.data,
            )
    if len(names) < 2:
        raise DataError(
            f"every labelled pixel is of one class, {names[0]!r}; a segmentation needs at least two",
            path=config.data,
        )
    for name, code, count in zip(names, codes, counts, strict=True):
        if count:
            continue
        at = next((f.name for f, s in zip(test_files, test_seen, strict=True) if s[code]), None)
        where = f"only among the test images ({at})" if at else "in no mask"
        raise DataError(
            f"class {name!r} is {where}, so that it cannot be learnt; give more images of it, another "
            "--seed, or leave it out",
            path=config.data,
        )


def _mask_notes(schema: ImageSchema, ignore: str, kind: str, own: Sequence[tuple[int, ...]]) -> list[str]:
    notes = []
    if schema.is_binary:
        notes.append(f"two classes: one logit, of {schema.names[1]!r}, which is the positive class")
    elif kind == "index" and schema.coding is not None and 255 in schema.coding.codes:
        notes.append("the value 255 is taken as a class; --ignore-colour 255 leaves its pixels out")
    if len(set(own)) > 1 and kind == "index" and not ignore.startswith("#"):
        notes.append("the masks' palettes differ; classes are told by their index, not by their colour")
    return notes
