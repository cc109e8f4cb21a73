"""Images that are larger than memory: what is read in pieces is what Pillow reads whole."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from likelihead.errors import DataError
from likelihead.train import TrainConfig, train
from likelihead.train.evaluate import evaluate
from likelihead.train.images import decode, large
from likelihead.train.images.decode import UndecodableError, read_image
from likelihead.train.images.masks import encoded, mask_kind, raw_mask
from likelihead.train.images.pictures import MaskedFiles
from likelihead.train.images.schema import Coding
from likelihead.train.images.survey import Survey
from likelihead.train.predict import predict

PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0] + [7] * (253 * 3)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large, and a band is a few rows."""
    monkeypatch.setattr(large, "LARGE", 100)
    monkeypatch.setattr(large, "_BAND_PIXELS", 64)


def image_of(mode: str) -> Image.Image:
    draw = np.random.default_rng(0)
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, (40, 23), dtype=np.uint16))
    if mode == "P":
        image = Image.fromarray(draw.integers(0, 3, (40, 23), dtype=np.uint8))
        image.putpalette(PALETTE)
        return image
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = draw.integers(0, 256, (40, 23, channels), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_in_pieces_as_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, channels: int | None, compression: str | None
) -> None:
    path = tmp_path / "i.tif"
    image_of(mode).save(path, compression=compression)
    whole = read_image(path, channels)
    assert large.mapped_tiff(path) is None
    monkeypatch.setattr(large, "LARGE", 100)
    monkeypatch.setattr(large, "_BAND_PIXELS", 64)
    mapped = large.mapped_tiff(path)
    assert mapped is not None
    assert isinstance(mapped[0], np.memmap)
    assert np.array_equal(read_image(path, channels), whole)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("kind", ["index", "colour"])
@pytest.mark.parametrize("ignore", ["", "2", "#00ff00"])
@pytest.mark.usefixtures("tiny")
def test_masks(tmp_path: Path, suffix: str, kind: Any, ignore: str) -> None:
    path = tmp_path / f"m.{suffix}"
    image = image_of("P")
    image.save(path)
    assert mask_kind(path) == "index"
    codes = (0, 1, 2) if kind == "index" else (0x000000, 0xFF0000, 0x00FF00)
    raw = raw_mask(path, kind, ignore)
    assert len(list(raw.bands())) == 20
    values = np.asarray(image).astype(np.int16)
    expected = np.where(values == 2, -100, values) if ignore else values
    assert np.array_equal(encoded(raw, Coding(kind, codes, ignore), ["a", "b", "c"], "m"), expected)
    with pytest.raises(DataError, match="the pixel at x="):
        encoded(raw, Coding(kind, codes[:1], ignore), ["a"], "m")


@pytest.mark.usefixtures("tiny")
def test_the_statistics_do_not_depend_on_the_bands() -> None:
    image = np.asarray(image_of("RGB"))
    survey = Survey()
    survey.add(image)
    _, mean, std = survey.statistics([0])
    pixels = image.reshape(-1, 3) / 255
    assert mean == pytest.approx(pixels.mean(0).tolist(), rel=1e-6)
    assert std == pytest.approx(pixels.std(0).tolist(), rel=1e-5)


def scenes(root: Path, suffix: str) -> Path:
    draw = np.random.default_rng(0)
    for index in range(5):
        mask = np.zeros((70, 90), dtype=np.uint8)
        mask[10 * index : 10 * index + 30, 20:60], mask[:12, 65:] = 1, 2
        image = np.clip(80 * mask + draw.normal(40, 9, mask.shape), 0, 255).astype(np.uint8)
        for part, pixels in (("images", image), ("masks", mask)):
            (root / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / part / f"{index}.{suffix}")
    return root


def test_a_run_on_large_files_is_the_run_on_small_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: weights, predictions and figures."""
    found: list[tuple[bytes, list[NDArray[Any]], float]] = []
    for name, limit in (("small", 2**28), ("large", 1000)):
        monkeypatch.setattr(large, "LARGE", limit)
        data = scenes(tmp_path / "data", "tif")
        config = TrainConfig(
            data=str(data), task="segmentation", hidden=(4, 6), epochs=2, batch_size=4, tile=32, seed=1
        )
        run = train(config, out=tmp_path / name).folder
        predict(run, str(data / "images"), out=tmp_path / f"{name}-masks")
        masks = [np.asarray(Image.open(tmp_path / f"{name}-masks" / f"{i}.png")) for i in range(5)]
        weights = (run / "model.safetensors").read_bytes()
        found.append((weights, masks, evaluate(run, str(data))["nll"]))
    small, big = found
    assert small[0] == big[0]
    assert all(np.array_equal(a, b) for a, b in zip(small[1], big[1], strict=True))
    assert small[2] == big[2]


def test_little_memory_is_taken(tmp_path: Path) -> None:
    """320 million pixels: bands of them are in memory, a file has the rest."""
    path = tmp_path / "i.tif"
    empty = np.zeros((2000, 2000), dtype=np.uint8)
    tifffile.imwrite(
        path,
        (empty for _ in range(80)),
        shape=(20_000, 16_000),
        dtype=np.uint8,
        tile=(2000, 2000),
        photometric="minisblack",
        compression="zlib",
    )
    tracemalloc.start()
    try:
        image = read_image(path, 3)
        survey = Survey()
        survey.add(image[:3000])
        raw = raw_mask(path, "index", "")
        classes = encoded(raw, Coding("index", (0, 1)), ["a", "b"], "m")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert image.shape == (20_000, 16_000, 3)
    assert classes.shape == (20_000, 16_000)
    assert not classes[::500, ::500].any()
    assert peak < 320_000_000


def test_an_image_and_its_mask_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    data = scenes(tmp_path, "tif")
    files = [[data / part / f"{i}.tif" for i in range(3)] for part in ("images", "masks")]
    coding, names = Coding("index", (0, 1, 2)), ["a", "b", "c"]
    decoded: list[Path] = []
    original = large.mapped_tiff
    for module in (decode, large):
        monkeypatch.setattr(module, "mapped_tiff", lambda path: (decoded.append(path), original(path))[1])
    pictures = MaskedFiles(files[0], files[1], [], 1, coding, names)
    for index in (0, 1, 2):
        for _ in range(3):
            assert large.in_file(pictures.image(index))
            assert large.in_file(pictures.mask(index))
    assert len(decoded) == 6
    pictures.image(0)  # two pairs are kept
    assert len(decoded) == 7


def test_what_cannot_be_decoded_in_this_machine_s_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (400, 300)).save(tmp_path / "i.png")
    monkeypatch.setattr(decode, "_memory", lambda: 1000)
    with pytest.raises(DataError, match=r"has 400 by 300 pixels, which take .* save it as a TIFF"):
        read_image(tmp_path / "i.png")


@pytest.mark.usefixtures("tiny")
def test_large_tiffs_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "i.tif"
    Image.new("CMYK", (40, 30)).save(path)
    with pytest.raises(DataError, match="is a large TIFF of uint8 SEPARATED with 4 channels"):
        read_image(path)
    page = Image.new("L", (40, 30))
    page.save(path, save_all=True, append_images=[page])
    with pytest.raises(DataError, match="holds 2 pages"):
        read_image(path)
    image_of("L").save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UndecodableError, match=r"i\.tif: does not decode"):
        read_image(path)
    image_of("L").save(path)
    monkeypatch.setattr(large, "_free_space", lambda: 100)
    with pytest.raises(DataError, match=r"takes 0\.0 GiB in the folder of temporary files"):
        read_image(path)
